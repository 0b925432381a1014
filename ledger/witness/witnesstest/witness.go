package witnesstest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"github.com/countersign-dev/countersign/ledger/witness"
)

const (
	maxBody  = 64 << 10
	maxProof = 63
)

// Witness is an http.Handler that answers POST /add-checkpoint. It is safe for
// concurrent use.
type Witness struct {
	vkey   string
	signer note.Signer

	mu   sync.Mutex
	logs map[string]*log // by origin
}

// log is what the witness knows of one log.
type log struct {
	verifiers []note.Verifier
	latest    checkpoint // size 0 when none was cosigned
}

type checkpoint struct {
	origin string
	size   uint64
	root   []byte
}

// New returns a witness that knows no log yet. Its key follows from its name,
// so that tests repeat; now is the time of its cosignatures.
func New(name string, now func() time.Time) *Witness {
	seed := sha256.Sum256([]byte("witnesstest " + name))
	key := ed25519.NewKeyFromSeed(seed[:])
	return &Witness{
		vkey:   witness.VerifierKey(name, key.Public().(ed25519.PublicKey)),
		signer: witness.NewCosigner(name, key, now),
		logs:   map[string]*log{},
	}
}

// VerifierKey returns the witness's verifier key.
func (w *Witness) VerifierKey() string { return w.vkey }

// Signer returns the signer of the witness's cosignatures, for notes that a
// test makes without asking.
func (w *Witness) Signer() note.Signer { return w.signer }

// Trust has the witness accept checkpoints signed by the log with this
// verifier key, whose name is the log's origin. A log may have several keys.
func (w *Witness) Trust(vkey string) error {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return fmt.Errorf("the log's verifier key: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.logs[v.Name()]
	if l == nil {
		l = &log{}
		w.logs[v.Name()] = l
	}
	l.verifiers = append(l.verifiers, v)
	return nil
}

// Size returns the size of the latest checkpoint that was cosigned for the
// log of this origin, 0 when none was.
func (w *Witness) Size(origin string) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l := w.logs[origin]; l != nil {
		return l.latest.size
	}
	return 0
}

// ServeHTTP answers add-checkpoint requests.
func (w *Witness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/add-checkpoint" {
		http.Error(rw, "there is only /add-checkpoint", http.StatusNotFound)
		return
	}
	if r.Method != http.MethodPost {
		rw.Header().Set("Allow", http.MethodPost)
		http.Error(rw, "only POST", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxBody))
	if err != nil {
		http.Error(rw, "the body cannot be read: "+err.Error(), http.StatusBadRequest)
		return
	}
	q, err := parseRequest(body)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	lines, refused := w.add(q)
	switch {
	case refused == nil:
		_, _ = io.WriteString(rw, lines)
	case refused.status == http.StatusConflict:
		rw.Header().Set("Content-Type", "text/x.tlog.size")
		rw.WriteHeader(refused.status)
		_, _ = fmt.Fprintf(rw, "%d\n", refused.size)
	default:
		http.Error(rw, refused.problem, refused.status)
	}
}

// refusal is an answer other than 200.
type refusal struct {
	status  int
	problem string
	size    uint64 // with 409
}

// add checks a request and cosigns its checkpoint, in the order of the
// specification. Nothing else happens between looking at the latest
// checkpoint and replacing it.
func (w *Witness) add(q *request) (lines string, refused *refusal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.logs[q.checkpoint.origin]
	if l == nil {
		return "", &refusal{status: http.StatusNotFound, problem: "unknown log"}
	}
	if _, err := note.Open(q.signed, note.VerifierList(l.verifiers...)); err != nil {
		return "", &refusal{status: http.StatusForbidden, problem: "not signed by a trusted key of the log"}
	}
	if q.old > q.checkpoint.size {
		return "", &refusal{status: http.StatusBadRequest, problem: "the old size is larger than the checkpoint's"}
	}
	if q.old != l.latest.size {
		return "", &refusal{status: http.StatusConflict, size: l.latest.size}
	}
	if q.old == 0 && len(q.proof) > 0 {
		return "", &refusal{status: http.StatusUnprocessableEntity, problem: "a proof from size 0 is empty"}
	}
	if q.old == q.checkpoint.size && q.old > 0 && string(l.latest.root) != string(q.checkpoint.root) {
		return "", &refusal{status: http.StatusConflict, size: l.latest.size}
	}
	if q.old > 0 {
		err := proof.VerifyConsistency(rfc6962.DefaultHasher, q.old, q.checkpoint.size, q.proof, l.latest.root, q.checkpoint.root)
		if err != nil {
			return "", &refusal{status: http.StatusUnprocessableEntity, problem: "the consistency proof does not verify"}
		}
	}
	signed, err := note.Sign(&note.Note{Text: q.text}, w.signer)
	if err != nil {
		return "", &refusal{status: http.StatusInternalServerError, problem: err.Error()}
	}
	l.latest = q.checkpoint
	return strings.TrimPrefix(string(signed), q.text+"\n"), nil
}

type request struct {
	old        uint64
	proof      [][]byte
	signed     []byte
	text       string
	checkpoint checkpoint
}

func parseRequest(body []byte) (*request, error) {
	head, signed, ok := strings.Cut(string(body), "\n\n")
	if !ok {
		return nil, errors.New("there is no empty line before the checkpoint")
	}
	lines := strings.Split(head, "\n")
	digits, ok := strings.CutPrefix(lines[0], "old ")
	old, sized := parseSize(digits)
	if !ok || !sized {
		return nil, errors.New(`the first line is not "old <size>"`)
	}
	q := &request{old: old, signed: []byte(signed)}
	if len(lines)-1 > maxProof {
		return nil, fmt.Errorf("the proof has more than %d lines", maxProof)
	}
	for _, line := range lines[1:] {
		hash, ok := parseHash(line)
		if !ok {
			return nil, errors.New("a line of the proof is not a hash in base64")
		}
		q.proof = append(q.proof, hash)
	}
	_, err := note.Open(q.signed, nil)
	n, ok := errors.AsType[*note.UnverifiedNoteError](err)
	if !ok {
		return nil, errors.New("the checkpoint is not a signed note")
	}
	q.text = n.Note.Text
	if q.checkpoint, ok = parseCheckpoint(q.text); !ok {
		return nil, errors.New("the note is not a checkpoint")
	}
	return q, nil
}

func parseCheckpoint(text string) (c checkpoint, ok bool) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 3 {
		return c, false
	}
	for _, line := range lines {
		if line == "" {
			return c, false
		}
	}
	c.origin = lines[0]
	var sized, hashed bool
	c.size, sized = parseSize(lines[1])
	c.root, hashed = parseHash(lines[2])
	return c, sized && hashed
}

// parseSize reads a decimal without leading zeroes.
func parseSize(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && strconv.FormatUint(n, 10) == s
}

func parseHash(s string) ([]byte, bool) {
	hash, err := base64.StdEncoding.Strict().DecodeString(s)
	return hash, err == nil && len(hash) == sha256.Size && !strings.Contains(s, "\r")
}
