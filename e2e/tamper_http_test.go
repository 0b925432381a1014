//go:build slow

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/countersign-dev/countersign/ledger/verify"
)

// A tamperServer serves altered logs, each under a prefix of its own.
type tamperServer struct {
	*httptest.Server
	elsewhere *httptest.Server // another host
	bundle    bundleFiles

	mu    sync.Mutex
	next  int
	cases map[string]*servedCase // by prefix
}

type servedCase struct {
	files  bundleFiles
	answer func(w http.ResponseWriter, r *http.Request, path string, files bundleFiles) bool // says whether it has answered
}

func newTamperServer(t *testing.T, bundle bundleFiles) *tamperServer {
	s := &tamperServer{bundle: bundle, cases: map[string]*servedCase{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	s.elsewhere = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serveFile(w, bundle, strings.TrimPrefix(r.URL.Path, "/"))
	}))
	t.Cleanup(s.elsewhere.Close)
	return s
}

// serve begins to serve a case, and returns its URL.
func (s *tamperServer) serve(c *tamperCase) (url string, end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	prefix := strconv.Itoa(s.next)
	s.cases[prefix] = &servedCase{files: s.bundle.with(c.change), answer: c.answer}
	return s.URL + "/" + prefix + "/ledger/", func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.cases, prefix)
	}
}

func (s *tamperServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	prefix, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/ledger/")
	s.mu.Lock()
	served := s.cases[prefix]
	s.mu.Unlock()
	switch {
	case served == nil:
		http.NotFound(w, r)
	case served.answer == nil || !served.answer(w, r, path, served.files):
		serveFile(w, served.files, path)
	}
}

func serveFile(w http.ResponseWriter, files bundleFiles, path string) {
	data, ok := files[path]
	if !ok {
		http.Error(w, "not here", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	_, _ = w.Write(data) // who asked may be gone
}

// served is what a case means when the bundle is served: what nobody asks for is
// not seen, and a server need not say which format it has.
func (c tamperCase) served(bundle bundleFiles) tamperCase {
	asked := false
	for path := range c.change {
		if _, ok := bundle[path]; ok && path != verify.FormatPath {
			asked = true
		}
	}
	switch {
	case c.object == objectFormat && len(c.change) == 1 && c.change[verify.FormatPath] != nil && c.operation != "reorder":
		return c.says(verify.Verified, verify.Usage, verify.Tampered)
	case !asked && len(c.change) > 0:
		return c.harmless()
	case c.object == objectWitnessed && (c.operation == "rename" || c.operation == "reorder") || c.operation == "reorder" && c.change[verify.WitnessedPath] != nil:
		return c.says(append(c.codes, verify.Incomplete, verify.Verified)...)
	case c.operation == "reorder" && c.object != objectLeaf && c.object != objectHash:
		return c.says(append(c.codes, verify.Incomplete)...)
	}
	return c
}

// answerCases are servers that answer wrongly.
func (s *tamperScene) answerCases(server *tamperServer) iter.Seq[tamperCase] {
	bundle := s.main.bundles[tamperSize]
	return generated(func(add func(tamperCase)) {
		for _, path := range bundle.paths() {
			f := s.main.file(tamperSize, path)
			answers := func(name string, answer func(w http.ResponseWriter, r *http.Request)) tamperCase {
				c := altered(f.object, "answer", nil, "%s with %s", path, name)
				c.answer = func(w http.ResponseWriter, r *http.Request, asked string, _ bundleFiles) bool {
					if asked == path {
						answer(w, r)
					}
					return asked == path
				}
				return s.unanswered(f, c)
			}
			for _, status := range []int{204, 206, 304, 400, 401, 403, 404, 405, 410, 418} {
				add(answers(strconv.Itoa(status), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
			}
			page := answers("a web page", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				_, _ = w.Write(f.data)
			})
			if path == verify.CheckpointPath {
				page = page.says(verify.Usage)
			}
			add(page)
			add(answers("a redirect to itself", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }))
			add(answers("a redirect to another host", func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, server.elsewhere.URL+"/"+path, http.StatusFound)
			}))
			add(answers("a compression that nobody asked for", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "br")
				_, _ = w.Write(f.data)
			}))
			add(answers("more than there can be", func(w http.ResponseWriter, _ *http.Request) {
				for range 300 {
					_, _ = w.Write(make([]byte, 1<<20)) // who asked ends it
				}
			}).says(verify.Tampered, verify.Incomplete, verify.Verified))
			squeezed := f.other(answers("it, altered and compressed", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = w.Write(gzipped(flippedFirst(f.data)))
			}).says(verify.Tampered), 0, false)
			if path == verify.FormatPath {
				squeezed = squeezed.says(verify.Verified)
			}
			add(squeezed)
			add(answers("it, compressed", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = w.Write(gzipped(f.data))
			}).harmless())
			add(flapping(f, path, true))
			add(flapping(f, path, false))
		}
		s.grownCases(add)
		s.brokenCases(add)
	})
}

