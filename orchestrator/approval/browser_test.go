//go:build slow

package approval

import (
	"bytes"
	"cmp"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pictures are where the documentation has its screenshots.
const pictures = "../../docs/approvals"

// serve puts the handler where a browser reaches it.
func (s *scene) serve() {
	s.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.Config = s.handler.Server()
	server.Start()
	s.Cleanup(server.Close)
	s.handler.o.Public = must(ParsePublicURL(server.URL))
}

func (s *scene) link(token string) string { return Link(s.handler.o.Public, token) }

// TestPhone decides in Chromium, at the size of a small phone, without scripts,
// by keyboard alone, and reads what a screen reader is told.
func TestPhone(t *testing.T) {
	s := newScene(t, Step{Quorum: 2, Risk: High, SubmittedBy: "cleo"})
	s.view = someView()
	s.view.SubmittedBy, s.view.Names["cleo"] = "cleo", "Cleo Tan"
	_, ana := s.offer("ana")
	_, ben := s.offer("ben")
	s.serve()
	b := startBrowser(t)
	b.phone(360, 740, "light")
	b.open(s.link(ana))

	tree := b.tree()
	for _, want := range []string{
		`heading "Approve “Restart checkout”?"`, `image "P95 latency Over 30 min, P95 went from 180 ms to 1,830 ms; the highest was 1,831 ms."`, `heading "Exactly what will run"`, `heading "Your decision"`,
		`button "Approve: run “Restart checkout”"`, `textbox "Reason for rejecting (optional)"`, `button "Reject: nothing runs"`, `main ""`,
	} {
		if !slices.ContainsFunc(tree, func(n node) bool { return n.String() == want }) {
			t.Errorf("a screen reader is not told of %s: %v", want, tree)
		}
	}
	var order []string
	for range 4 {
		b.tab()
		order = append(order, b.focus().String())
	}
	if want := []string{`link "To the decision"`, `button "Approve: run “Restart checkout”"`, `textbox "Reason for rejecting (optional)"`, `button "Reject: nothing runs"`}; !slices.Equal(order, want) {
		t.Errorf("by keyboard one comes to %q", order)
	}
	if width, height := b.size("button"); width < 300 || height < 64 {
		t.Errorf("a thumb has %.0f × %.0f pixels to hit", width, height)
	}

	b.open(s.link(ana))
	b.tab()
	b.enter() // to the decision, which is where the keyboard is then
	b.tab()
	b.load(b.enter)
	b.expectHeading("Waiting for another approval")
	s.expect("approved")
	b.tab()
	b.load(b.enter) // the only link: look again
	b.expectHeading("Waiting for another approval")

	b.open(s.link(ben))
	b.tab()
	b.tab()
	b.tab()
	b.call("Input.insertText", map[string]any{"text": "not without Cleo\nnor today"}, nil)
	b.enter() // in the field is a new line
	s.expect("approved")
	b.tab()
	b.load(b.enter)
	b.expectHeading("Rejected")
	s.expect("approved", "rejected")
	if last := s.steps[len(s.steps)-1]; last.Contact != "ben" || last.Text != "not without Cleo nor today" {
		t.Errorf("%+v", last)
	}
}

// TestPhoneOnAnotherSite has a page of another site send the form, with all that
// ours has in it.
func TestPhoneOnAnotherSite(t *testing.T) {
	s := newScene(t, Step{})
	_, ana := s.offer("ana")
	s.serve()
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(`<!DOCTYPE html><link rel="icon" href="data:,"><h1>Win</h1><form method="post" action="` + s.handler.o.Public.JoinPath(Path, "confirm").String() +
			`"><input type="hidden" name="token" value="` + ana + `"><input type="hidden" name="code" value="` + s.key.code(ana) + `"><button>A prize</button></form>`))
	}))
	defer evil.Close()
	b := startBrowser(t)
	b.tolerant = true // of the log's line on the answer 403
	b.open(strings.Replace(evil.URL, "127.0.0.1", "localhost", 1))
	b.tab()
	b.load(b.enter)
	b.expectHeading("Not decided")
	s.expect()
	if len(s.refused) != 1 || s.refused[0].Reason != CrossSite {
		t.Errorf("%+v", s.refused)
	}
}

func (b *browser) expectHeading(want string) {
	b.Helper()
	tree := b.tree()
	if !slices.ContainsFunc(tree, func(n node) bool { return n.role == "heading" && n.name == want }) {
		b.Errorf("the page is not %q: %v", want, tree)
	}
}

// TestPhoneShowsEveryPage looks at all pages, and at the longest, by day and by
// night: none is wider than the screen.
func TestPhoneShowsEveryPage(t *testing.T) {
	b := startBrowser(t)
	long := flood("mmmm🛑")
	long.Standing = Outcome{Kind: Open, Quorum: 2}
	c, token := longest(t)
	flooded, _ := requestPage(long, c, token, testKey(1).code(token), began)
	all := pages(t)
	all["longest"] = flooded
	dir := t.TempDir()
	for name, page := range all {
		path := filepath.Join(dir, name+".html")
		if err := os.WriteFile(path, page, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, scheme := range []string{"light", "dark"} {
			b.phone(360, 740, scheme)
			b.open("file://" + path)
			if width := b.contentWidth(); width > 360 {
				t.Errorf("%s is %.0f pixels wide", name, width)
			}
			shot := b.screenshot()
			checkShot(t, name+" "+scheme, shot, scheme)
			picture := map[string]string{"open light": "open", "open dark": "open-dark", "waiting dark": "waiting-dark", "already light": "already"}[name+" "+scheme]
			if *update && picture != "" {
				if err := os.MkdirAll(pictures, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(pictures, picture+".png"), fewColours(t, shot), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// checkShot looks whether there is something on a picture, on paper of the right
// colour.
func checkShot(t *testing.T, name string, shot []byte, scheme string) {
	t.Helper()
	picture, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	colours := map[uint32]int{}
	size := picture.Bounds()
	for y := size.Min.Y; y < size.Max.Y; y += 3 {
		for x := size.Min.X; x < size.Max.X; x += 3 {
			r, g, b, _ := picture.At(x, y).RGBA()
			colours[(r>>8+g>>8+b>>8)/3]++
		}
	}
	paper, most := uint32(0), 0
	for colour, n := range colours {
		if n > most {
			paper, most = colour, n
		}
	}
	if size.Dx() != 360 || len(colours) < 8 || (paper > 128) != (scheme == "light") {
		t.Errorf("%s: %v, %d greys, most of it %d", name, size, len(colours), paper)
	}
}

// fewColours is a picture in 64 colours, which a page has hardly more of, and a
// quarter of the bytes.
func fewColours(t *testing.T, shot []byte) []byte {
	t.Helper()
	picture, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	size := picture.Bounds()
	count := map[color.RGBA]int{}
	for y := size.Min.Y; y < size.Max.Y; y++ {
		for x := size.Min.X; x < size.Max.X; x++ {
			r, g, b, _ := picture.At(x, y).RGBA()
			count[color.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), 255}]++
		}
	}
	all := slices.SortedFunc(maps.Keys(count), func(a, b color.RGBA) int {
		return cmp.Or(count[b]-count[a], int(a.R)-int(b.R), int(a.G)-int(b.G), int(a.B)-int(b.B))
	})
	var palette color.Palette
	for _, c := range all[:min(len(all), 64)] {
		palette = append(palette, c)
	}
	few := image.NewPaletted(size, palette)
	draw.Draw(few, size, picture, size.Min, draw.Src)
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, few); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
