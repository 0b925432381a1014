package ledger_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/ledger/logtest"
	"github.com/countersign-dev/countersign/ledger/verify"
)

// TestWriterAndVerifierAgree has both judge leaves near the border of what is
// one: what the writer takes must verify, and what does not must not be taken.
func TestWriterAndVerifierAgree(t *testing.T) {
	log, err := ledger.Open(t.Context(), ledger.Options{Dir: t.TempDir(), Origin: "log.example", MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	}()
	nested := func(n int) string {
		return `{"kind":"a","x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`
	}
	timed := func(text string) string { return `{"kind":"a","time":"` + text + `"}` }
	once := func(text string) string { return `{"kind":"a","once":"` + text + `"}` }
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte("x")))
	empty := fmt.Sprintf("%x", sha256.Sum256(nil))
	evidence := func(members string) string { return `{"kind":"a","evidence":[{` + members + `}]}` }
	for _, leaf := range []string{
		nested(9998), nested(9999), nested(10000), nested(10001),
		"\ufeff" + `{"kind":"a"}`, `{"kind":"a"} `, "\n" + `{"kind":"a"}`, `{"kind":"a"}` + "\x00", `{"kind":"a",}`, ``, `[]`,
		`{"kind":"a","\u006bind":"b"}`, `{"k\u0069nd":"a"}`, `{"kind":"\u0000"}`, "{\"kind\":\"a\x7f\"}", `{"kind":"ledger\u002ex"}`, `{"kind":"Ledger.x"}`,
		timed("2026-01-02T03:04:05Z"), timed("2026-01-02T03:04:05,5Z"), timed("2026-01-02T3:04:05Z"), timed("2026-01-02T03:04:60Z"), timed("2026-01-02t03:04:05z"),
		timed("2026-01-02T03:04:05+24:00"), timed("2026-01-02T03:04:05+23:60"), timed("2026-01-02T03:04:05+99:99"), timed("2026-01-02T24:00:00Z"),
		timed("0000-01-01T00:00:00Z"), timed("2026-01-02T03:04:05.1234567890123Z"), timed("2026-01-02 03:04:05Z"), timed(""), `{"kind":"a","time":null}`,
		`{"kind":"a","once":null}`, once(""), once(strings.Repeat(`\u00e9`, 128)), once(strings.Repeat(`\u00e9`, 129)), once(`\ud800`),
		`{"kind":"a","evidence":null}`, `{"kind":"a","evidence":[]}`, evidence(""),
		evidence(`"name":"x","sha256":"` + sum + `","len":1e2`), evidence(`"name":"x","sha256":"` + empty + `","len":-0`),
		evidence(`"name":"x","sha256":"` + sum + `","len":1.0`), evidence(`"name":"x","sha256":"` + sum + `","len":524289`),
		evidence(`"name":"x","name":"y","sha256":"` + sum + `","len":1`), evidence(`"name":"x","sha256":"` + sum + `","len":1,"z":1,"z":2`),
		evidence(`"name":"x","sha256":"` + `\u0032` + sum[1:] + `","len":1`),
		`{"kind":"a","x":"\ud800"}`, `{"\ud800":1,"\ud801":2,"kind":"a"}`, `{"kind":"a","x":01}`, `{"kind":"a","x":-}`, `{"kind":"a","x":1.}`,
	} {
		entry := ledger.Entry{Leaf: []byte(leaf)}
		switch {
		case strings.Contains(leaf, empty):
			entry.Blobs = [][]byte{{}}
		case strings.Contains(leaf, sum[1:]):
			entry.Blobs = [][]byte{[]byte("x")}
		}
		var err error
		if strings.Contains(leaf, `"once"`) {
			_, _, err = log.AppendOnce(t.Context(), entry)
		} else {
			_, err = log.Append(t.Context(), []ledger.Entry{entry})
		}
		problem, refused := errors.AsType[*ledger.EntryError](err)
		if err != nil && !refused {
			t.Fatalf("%.80q: %v", leaf, err)
		}
		one := logtest.New(t, "log")
		one.Append([]byte(leaf))
		r := verify.Log(context.Background(), one, verify.Options{})
		valid := r.Code == verify.Verified || r.Problem != nil && strings.HasPrefix(r.Problem.Resource, "blob/")
		// The writer is stricter in what two readers might understand differently.
		stricter := leaf == once(`\ud800`) || strings.HasSuffix(leaf, `"z":1,"z":2}]}`)
		if refused == valid && !stricter {
			t.Errorf("%.80q: the writer says %v, and the verifier %s %v", leaf, problem, r.Verdict, r.Problem)
		}
	}
}
