package outbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/notify"
)

// The environment of a child: where its data is, whom it tells, and at which point it
// is killed.
const (
	childDir   = "OUTBOX_TEST_DIR"
	childURL   = "OUTBOX_TEST_URL"
	childPoint = "OUTBOX_TEST_KILL"
)

// The points at which a process is killed, in the order in which it comes to them. At
// accepted and syncing the person has got the message and nothing on the disk says so.
const (
	atBegin     = "before the attempt is written down"
	atSend      = "before the message is sent"
	atAccepted  = "when the message is accepted"
	atSyncing   = "before that is written down"
	atSent      = "when that is written down"
	atRecording = "before the receipt is recorded"
	atRecorded  = "when the receipt is recorded"
	atNoted     = "when it is noted that it is"
)

// child is a process that is killed at its point.
type child struct {
	*journal
	dir, url, point string
}

// reach is where the process may be killed, as kill -9 does it.
func (c child) reach(point string) {
	if c.point == point {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func (c child) begin(k key) error { c.reach(atBegin); return c.journal.begin(k) }

func (c child) sent(r Receipt) error {
	c.reach(atSyncing)
	err := c.journal.sent(r)
	c.reach(atSent)
	return err
}

func (c child) recorded(k key) error { err := c.journal.recorded(k); c.reach(atNoted); return err }

func (c child) Carry(ctx context.Context, p Parcel) (notify.Receipt, error) {
	c.reach(atSend)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, strings.NewReader(p.ID))
	if err != nil {
		return notify.Receipt{}, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return notify.Receipt{}, err
	}
	defer resp.Body.Close()
	c.reach(atAccepted)
	return notify.Receipt{Reference: resp.Status}, nil
}

// The child's ledger is a file with a line for each entry.
func (c child) ledger() string { return filepath.Join(c.dir, "ledger") }

func (c child) Record(_ context.Context, r Receipt) error {
	c.reach(atRecording)
	m, err := r.Metadata()
	if err != nil {
		return err
	}
	e := entry(KindReceipt, r.At)
	e.IncidentID, e.Actor, e.Reason, e.Metadata = r.Incident, r.Actor(), r.Reason, m
	if err := appendEntries(c.ledger(), e); err != nil {
		return err
	}
	c.reach(atRecorded)
	return nil
}

func (c child) Read(_ context.Context, from uint64, visit func(incident.Indexed) error) (uint64, error) {
	entries, err := readEntries(c.ledger())
	if err != nil {
		return 0, err
	}
	for i, e := range entries {
		if uint64(i) >= from {
			if err := visit(incident.Indexed{Index: uint64(i), Entry: e}); err != nil {
				return 0, err
			}
		}
	}
	return uint64(len(entries)), nil
}

func appendEntries(path string, entries ...incident.Entry) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	var data []byte
	for _, e := range entries {
		text, err := json.Marshal(e)
		if err != nil {
			return err
		}
		data = append(append(data, text...), '\n')
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func readEntries(path string) (entries []incident.Entry, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		var e incident.Entry
		if err := json.Unmarshal(s.Bytes(), &e); err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// TestMain is the child when it is started as one: it ends when nothing is due.
func TestMain(m *testing.M) {
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	path := filepath.Join(dir, "outbox.sent")
	j, damaged, err := openJournal(path)
	if err != nil || damaged > 0 {
		fmt.Fprintln(os.Stderr, err, damaged)
		os.Exit(1)
	}
	c := child{journal: j, dir: dir, url: os.Getenv(childURL), point: os.Getenv(childPoint)}
	o := New(Options{
		Path: path, Ledger: c, Receipts: c, Carrier: c, Contacts: []Contact{{ID: "ana", Channels: []Way{{Channel: "chat"}}}},
		Now: func() time.Time { return began }, Poll: 5 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
			if s := o.Status(); s.Problem == "" && s.Pending == 0 {
				cancel()
			}
		}
	}()
	if err := o.run(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// person counts the messages that arrive, by their ids.
type person struct {
	mu  sync.Mutex
	got []string
}

func (p *person) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, err := io.ReadAll(r.Body)
	if err == nil {
		p.mu.Lock()
		p.got = append(p.got, string(id))
		p.mu.Unlock()
	}
}

// run starts a child that is killed at a point, or not when it is empty.
func run(t *testing.T, dir, url, point string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childURL+"="+url, childPoint+"="+point)
	out, err := cmd.CombinedOutput()
	if point == "" && err != nil {
		t.Fatalf("the process failed: %v\n%s", err, out)
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); point != "" && (!ok || status.Signal() != syscall.SIGKILL) {
		t.Fatalf("%s: it was not killed: %v\n%s", point, err, out)
	}
}

func TestKilledAtEachStep(t *testing.T) {
	for _, tt := range []struct {
		name    string
		points  []string
		heard   int
		outcome Outcome
	}{
		{atBegin, []string{atBegin}, 1, Delivered},
		{atSend, []string{atSend}, 1, Delivered},
		{atAccepted, []string{atAccepted}, 2, Delivered},
		{atSyncing, []string{atSyncing}, 2, Delivered},
		{atSent, []string{atSent}, 1, Delivered},
		{atRecording, []string{atRecording}, 1, Delivered},
		{atRecorded, []string{atRecorded}, 1, Delivered},
		{atNoted, []string{atNoted}, 1, Delivered},
		{"again and again after it was sent", []string{atAccepted, atSent, atRecording, atRecording, atRecorded}, 2, Delivered},
		{"again and again when it is accepted", []string{atAccepted, atAccepted}, 2, Dead},
		{"again and again before it is sent", []string{atSend, atSend}, 0, Dead},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			ledger := filepath.Join(dir, "ledger")
			must(t, appendEntries(ledger, entry(incident.KindShadowOff, began), staged(incident.Detected, began),
				due(incident.Notification, incident.EventIncident, incident.Detected, began)))
			ana := &person{}
			server := httptest.NewServer(ana)
			defer server.Close()
			for _, point := range tt.points {
				run(t, dir, server.URL, point)
			}
			run(t, dir, server.URL, "")
			run(t, dir, server.URL, "")
			if len(ana.got) != tt.heard || len(slices.Compact(ana.got)) > 1 {
				t.Errorf("it arrived as %q, want %d times with one id", ana.got, tt.heard)
			}
			entries, err := readEntries(ledger)
			must(t, err)
			var receipts []Receipt
			for _, e := range entries {
				if r, ok := ReceiptOf(e); ok {
					receipts = append(receipts, r)
				}
			}
			if len(receipts) != 1 || receipts[0].Outcome != tt.outcome || !receipts[0].Settles {
				t.Errorf("receipts %+v, want one that it is %s", receipts, tt.outcome)
			}
		})
	}
}
