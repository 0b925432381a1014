package ledger

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/ledger/witness"
	"github.com/countersign-dev/countersign/ledger/witness/witnesstest"
)

// witnessed makes the policy of one witness that knows a log.
func witnessed(t testing.TB, o Options, serve func(*witnesstest.Witness) http.Handler) *witness.Policy {
	t.Helper()
	w := witnesstest.New("example.com/witness", time.Now)
	key, err := readKey(filepath.Join(o.Dir, keyName))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Trust(key.vkey); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(serve(w))
	t.Cleanup(server.Close)
	policy, err := witness.ParsePolicy(fmt.Appendf(nil, "log %s\nwitness w %s %s\nquorum w\n", key.vkey, w.VerifierKey(), server.URL))
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

// waitWitnessed waits until a checkpoint of a size is cosigned.
func waitWitnessed(t testing.TB, l *Log, size uint64) Checkpoint {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); runtime.Gosched() {
		if c, ok := l.Witnessed(); ok && c.Size >= size {
			return c
		}
	}
	t.Fatalf("no witness has cosigned the checkpoint of %d entries", size)
	return Checkpoint{}
}

func TestCosigning(t *testing.T) {
	o := closedLog(t, 3)
	older := filepath.Join(t.TempDir(), "older")
	copyTree(t, o.Dir, older)
	o.Witnesses = witnessed(t, o, func(w *witnesstest.Witness) http.Handler { return w })
	l := openLog(t, o)
	c := waitWitnessed(t, l, 4)
	if c.Size != 4 || c.Root != l.Checkpoint().Root || c.Origin != logOrigin {
		t.Errorf("the cosigned checkpoint is %+v, want that of %+v", c, l.Checkpoint())
	}
	checkNote(t, &c, l.VerifierKey())
	if names, ok := o.Witnesses.Satisfied(c.Note); !ok || len(names) != 1 {
		t.Errorf("the policy is not satisfied with %s: %v", c.Note, names)
	}
	appendLeaves(t, l, 2)
	c = waitWitnessed(t, l, 6)
	closeLog(t, l)
	kept, err := os.ReadFile(filepath.Join(o.Dir, "anchor", "checkpoint.witnessed"))
	if err != nil || !bytes.Equal(kept, c.Note) {
		t.Errorf("%s is kept (%v), want %s", kept, err, c.Note)
	}

	o.Witnesses = nil
	l = openLog(t, o)
	if again, ok := l.Witnessed(); !ok || !bytes.Equal(again.Note, c.Note) {
		t.Errorf("after a restart %s is cosigned, want %s", again.Note, c.Note)
	}
	closeLog(t, l)

	// Store and anchor put back together are found out by what a witness has seen.
	if err := os.Rename(filepath.Join(o.Dir, "anchor", "checkpoint.witnessed"), filepath.Join(older, "anchor", "checkpoint.witnessed")); err != nil {
		t.Fatal(err)
	}
	o.Dir = older
	checkOpenRefused(t, o, 4, true, "acknowledges 6 entries and the store has 4")
}

// TestWitnessThatHangs must not keep an append or Close waiting.
func TestWitnessThatHangs(t *testing.T) {
	o := closedLog(t, 3)
	asked, release := make(chan bool, 100), make(chan bool)
	o.Witnesses = witnessed(t, o, func(*witnesstest.Witness) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			asked <- true
			select {
			case <-release:
			case <-r.Context().Done():
			}
		})
	})
	t.Cleanup(func() { close(release) })
	l := openLog(t, o)
	<-asked
	appendLeaves(t, l, 20)
	if _, ok := l.Witnessed(); ok {
		t.Error("a checkpoint is cosigned by a witness that has not answered")
	}
	closeLog(t, l)
}

func TestKeepCosigned(t *testing.T) {
	o := testOptions(t)
	l := openLog(t, o)
	small := l.Checkpoint()
	appendLeaves(t, l, 1)
	large := l.Checkpoint()
	l.keepCosigned(large.Size, large.Note)
	l.keepCosigned(small.Size, small.Note)
	l.keepCosigned(large.Size+1, []byte("nonsense"))
	if c, ok := l.Witnessed(); !ok || c.Size != large.Size {
		t.Errorf("%+v is cosigned, want the checkpoint of %d entries", c, large.Size)
	}
}
