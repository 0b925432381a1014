package ledger

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// get asks a handler for a path.
func get(t testing.TB, h http.Handler, path string, header ...string) *http.Response {
	t.Helper()
	return ask(t, h, http.MethodGet, path, header...)
}

func ask(t testing.TB, h http.Handler, method, path string, header ...string) *http.Response {
	t.Helper()
	request := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, request)
	return recorder.Result()
}

func body(t testing.TB, r *http.Response) []byte {
	t.Helper()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestHandler(t *testing.T) {
	const (
		bytesType = "application/octet-stream"
		forever   = "public, max-age=31536000, immutable"
	)
	s := newStored(t, 700)
	s.publish(t, 600)
	h := s.Handler()
	var hashes []byte
	for i := range 600 {
		hashes = append(hashes, s.tree.LeafHash(uint64(i))...)
	}
	bundle := func(from, to int) (data []byte) {
		for _, leaf := range s.leaves[from:to] {
			data = append(data, byte(len(leaf)>>8), byte(len(leaf)))
			data = append(data, leaf...)
		}
		return data
	}
	nodes := append(s.value(t, keyNode(1, 0)), s.value(t, keyNode(1, 1))...)
	for _, test := range []struct {
		path, contentType, cache string
		body                     []byte
	}{
		{"/checkpoint", "text/plain; charset=utf-8", "no-store", s.published.Load().Note},
		{"/tile/0/000", bytesType, forever, hashes[:8192]},
		{"/tile/0/001", bytesType, forever, hashes[8192:16384]},
		{"/tile/0/002.p/88", bytesType, forever, hashes[16384:]},
		{"/tile/0/002.p/87", bytesType, forever, hashes[16384 : 16384+87*32]},
		{"/tile/0/000.p/255", bytesType, forever, hashes[:255*32]},
		{"/tile/1/000.p/2", bytesType, forever, nodes},
		{"/tile/1/000.p/1", bytesType, forever, nodes[:32]},
		{"/tile/entries/000", bytesType, forever, bundle(0, 256)},
		{"/tile/entries/002.p/88", bytesType, forever, bundle(512, 600)},
		{"/tile/entries/001.p/3", bytesType, forever, bundle(256, 259)},
		{"/blob/" + sumOf(testBlob(5)), bytesType, forever, testBlob(5)},
	} {
		r := get(t, h, test.path)
		if got := body(t, r); r.StatusCode != 200 || !bytes.Equal(got, test.body) {
			t.Errorf("%s: %s with %d bytes, want %d", test.path, r.Status, len(got), len(test.body))
		}
		checkHeader(t, r, test.path, "Content-Type", test.contentType)
		checkHeader(t, r, test.path, "Cache-Control", test.cache)
		checkHeader(t, r, test.path, "Content-Length", fmt.Sprint(len(test.body)))
		checkHeader(t, r, test.path, "X-Content-Type-Options", "nosniff")
		if tagged := r.Header.Get("ETag") != ""; tagged != (test.cache == forever) {
			t.Errorf("%s: ETag %q", test.path, r.Header.Get("ETag"))
		}
		if varies := r.Header.Get("Vary") == "Accept-Encoding"; varies != strings.Contains(test.path, "entries") {
			t.Errorf("%s: Vary %q", test.path, r.Header.Get("Vary"))
		}
		// net/http leaves a body away that answers HEAD; the recorder keeps it.
		head := ask(t, h, http.MethodHead, test.path)
		if head.StatusCode != 200 || fmt.Sprint(head.Header) != fmt.Sprint(r.Header) {
			t.Errorf("HEAD %s: %s %v, GET had %v", test.path, head.Status, head.Header, r.Header)
		}
	}
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func checkHeader(t testing.TB, r *http.Response, path, name, want string) {
	t.Helper()
	if got := r.Header.Get(name); got != want {
		t.Errorf("%s: %s: %q, want %q", path, name, got, want)
	}
}

// checkRefused checks the status of an error and its form.
func checkRefused(t testing.TB, r *http.Response, path string, status int) {
	t.Helper()
	data := body(t, r)
	var answer map[string]string
	if err := json.Unmarshal(data, &answer); r.StatusCode != status || err != nil || len(answer) != 1 || answer["error"] == "" {
		t.Errorf("%s: %s %q, want %d and an error in JSON", path, r.Status, data, status)
	}
	checkHeader(t, r, path, "Content-Type", "application/json")
	checkHeader(t, r, path, "Cache-Control", "no-store")
	checkHeader(t, r, path, "Content-Length", fmt.Sprint(len(data)))
}

func TestHandlerNotFound(t *testing.T) {
	s := newStored(t, 700)
	s.publish(t, 600)
	blob := sumOf(testBlob(5))
	for _, path := range []string{
		"/", "//checkpoint", "/checkpoint/", "/Checkpoint", "/checkpoint.witnessed", "/countersign-ledger",
		"/tile/0/002", "/tile/0/002.p/89", "/tile/0/003.p/1", "/tile/0/999", "/tile/1/000", "/tile/1/000.p/3", "/tile/2/000.p/1", "/tile/63/000",
		"/tile/entries/002", "/tile/entries/002.p/89", "/tile/entries/003.p/1", "/tile/0/x009/x223/x372/x036/x854/x775/807",
		"/tile/0/000/", "/tile/0/0", "/tile/00/000", "/tile/0/000.p/256", "/tile/0/000.p/0", "/tile/0/%30%30%30", "/tile/0%2f000", "/%74ile/0/000",
		"/blob/", "/blob/" + blob[:63], "/blob/" + blob + "0", "/blob/" + strings.ToUpper(blob), "/blob/" + sumOf([]byte("unknown")),
		"/blob/" + sumOf(testBlob(605)), "/blob/" + blob + "/", "/blob/../checkpoint",
	} {
		checkRefused(t, get(t, s.Handler(), path), path, http.StatusNotFound)
	}
}

func TestHandlerOfEmptyLog(t *testing.T) {
	s := newStored(t, 300)
	s.publish(t, 0)
	h := s.Handler()
	if r := get(t, h, "/checkpoint"); r.StatusCode != 200 || !strings.HasPrefix(string(body(t, r)), testOrigin+"\n0\n") {
		t.Errorf("checkpoint: %s", r.Status)
	}
	for _, path := range []string{"/tile/0/000.p/1", "/tile/0/000", "/tile/entries/000.p/1", "/blob/" + sumOf(testBlob(5))} {
		checkRefused(t, get(t, h, path), path, http.StatusNotFound)
	}
}

func TestHandlerWitnessed(t *testing.T) {
	s := newStored(t, 10)
	cosigned := s.checkpoint(t, 5)
	s.witnessed.Store(cosigned)
	r := get(t, s.Handler(), "/checkpoint.witnessed")
	if got := body(t, r); r.StatusCode != 200 || string(got) != string(cosigned.Note) {
		t.Errorf("%s %q", r.Status, got)
	}
	checkHeader(t, r, "/checkpoint.witnessed", "Cache-Control", "no-store")
}

func TestHandlerMethods(t *testing.T) {
	s := newStored(t, 10)
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
		r := ask(t, s.Handler(), method, "/checkpoint")
		checkRefused(t, r, method, http.StatusMethodNotAllowed)
		checkHeader(t, r, method, "Allow", "GET, HEAD")
	}
}

func TestHandlerGzip(t *testing.T) {
	s := newStored(t, 300)
	plain := body(t, get(t, s.Handler(), "/tile/entries/000"))
	for accept, compressed := range map[string]bool{
		"": false, "gzip": true, "identity": false, "br, gzip": true, "gzip;q=0": false, "gzip; q=0.000": false, "*": true, "*;q=0": false,
		"gzip;q=0, *": false, "*, gzip;q=0": false, "*;q=0, gzip;q=0.1": true, "GZIP": true, "x-gzip": true, "gzipped": false, "gzip;q=x": false,
		"deflate, gzip;q=1.0": true,
	} {
		var header []string
		if accept != "" {
			header = []string{"Accept-Encoding", accept}
		}
		r := get(t, s.Handler(), "/tile/entries/000", header...)
		data := body(t, r)
		if got := r.Header.Get("Content-Encoding") == "gzip"; got != compressed {
			t.Errorf("Accept-Encoding %q: compressed %v", accept, got)
			continue
		}
		checkHeader(t, r, accept, "Content-Length", fmt.Sprint(len(data)))
		if compressed {
			unpacked, err := gzip.NewReader(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if data, err = io.ReadAll(unpacked); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(data, plain) {
			t.Errorf("Accept-Encoding %q: not the bundle", accept)
		}
		if again := get(t, s.Handler(), "/tile/entries/000", header...).Header.Get("ETag"); again != r.Header.Get("ETag") {
			t.Errorf("Accept-Encoding %q: the ETag changes", accept)
		}
	}
	if r := get(t, s.Handler(), "/tile/0/000", "Accept-Encoding", "gzip"); r.Header.Get("Content-Encoding") != "" {
		t.Error("hashes, which do not shrink, are compressed")
	}
}

func TestHandlerConditional(t *testing.T) {
	s := newStored(t, 300)
	h := s.Handler()
	first := get(t, h, "/tile/entries/000")
	tag := first.Header.Get("ETag")
	for _, test := range []struct {
		path   string
		header []string
		status int
	}{
		{"/tile/entries/000", []string{"If-None-Match", tag}, 304},
		{"/tile/entries/000", []string{"If-None-Match", "W/" + tag}, 304},
		{"/tile/entries/000", []string{"If-None-Match", `"other", ` + tag}, 304},
		{"/tile/entries/000", []string{"If-None-Match", "*"}, 304},
		{"/tile/entries/000", []string{"If-None-Match", `"other"`}, 200},
		{"/tile/entries/000", []string{"If-None-Match", tag, "Accept-Encoding", "gzip"}, 200},
		{"/tile/entries/000.p/255", []string{"If-None-Match", tag}, 200},
		{"/checkpoint", []string{"If-None-Match", "*"}, 200},
		{"/tile/9/000", []string{"If-None-Match", "*"}, 404},
	} {
		r := get(t, h, test.path, test.header...)
		if r.StatusCode != test.status {
			t.Errorf("%s %v: %s, want %d", test.path, test.header, r.Status, test.status)
		}
		if data := body(t, r); test.status == 304 && (len(data) > 0 || r.Header.Get("ETag") != tag || r.Header.Get("Cache-Control") == "") {
			t.Errorf("%s %v: %q %v", test.path, test.header, data, r.Header)
		}
	}
}

func TestHandlerMounted(t *testing.T) {
	s := newStored(t, 300)
	server := httptest.NewServer(http.StripPrefix("/ledger", s.Handler()))
	defer server.Close()
	for path, status := range map[string]int{
		"/ledger/checkpoint": 200, "/ledger/tile/0/000": 200, "/ledger/tile/0/%30%30%30": 404, "/ledger//checkpoint": 404, "/ledger": 404,
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			request, err := http.NewRequest(method, server.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r, err := server.Client().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			data := body(t, r)
			r.Body.Close()
			if r.StatusCode != status || method == http.MethodHead && len(data) > 0 {
				t.Errorf("%s %s: %s with %d bytes, want %d", method, path, r.Status, len(data), status)
			}
		}
	}
}

func TestHandlerOfDamagedLog(t *testing.T) {
	s := newStored(t, 600)
	blob := sha256.Sum256(testBlob(5))
	s.set(t, keyLeaf(17), nil)
	s.set(t, keyLeaf(300), make([]byte, 31))
	s.set(t, keyNode(1, 1), make([]byte, 33))
	s.set(t, keyBlob(blob), append(s.value(t, keyBlob(blob)), 'x'))
	for _, path := range []string{"/tile/0/000", "/tile/entries/000", "/tile/0/001", "/tile/1/000.p/2", "/blob/" + hex.EncodeToString(blob[:])} {
		checkRefused(t, get(t, s.Handler(), path), path, http.StatusInternalServerError)
	}
	_, err := s.resource("tile/entries/000")
	wantDamage(t, err, 17)
}

func TestHandlerAfterClose(t *testing.T) {
	s := newStored(t, 300)
	h := s.Handler()
	s.close(t)
	for _, path := range []string{"/checkpoint", "/tile/0/000", "/tile/entries/000", "/blob/" + sumOf(testBlob(5))} {
		checkRefused(t, get(t, h, path), path, http.StatusServiceUnavailable)
	}
}
