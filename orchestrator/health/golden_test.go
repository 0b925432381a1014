package health

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/histogram"
)

var update = flag.Bool("update", false, "write the golden files")

// The document as it is sent, byte for byte: names, order, nulls and sentences.
func TestDocumentJSON(t *testing.T) {
	incident := func(t *testing.T) Document {
		s := newSeries(t)
		s.p.Gates.Adaptive = On
		s.train(20, 90*msec, 110*msec)
		busy := newTraffic(time.Minute).
			requests("GET /users/{id}", 900, 1250*msec, histogram.Success).
			requests("GET /users/{id}", 60, 40*msec, histogram.ServerError).
			requests("POST /webhooks/stripe", 30, 80*msec, histogram.Success).
			requests("GET /missing", 10, 2*msec, histogram.ClientError).
			waiting("GET /users/{id}", 7, 4*time.Second).
			unmeasured(histogram.ClientGone, 12).unmeasured(histogram.Malformed, 3)
		return s.see(busy)
	}
	for _, c := range []struct {
		file string
		doc  Document
	}{
		{"no_data.json", newSeries(t).see(newTraffic(0))},
		{"healthy.json", newSeries(t).see(ok(300, 20*msec))},
		{"incident.json", incident(t)},
	} {
		t.Run(c.file, func(t *testing.T) {
			got, err := json.MarshalIndent(c.doc, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			path := filepath.Join("testdata", c.file)
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("the document is\n%s\nwant\n%s", got, want)
			}
		})
	}
}
