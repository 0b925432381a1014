package corpus

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
)

func TestRecordingsAreWrittenAndRead(t *testing.T) {
	dir := t.TempDir()
	r := Recording{
		V: Version, Name: "Some Fault/1", Made: "recorded", How: "by hand", Expected: []diagnosis.Cause{diagnosis.Network}, Service: "shop",
		Documents: map[string]json.RawMessage{"decision.json": json.RawMessage(`{"before":{},"input":{},"decision":{}}`)}, Blobs: map[string][]byte{"x.hdr": {1, 2}},
	}
	if err := Write(dir, r); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "some-fault-1.json")); err != nil {
		t.Error(err)
	}
	got, err := Read(dir)
	if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], r) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := Read(t.TempDir()); err == nil {
		t.Error("a directory without recordings can be read")
	}
	for _, bad := range []string{
		`{`, `{"v":2,"expected":["network"]}`, `{"v":1,"expected":[]}`, `{"v":1,"expected":["sunspots"]}`, `{"v":1,"expected":["network"],"more":1}`,
	} {
		if _, err := Decode([]byte(bad)); err == nil {
			t.Errorf("%s is a recording", bad)
		}
	}
}

// always names one cause.
type always struct {
	diagnosis.Cause
	confidence float64
}

func (a always) Name() string { return "always" }

func (a always) Diagnose(context.Context, *diagnosis.Evidence) diagnosis.Opinion {
	return diagnosis.Opinion{Answer: &diagnosis.Answer{Cause: a.Cause, Confidence: a.confidence}}
}

func TestTable(t *testing.T) {
	document := map[string]json.RawMessage{"decision.json": json.RawMessage(`{}`)}
	recordings := []Recording{
		{Name: "a", Expected: []diagnosis.Cause{diagnosis.Network}, Documents: document},
		{Name: "b", Expected: []diagnosis.Cause{diagnosis.Certificate, diagnosis.Network}, Documents: document},
		{Name: "c", Expected: []diagnosis.Cause{diagnosis.Unknown}, Documents: document},
	}
	sure, err := Evaluate(context.Background(), recordings, always{diagnosis.Network, 0.9})
	if err != nil {
		t.Fatal(err)
	}
	if s := Summarize(sure); s.Right != 2 || s.Wrong != 1 || s.Abstained != 0 || len(s.Bands) != 1 || s.Bands[0] != (Band{0.9, 3, 2}) {
		t.Errorf("%+v", s)
	}
	if text := Table(sure); !strings.Contains(text, "unknown                1      0          0  network 1") || !strings.Contains(text, "3 recordings: 2 right (66.7 %), 0 abstained, 1 wrong") {
		t.Errorf("\n%s", text)
	}
	unsure, err := Evaluate(context.Background(), recordings, always{diagnosis.Network, 0.5})
	if err != nil {
		t.Fatal(err)
	}
	if s := Summarize(unsure); s.Right != 1 || s.Wrong != 0 || s.Abstained != 2 {
		t.Errorf("what is not told counts: %+v", s)
	}
}
