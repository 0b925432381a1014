package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/countersign-dev/countersign/ledger/logtest"
	"github.com/countersign-dev/countersign/ledger/verify"
	"github.com/countersign-dev/countersign/ledger/witness/witnesstest"
)

func TestLinesOfEntries(t *testing.T) {
	for leaf, want := range map[string]string{
		`{"kind":"k"}`: "     7                            k",
		`{"v":1,"reason":"it was \"slow\"","time":"2026-01-02T03:04:05.678901+01:00","kind":"incident.opened","incident_id":"i-1","stage":"DETECTED","once":"x"}`: "     7  2026-01-02T02:04:05.678Z  incident.opened   incident_id=i-1  stage=DETECTED  reason=\"it was \\\"slow\\\"\"",
		`{"kind":"k","time":"soon","list":[1,2,3],"object":{"a":1},"null":null,"number":1.50,"text":"","long":"` + strings.Repeat("x", 100) + `"}`:                "     7  soon                      k                 list=[3]  object.a=1  null=null  number=1.50  text=\"\"  long=" + strings.Repeat("x", 59) + "…",
		`{"kind":"k","text":"\u001b[2J"}`:        "     7                            k                 text=?[2J",
		`{"kind":"k","text":"a\u202eb\u009b2J"}`: "     7                            k                 text=a?b?2J",
		`{"kind":7,"time":{}}`:                   "     7",
		`{"kind":"k","metadata":{"version":"1.2","at": {"b":1},"n":[1]},"empty":{},"long":{"a":"` + strings.Repeat("x", 60) + `","b":"` + strings.Repeat("x", 60) + `","c":"` + strings.Repeat("x", 60) + `"}}`: "     7                            k                 metadata.version=1.2  metadata.at={…}  metadata.n=[1]  empty={0}  long={3}",
	} {
		e, err := readEntry([]byte(leaf))
		if err != nil {
			t.Errorf("%s: %v", leaf, err)
			continue
		}
		if got := e.line(7); got != want+"\n" {
			t.Errorf("%s:\n%s\nwant\n%s", leaf, got, want)
		}
	}
	for _, leaf := range []string{
		"", "7", "[]", `{"a":`, `{"a":1`, `{"a" 1}`, `{"a":1,"b":}`, `{"kind":"k","n":1}}`,
		"{\"kind\":\"k\",\"n\":1}\n{\"index\":8,\"leaf\":{\"kind\":\"forged\"}}",
	} {
		if e, err := readEntry([]byte(leaf)); err == nil {
			t.Errorf("%q is an entry: %v", leaf, e)
		}
	}
}

