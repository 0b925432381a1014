package witness_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/countersign-dev/countersign/ledger/witness"
	"github.com/countersign-dev/countersign/ledger/witness/witnesstest"
)

// testLog is a log in memory, by another tree than the witness's.
type testLog struct {
	origin string
	vkey   string
	signer note.Signer

	mu     sync.Mutex
	size   int64
	hashes []tlog.Hash
}

func newLog(t testing.TB, origin string) *testLog {
	t.Helper()
	seed := sha256.Sum256([]byte(origin))
	skey, vkey, err := note.GenerateKey(bytes.NewReader(seed[:]), origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	return &testLog{origin: origin, vkey: vkey, signer: signer}
}

func (l *testLog) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var found []tlog.Hash
	for _, i := range indexes {
		if i >= int64(len(l.hashes)) {
			return nil, errors.New("the log is smaller")
		}
		found = append(found, l.hashes[i])
	}
	return found, nil
}

// grow appends n entries of the given text and returns the new checkpoint.
func (l *testLog) grow(t testing.TB, n int, text string) (uint64, []byte) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for range n {
		hashes, err := tlog.StoredHashes(l.size, fmt.Appendf(nil, "%s %d", text, l.size), l)
		if err != nil {
			t.Fatal(err)
		}
		l.hashes = append(l.hashes, hashes...)
		l.size++
	}
	root, err := tlog.TreeHash(l.size, l)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", l.origin, l.size, base64.StdEncoding.EncodeToString(root[:]))}, l.signer)
	if err != nil {
		t.Fatal(err)
	}
	return uint64(l.size), signed
}

func (l *testLog) ProveConsistency(old, size uint64) ([][32]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	proof, err := tlog.ProveTree(int64(size), int64(old), l)
	var hashes [][32]byte
	for _, h := range proof {
		hashes = append(hashes, h)
	}
	return hashes, err
}

// hosts is a transport to handlers by host name.
type hosts struct {
	mu       sync.Mutex
	handlers map[string]http.Handler
}

func (h *hosts) set(name string, handler http.Handler) (before http.Handler) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before, h.handlers[name] = h.handlers[name], handler
	return before
}

func (h *hosts) RoundTrip(r *http.Request) (*http.Response, error) {
	h.mu.Lock()
	handler, ok := h.handlers[r.URL.Host]
	h.mu.Unlock()
	if !ok {
		return nil, errors.New("no such host")
	}
	answered := make(chan *http.Response, 1)
	go func() {
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, r)
		answered <- rec.Result()
	}()
	select {
	case res := <-answered:
		return res, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// cosigned is what the callback has received.
type cosigned struct {
	size uint64
	note string
}

// scene is a log, its client, and the witnesses.
type scene struct {
	t       *testing.T
	log     *testLog
	policy  *witness.Policy
	hosts   *hosts
	client  *witness.Client
	printed lockedBuffer

	mu  sync.Mutex
	got []cosigned
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// newScene gives the log the witnesses called names, each at https://name/w,
// of which quorum must cosign.
func newScene(t *testing.T, quorum string, names ...string) *scene {
	t.Helper()
	s := &scene{t: t, log: newLog(t, "log.example"), hosts: &hosts{handlers: map[string]http.Handler{}}}
	text := ""
	for _, name := range names {
		w := s.newWitness(name)
		text += fmt.Sprintf("witness %s %s https://%s/w\n", name, w.VerifierKey(), name)
	}
	text += fmt.Sprintf("group all-of-them %s %s\nquorum all-of-them\n", quorum, strings.Join(names, " "))
	var err error
	if s.policy, err = witness.ParsePolicy([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *scene) newWitness(name string) *witnesstest.Witness {
	w := witnesstest.New(name, time.Now)
	if err := w.Trust(s.log.vkey); err != nil {
		s.t.Fatal(err)
	}
	s.hosts.set(name, http.StripPrefix("/w", w))
	return w
}

// start runs a client until the test ends.
func (s *scene) start() {
	s.t.Helper()
	var err error
	s.client, err = witness.NewClient(witness.Config{
		Policy: s.policy, Prover: s.log, Transport: s.hosts, Log: slog.New(slog.NewTextHandler(&s.printed, nil)),
		Cosigned: func(size uint64, note []byte) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.got = append(s.got, cosigned{size, string(note)})
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.client.Run(ctx)
	}()
	s.t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// update grows the log, tells the client, and waits for d.
func (s *scene) update(n int, d time.Duration) {
	s.t.Helper()
	s.client.Update(s.log.grow(s.t, n, "entry"))
	time.Sleep(d)
	synctest.Wait()
}

// expect compares the sizes that the callback has received since the last
// time, and checks every note.
func (s *scene) expect(sizes ...uint64) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var got []uint64
	v, err := note.NewVerifier(s.log.vkey)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, c := range s.got {
		got = append(got, c.size)
		if _, ok := s.policy.Satisfied([]byte(c.note)); !ok {
			s.t.Errorf("the quorum has not cosigned\n%s", c.note)
		}
		if _, err := note.Open([]byte(c.note), note.VerifierList(v)); err != nil {
			s.t.Errorf("%v:\n%s", err, c.note)
		}
	}
	if !slices.Equal(got, sizes) {
		s.t.Errorf("cosigned sizes %v, want %v\n%s", got, sizes, s.printed.String())
	}
	s.got = nil
}

func (s *scene) saw(text string) bool { return strings.Contains(s.printed.String(), text) }