// grownCases are servers whose log has grown since its checkpoint and that have
// full tiles only: what they begin with counts.
func (s *tamperScene) grownCases(add func(tamperCase)) {
	for partial, full := range map[string]string{
		verify.TilePath(0, 2, 88): verify.TilePath(0, 2, 256), verify.TilePath(1, 0, 2): verify.TilePath(1, 0, 256),
		verify.EntriesPath(2, 88): verify.EntriesPath(2, 256),
	} {
		f := s.main.file(tamperSize, partial)
		data := append(bytes.Clone(f.data), make([]byte, verify.MaxTile-len(f.data))...)
		if f.object == objectEntries {
			data = append(bytes.Clone(f.data), entriesOf(s.fork.leaves[:256-88])...)
		}
		grown := func(name string, data []byte) tamperCase {
			return altered(f.object, "answer", bundleFiles{partial: nil, full: data}, "%s in the place of %s, %s", full, partial, name)
		}
		add(grown("sound", data).harmless())
		for _, at := range []int{3, len(f.data) / 2, len(f.data) - 1} {
			add(f.place(grown(fmt.Sprintf("byte %d altered", at), flippedAt(data, at)), at, false))
		}
		add(grown("too short", data[:len(f.data)-1]).says(verify.Tampered, verify.Incomplete))
	}
}

// unanswered says what it means that a resource cannot be had.
func (s *tamperScene) unanswered(f tamperFile, c tamperCase) tamperCase {
	switch f.object {
	case objectFormat, objectWitnessed:
		return c.says(verify.Verified, verify.Incomplete)
	}
	return c.says(verify.Incomplete)
}

// flapping is a server that answers rightly every other time.
func flapping(f tamperFile, path string, first bool) tamperCase {
	var mu sync.Mutex
	right := !first
	c := altered(f.object, "answer", nil, "%s rightly every other time, first %t", path, first)
	c.answer = func(w http.ResponseWriter, _ *http.Request, asked string, files bundleFiles) bool {
		mu.Lock()
		defer mu.Unlock()
		if asked != path {
			return false
		}
		if right = !right; right {
			return false
		}
		serveFile(w, bundleFiles{path: flippedFirst(f.data)}, path)
		return true
	}
	return c.says(verify.Tampered, verify.Incomplete, verify.Usage, verify.Verified)
}

func flippedFirst(data []byte) []byte {
	if len(data) == 0 {
		return []byte{1}
	}
	return append([]byte{data[0] ^ 1}, data[1:]...)
}

// brokenCases are answers that are asked for again, with pauses: there are few.
func (s *tamperScene) brokenCases(add func(tamperCase)) {
	for _, path := range []string{verify.CheckpointPath, verify.TilePath(0, 0, 256), verify.EntriesPath(2, 88)} {
		f := s.main.file(tamperSize, path)
		for name, answer := range map[string]func(w http.ResponseWriter){
			"500": func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) },
			"damaged gzip": func(w http.ResponseWriter) {
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = w.Write(gzipped(f.data)[:20])
			},
			"half of it": func(w http.ResponseWriter) {
				w.Header().Set("Content-Length", strconv.Itoa(len(f.data)))
				_, _ = w.Write(f.data[:len(f.data)/2])
			},
			"a broken header": func(w http.ResponseWriter) { hijackAnd(w, "HTTP/1.1 200 OK\r\nContent-Le") },
		} {
			c := altered(f.object, "answer", nil, "%s with %s", path, name).says(verify.Incomplete)
			c.only = withKey
			c.answer = func(w http.ResponseWriter, _ *http.Request, asked string, _ bundleFiles) bool {
				if asked == path {
					answer(w)
				}
				return asked == path
			}
			add(c)
		}
	}
}

// hijackAnd answers with some bytes and ends the connection.
func hijackAnd(w http.ResponseWriter, answer string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = fmt.Fprint(conn, answer) // who asked may be gone
	_ = conn.Close()
}

func (s *tamperScene) tamperServers(t *testing.T, m *tamperMatrix) {
	bundle := s.main.bundles[tamperSize]
	server := newTamperServer(t, bundle)
	remote := generated(func(add func(tamperCase)) {
		for c := range s.contentCases(25) {
			add(c.served(bundle))
		}
	})
	m.run(t, "server", 2_200, 6, sequence(s.answerCases(server), remote), s.serverTrial(server))
}

// serverTrial verifies logs that are served.
func (s *tamperScene) serverTrial(server *tamperServer) func(t *testing.T) trial {
	return func(t *testing.T) trial {
		try := func(ctx context.Context, c *tamperCase, o verify.Options) *verify.Report {
			url, end := server.serve(c)
			defer end()
			src, err := verify.NewHTTP(url, nil)
			if err != nil {
				return verify.Failed(err)
			}
			return verify.Log(ctx, src, o)
		}
		original := try(context.Background(), &tamperCase{}, s.options(s.main, withKey))
		if original.Code != verify.Verified {
			t.Fatal(original.Problem)
		}
		return func(ctx context.Context, c *tamperCase, tell func(tamperMode, outcome, error)) {
			for _, mode := range c.modes() {
				judged, err := c.judge(mode, try(ctx, c, s.options(s.main, mode)), original)
				tell(mode, judged, err)
			}
		}
	}
}