func TestLinesForPrograms(t *testing.T) {
	got, err := jsonLine(3, []byte("{\n \"kind\": \"<k>\",\t\"n\": 1e3\r\n}"))
	if want := `{"index":3,"leaf":{"kind":"<k>","n":1e3}}` + "\n"; err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
	forged := []byte("{\"kind\":\"k\"}}\n{\"index\":1,\"leaf\":{\"kind\":\"forged\"}")
	if got, err := jsonLine(0, forged); err == nil {
		t.Errorf("%s", got)
	}
	for _, args := range [][]string{{"--json"}, {"--json", "--kind", "k"}, nil} {
		l := logtest.New(t, "log")
		l.Append(forged)
		c, stdout, _ := captured(t, ledgerShowCommand(), args...)
		s, err := newShowing(c, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.run(t.Context(), l, nil); exitCode(readError(err)) != int(verify.Invalid) || strings.Contains(stdout.String(), "forged") {
			t.Errorf("%q: %v\n%s", args, err, stdout)
		}
	}
}

func TestFilters(t *testing.T) {
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		filter entryFilter
		leaf   string
		want   bool
	}{
		{entryFilter{}, `{}`, true},
		{entryFilter{kind: "k"}, `{"kind":"k"}`, true},
		{entryFilter{kind: "k"}, `{"kind":"kk"}`, false},
		{entryFilter{after: noon}, `{"time":"2026-01-02T12:00:00Z"}`, true},
		{entryFilter{after: noon}, `{"time":"2026-01-02T11:59:59.999Z"}`, false},
		{entryFilter{after: noon}, `{"time":"2026-01-02T12:30:00+01:00"}`, false},
		{entryFilter{after: noon}, `{}`, false},
	} {
		e, err := readEntry([]byte(c.leaf))
		if err != nil || c.filter.takes(e) != c.want {
			t.Errorf("%v takes %s: %v, %v", c.filter, c.leaf, !c.want, err)
		}
	}
	for text, want := range map[string]time.Time{
		"2026-01-02T12:00:00Z": noon, "2026-01-02": noon.Add(-12 * time.Hour), "90m": noon.Add(-90 * time.Minute),
	} {
		if got, err := parseTime(text, noon); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

// watched is an output that a test can read while it is written to.
type watched struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

// take returns what was written since the last time.
func (w *watched) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.text.Reset()
	return w.text.String()
}

// following is a running show --follow.
type following struct {
	t         *testing.T
	out, errs *watched
	idle      chan struct{} // it has printed what there was
	look      chan struct{} // it shall look again
	ended     chan error
}

func follow(t *testing.T, l *logtest.Log, args ...string) *following {
	t.Helper()
	c, _, _ := captured(t, ledgerShowCommand(), append(args, "--follow")...)
	f := &following{t, new(watched), new(watched), make(chan struct{}), make(chan struct{}), make(chan error, 1)}
	c.App.Writer, c.App.ErrWriter = f.out, f.errs
	s, err := newShowing(c, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	wait := func() {
		f.idle <- struct{}{}
		<-f.look
	}
	go func() { f.ended <- s.run(t.Context(), l, wait) }()
	return f
}

// printed waits until it is idle and returns what it has printed. It then
// stands still.
func (f *following) printed() string {
	f.t.Helper()
	select {
	case <-f.idle:
	case err := <-f.ended:
		f.t.Fatalf("following has ended: %v", err)
	}
	return f.out.take()
}

// again has it look again.
func (f *following) again() string {
	f.t.Helper()
	f.look <- struct{}{}
	return f.printed()
}

func TestFollowing(t *testing.T) {
	l := logtest.New(t, "log")
	l.GrowTo(300, "entry")
	f := follow(t, l, "--json", "--last", "2")
	if got := f.printed(); strings.Count(got, "\n") != 2 || !strings.HasPrefix(got, `{"index":298,`) {
		t.Errorf("at first: %s", got)
	}
	if got := f.again(); got != "" {
		t.Errorf("of nothing: %s", got)
	}
	l.GrowTo(900, "entry")
	if got := f.again(); strings.Count(got, "\n") != 600 || !strings.HasPrefix(got, `{"index":300,`) || !strings.Contains(got, `{"index":899,`) {
		t.Errorf("of 600 more: %d lines", strings.Count(got, "\n"))
	}
	l.Spoil(func(string, []byte) ([]byte, error) { return nil, errors.New("connection refused\x1b[2J") })
	if got, said := f.again()+f.again(), f.errs.take(); got != "" || said != "countersign: cannot read the log's checkpoint: connection refused?[2J; trying again every second\n" {
		t.Errorf("while it is down: %q, %q", got, said)
	}
	l.Spoil(nil)
	l.Rotate("second")
	l.GrowTo(902, "entry")
	if got := f.again(); strings.Count(got, "\n") != 2 || !strings.Contains(got, `"kind":"ledger.rotated"`) {
		t.Errorf("after a change of key: %s", got)
	}
	fork := logtest.New(t, "second")
	fork.GrowTo(902, "other")
	forged := fork.Checkpoint()
	l.Spoil(func(path string, data []byte) ([]byte, error) {
		if path == verify.CheckpointPath {
			return forged, nil
		}
		return fork.Get(context.Background(), path, verify.MaxEntries)
	})
	f.look <- struct{}{}
	if err := <-f.ended; exitCode(readError(err)) != int(verify.Rollback) {
		t.Errorf("of another history: %v", err)
	}
}

func TestFollowingEndsAtWhatWasAltered(t *testing.T) {
	l := logtest.New(t, "log")
	f := follow(t, l)
	f.printed()
	l.GrowTo(10, "entry")
	l.Spoil(func(path string, data []byte) ([]byte, error) {
		if strings.HasPrefix(path, "tile/entries/") {
			data[len(data)-3] ^= 1
		}
		return data, nil
	})
	f.look <- struct{}{}
	if err := <-f.ended; exitCode(readError(err)) != int(verify.Tampered) {
		t.Errorf("of an altered entry: %v", err)
	}
}

func TestProofsRestOnWitnessedCheckpoints(t *testing.T) {
	l := logtest.New(t, "log")
	l.GrowTo(300, "entry")
	l.Witness(witnesstest.New("w.example", time.Now).Signer())
	l.GrowTo(400, "entry")
	c, _, _ := captured(t, ledgerProveCommand())
	v, err := openView(t.Context(), c, l)
	if err != nil {
		t.Fatal(err)
	}
	for index, want := range map[uint64]bool{0: true, 299: true, 300: false, 399: false} {
		proof, err := prove(t.Context(), v, index)
		if err != nil || strings.Contains(string(proof), "\n— w.example ") != want {
			t.Errorf("entry %d: %s, %v", index, proof, err)
		}
	}
}

func TestTheKeyIsFollowed(t *testing.T) {
	l := logtest.New(t, "log")
	first := l.VKey()
	l.Rotate("second")
	for _, args := range [][]string{nil, {"--vkey", first}, {"--vkey", l.VKey()}} {
		c, _, _ := captured(t, ledgerShowCommand(), args...)
		v, err := openView(t.Context(), c, l)
		if err != nil || v.Key != l.VKey() {
			t.Errorf("%v: %v", args, err)
		}
	}
	c, _, _ := captured(t, ledgerShowCommand(), "--vkey", logtest.NewKey(t, "other").VKey)
	if _, err := openView(t.Context(), c, l); exitCode(err) != int(verify.Tampered) {
		t.Errorf("another key: %v", err)
	}
}

func FuzzLine(f *testing.F) {
	f.Add([]byte(`{"kind":"k","time":"2026-01-02T03:04:05Z","text":"a\u001b[2J\nb","list":[1]}`))
	f.Fuzz(func(t *testing.T, leaf []byte) {
		e, err := readEntry(leaf)
		if err != nil {
			return
		}
		line := e.line(1)
		if strings.Count(line, "\n") != 1 || strings.ContainsFunc(line, func(r rune) bool { return r != '\n' && !unicode.IsGraphic(r) }) {
			t.Errorf("%q is shown as %q", leaf, line)
		}
	})
}
