package witnesstest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/countersign-dev/countersign/ledger/witness"
	"github.com/countersign-dev/countersign/ledger/witness/witnesstest"
)

// tree is a log in memory that can sign and prove every size.
type tree struct {
	vkey   string
	signer note.Signer
	hashes []tlog.Hash
}

func newTree(t *testing.T, origin, seed string, size int64) *tree {
	t.Helper()
	sum := sha256.Sum256([]byte(seed))
	skey, vkey, err := note.GenerateKey(bytes.NewReader(sum[:]), origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	tr := &tree{vkey: vkey, signer: signer}
	for n := range size {
		hashes, err := tlog.StoredHashes(n, fmt.Appendf(nil, "%s %d", seed, n), tr)
		if err != nil {
			t.Fatal(err)
		}
		tr.hashes = append(tr.hashes, hashes...)
	}
	return tr
}

func (tr *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var found []tlog.Hash
	for _, i := range indexes {
		found = append(found, tr.hashes[i])
	}
	return found, nil
}

func (tr *tree) checkpoint(t *testing.T, size int64) string {
	t.Helper()
	root, err := tlog.TreeHash(size, tr)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", tr.signer.Name(), size, base64.StdEncoding.EncodeToString(root[:]))}, tr.signer)
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}

func (tr *tree) request(t *testing.T, old, size int64) string {
	t.Helper()
	body := fmt.Sprintf("old %d\n", old)
	if old > 0 && old < size {
		proof, err := tlog.ProveTree(size, old, tr)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range proof {
			body += h.String() + "\n"
		}
	}
	return body + "\n" + tr.checkpoint(t, size)
}

func ask(w http.Handler, method, path, body string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, httptest.NewRequest(method, path, strings.NewReader(body)))
	return rec
}

func TestTheProtocol(t *testing.T) {
	now := func() time.Time { return time.Unix(1700000000, 0) }
	good, other := newTree(t, "log.example", "good", 300), newTree(t, "log.example", "other", 300)
	stranger := newTree(t, "stranger.example", "good", 3)
	w := witnesstest.New("w.example", now)
	if err := w.Trust(good.vkey); err != nil {
		t.Fatal(err)
	}
	if err := w.Trust("nonsense"); err == nil {
		t.Error("a nonsense key is trusted")
	}
	forged := strings.Replace(good.request(t, 0, 5), "\n5\n", "\n6\n", 1)
	sameKey := &tree{vkey: good.vkey, signer: good.signer, hashes: other.hashes}
	for _, c := range []struct {
		name, body string
		status     int
		answer     string // a part of it
	}{
		{"unknown log", stranger.request(t, 0, 3), 404, "unknown log"},
		{"untrusted key", other.request(t, 0, 5), 403, "not signed"},
		{"forged text", forged, 403, "not signed"},
		{"old beyond the checkpoint", good.request(t, 6, 5), 400, "the old size is larger"},
		{"old that was never cosigned", good.request(t, 3, 5), 409, "0\n"},
		{"proof from nothing", strings.Replace(good.request(t, 3, 5), "old 3", "old 0", 1), 422, "a proof from size 0 is empty"},
		{"the first", good.request(t, 0, 5), 200, "— w.example "},
		{"the first again", good.request(t, 0, 5), 409, "5\n"},
		{"the same again", good.request(t, 5, 5), 200, "— w.example "},
		{"another of the same size", sameKey.request(t, 5, 5), 409, "5\n"},
		{"another that is larger", sameKey.request(t, 5, 9), 422, "does not verify"},
		{"no proof", strings.Join(strings.SplitAfter(good.request(t, 5, 9), "\n")[:1], "") + "\n" + good.checkpoint(t, 9), 422, "does not verify"},
		{"a larger one", good.request(t, 5, 257), 200, "— w.example "},
		{"an older one", good.request(t, 5, 9), 409, "257\n"},
		{"a larger one by a whole number of tiles", good.request(t, 257, 300), 200, "— w.example "},
	} {
		rec := ask(w, http.MethodPost, "/add-checkpoint", c.body)
		if rec.Code != c.status || !strings.HasPrefix(strings.TrimPrefix(rec.Body.String(), "the consistency proof "), c.answer) {
			t.Errorf("%s: %d %q, want %d %q", c.name, rec.Code, rec.Body, c.status, c.answer)
		}
		if conflict := rec.Header().Get("Content-Type") == "text/x.tlog.size"; conflict != (c.status == 409) {
			t.Errorf("%s: content type %q", c.name, rec.Header().Get("Content-Type"))
		}
		if c.status != 200 {
			continue
		}
		v, err := witness.NewVerifier(w.VerifierKey())
		if err != nil {
			t.Fatal(err)
		}
		_, signed, _ := strings.Cut(c.body, "\n\n")
		if _, err := note.Open([]byte(signed+rec.Body.String()), note.VerifierList(v)); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if w.Size("log.example") != 300 || w.Size("stranger.example") != 0 {
		t.Errorf("sizes %d and %d", w.Size("log.example"), w.Size("stranger.example"))
	}
}

func TestRequestsThatAreNone(t *testing.T) {
	tr := newTree(t, "log.example", "good", 3)
	w := witnesstest.New("w.example", time.Now)
	if err := w.Trust(tr.vkey); err != nil {
		t.Fatal(err)
	}
	sound := tr.request(t, 0, 3)
	hash := tlog.Hash{}.String() + "\n"
	for name, body := range map[string]string{
		"nothing":          "",
		"no empty line":    strings.Replace(sound, "\n\n", "\n", 2),
		"no old line":      strings.Replace(sound, "old 0\n", "", 1),
		"a leading zero":   strings.Replace(sound, "old 0", "old 00", 1),
		"a signed size":    strings.Replace(sound, "old 0", "old +0", 1),
		"no number":        strings.Replace(sound, "old 0", "old x", 1),
		"a short hash":     strings.Replace(sound, "old 0\n", "old 0\nAAAA\n", 1),
		"no base64":        strings.Replace(sound, "old 0\n", "old 0\n!\n", 1),
		"64 hashes":        strings.Replace(sound, "old 0\n", "old 0\n"+strings.Repeat(hash, 64), 1),
		"no note":          "old 0\n\nlog.example\n",
		"no checkpoint":    "old 0\n\nlog.example\n3\n\n— log.example AAAAAAAA\n",
		"an empty line":    "old 0\n\nlog.example\n3\n\n" + hash + "\n— log.example AAAAAAAA\n",
		"a size of zeroes": "old 0\n\nlog.example\n03\n" + hash + "\n— log.example AAAAAAAA\n",
		"too long":         sound + strings.Repeat("x", 64<<10),
	} {
		if rec := ask(w, http.MethodPost, "/add-checkpoint", body); rec.Code != 400 {
			t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
		}
	}
	if rec := ask(w, http.MethodGet, "/add-checkpoint", ""); rec.Code != 405 || rec.Header().Get("Allow") != "POST" {
		t.Errorf("GET: %d", rec.Code)
	}
	if rec := ask(w, http.MethodPost, "/", sound); rec.Code != 404 {
		t.Errorf("another path: %d", rec.Code)
	}
	if rec := ask(w, http.MethodPost, "/add-checkpoint", strings.Replace(sound, "old 0\n", "old 0\n"+strings.Repeat(hash, 63), 1)); rec.Code != 422 {
		t.Errorf("63 hashes: %d", rec.Code)
	}
}
