//go:build slow

package e2e

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"syscall"
	"testing"
	"time"
)

//go:embed testdata/browser.html
var browserPage []byte

// browserReport is what the page says of its own doings.
type browserReport struct {
	WebSocket struct {
		Text   string
		Binary int // bytes that came back right
		Code   int // of the close
		Clean  bool
	}
	Events []string
	Error  string
}

// TestBrowser has Chromium load a page through the sidecar. The page opens a
// WebSocket and an EventSource and reports, all through the sidecar. The
// server sends an event only after the page has acknowledged the one before:
// were events held back anywhere, the page would never get the last.
func TestBrowser(t *testing.T) {
	t.Parallel()
	const events = 5
	chromium := tool(t, "chromium", "chromium")
	acknowledged := make(chan int, events)
	reported := make(chan browserReport, 1)

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(browserPage) // a lost client shows as a missing report
	})
	mux.Handle("GET /ws", echo(nil))
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := 1; i <= events; i++ {
			fmt.Fprintf(w, "id: %d\ndata: event %d\n\n", i, i)
			if http.NewResponseController(w).Flush() != nil {
				return
			}
			select {
			case got := <-acknowledged:
				if got != i {
					t.Errorf("event %d was acknowledged as %d", i, got)
				}
			case <-r.Context().Done():
				return
			}
		}
		<-r.Context().Done() // the page ends the stream
	})
	mux.HandleFunc("POST /acknowledge/{id}", func(w http.ResponseWriter, r *http.Request) {
		if id, err := strconv.Atoi(r.PathValue("id")); err == nil {
			acknowledged <- id
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /report", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var report browserReport
		if err == nil {
			err = json.Unmarshal(body, &report)
		}
		if err != nil {
			t.Errorf("the page's report: %v\n%s", err, body)
		}
		reported <- report
		w.WriteHeader(http.StatusNoContent)
	})
	api := httptest.NewServer(mux)
	defer api.Close()

	s := startSidecar(t, api.URL, "--total-timeout", "30s")
	start(t, syscall.SIGKILL, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--disable-background-networking", "--no-first-run", "--no-proxy-server", "--user-data-dir="+t.TempDir(), s.url+"/")
	select {
	case report := <-reported:
		checkReport(t, report, events)
	case <-time.After(2 * patience):
		t.Fatal("the page did not report")
	}
	// The page, the report and the acknowledgements; the two streams.
	s.expectCounts(t, counts{"success": 1 + 1 + events + 2, "streams": 2})
}

func checkReport(t *testing.T, r browserReport, events int) {
	t.Helper()
	ws := r.WebSocket
	if r.Error != "" || ws.Text != "grüße" || ws.Binary != 1<<20 || ws.Code != 1000 || !ws.Clean {
		t.Errorf("the page's WebSocket: %+v", r)
	}
	for i := range events {
		if i >= len(r.Events) || r.Events[i] != fmt.Sprintf("%d: event %d", i+1, i+1) {
			t.Fatalf("the page's events: %q", r.Events)
		}
	}
}
