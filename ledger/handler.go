package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Handler serves the log for reading: C2SP tlog-tiles, blobs, and the checkpoint with its cosignatures. Paths are relative
// to its root, so mount it with http.StripPrefix.
//
//	GET /checkpoint
//	GET /checkpoint.witnessed                 404 while there is none
//	GET /tile/<L>/<N>[.p/<W>]
//	GET /tile/entries/<N>[.p/<W>]             gzip for clients that accept it
//	GET /blob/<SHA-256, 64 lowercase hex>
//
// Only acknowledged entries are seen. Tiles of every width that they fill are served, full or not. HEAD works too;
// an error is {"error": "…"}: 404 for what the log does not have, 405, 500 for a damaged store, 503 after Close.
func (l *Log) Handler() http.Handler { return serve(l) }

// serve answers requests for what a store has.
func serve(s store) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			refuse(w, http.StatusMethodNotAllowed, fmt.Errorf("the ledger is served for reading: %s is not possible, use GET or HEAD", r.Method))
			return
		}
		path := strings.TrimPrefix(r.URL.Path, "/")
		if r.URL.RawPath != "" {
			path = strings.TrimPrefix(r.URL.RawPath, "/") // a resource has one path, which needs no escaping
		}
		res, err := s.resource(path)
		if err != nil {
			refuse(w, status(err), err)
			return
		}
		answer(w, r, res)
	})
}

// status is the HTTP status of an error.
func status(err error) int {
	switch {
	case errors.Is(err, ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, ErrClosed):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// refuse answers with an error.
func refuse(w http.ResponseWriter, status int, err error) {
	body, _ := json.Marshal(map[string]string{"error": err.Error()}) // strings always marshal
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}

// answer answers with a resource. net/http keeps the body back when the request was HEAD.
func answer(w http.ResponseWriter, r *http.Request, res resource) {
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	if res.text {
		h.Set("Content-Type", "text/plain; charset=utf-8")
	}
	body := res.data
	if res.shrinks {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Values("Accept-Encoding")) {
			h.Set("Content-Encoding", "gzip")
			body = compress(body)
		}
	}
	if res.changes {
		h.Set("Cache-Control", "no-store")
	} else {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		sum := sha256.Sum256(body)
		tag := `"` + hex.EncodeToString(sum[:16]) + `"`
		h.Set("ETag", tag)
		if hasTag(r.Header.Values("If-None-Match"), tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}

// hasTag says whether an If-None-Match header names an entity tag, or any (RFC 9110, section 13.1.2).
func hasTag(header []string, tag string) bool {
	for _, line := range header {
		for candidate := range strings.SplitSeq(line, ",") {
			candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
			if candidate == tag || candidate == "*" {
				return true
			}
		}
	}
	return false
}
