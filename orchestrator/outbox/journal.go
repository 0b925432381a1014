package outbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// What a line of the journal says of a delivery.
const (
	opTry      = "try"      // an attempt begins; synced before it does
	opSent     = "sent"     // the channel has accepted it; synced before anything else
	opFailed   = "failed"   // the attempt has ended without
	opRecorded = "recorded" // the receipt is in the ledger
)

// bulk is the size, in bytes, from which on it is worth leaving out what is recorded.
const bulk = 256 << 10

// line is a line of the journal.
type line struct {
	Op     string `json:"op"`
	ID     string `json:"id"`
	Resent int    `json:"resent,omitempty"`
	Proof  *proof `json:"proof,omitempty"`
}

// proof is a receipt with what its entry has in members of its own.
type proof struct {
	Receipt
	Tenant   string `json:"tenant"`
	Service  string `json:"service"`
	Incident string `json:"incident,omitempty"`
}

// trace is what the journal has of one delivery.
type trace struct {
	doubts int      // attempts of which the end is not known
	proof  *Receipt // it was accepted, and is not known to be recorded
}

// journal is the file that says what was sent before the ledger can. Lines are only
// appended, each with its checksum; when many are of no more use the file is written
// anew beside the old one and takes its place. It is safe for concurrent use. One
// process at a time may use it: the one that has the ledger open.
type journal struct {
	path string

	mu     sync.Mutex
	f      *os.File
	size   int64
	limit  int64 // it is written anew when it is larger
	traces map[key]trace
}

// openJournal opens the file at path, or makes it. Damaged says how many lines could
// not be read; what they said is lost, and the next attempt may be a repetition. A last
// line that was cut is not counted: nothing followed from it yet.
func openJournal(path string) (j *journal, damaged int, err error) {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, 0, cannotKeep(path, err)
	}
	j = &journal{path: path, limit: bulk}
	j.traces, damaged = readJournal(data)
	if err := j.rewrite(); err != nil {
		return nil, 0, cannotKeep(path, err)
	}
	return j, damaged, nil
}

func cannotKeep(path string, err error) error {
	return fmt.Errorf("what was sent cannot be kept in %s: %w; make it a file that this user can write", path, err)
}

// readJournal is what a journal's bytes say.
func readJournal(data []byte) (traces map[key]trace, damaged int) {
	traces = map[key]trace{}
	for len(data) > 0 {
		text, rest, whole := bytes.Cut(data, []byte("\n"))
		data = rest
		l, ok := readLine(text)
		if ok {
			apply(traces, l)
		} else if whole {
			damaged++
		}
	}
	return traces, damaged
}

// readLine reads eight hexadecimal digits, the CRC-32 of what follows, a space, and the
// line in JSON.
func readLine(text []byte) (l line, ok bool) {
	digits, body, ok := bytes.Cut(text, []byte(" "))
	if !ok || len(digits) != 8 {
		return line{}, false
	}
	sum, err := strconv.ParseUint(string(digits), 16, 32)
	if err != nil || uint32(sum) != crc32.ChecksumIEEE(body) || json.Unmarshal(body, &l) != nil || l.ID == "" {
		return line{}, false
	}
	return l, l.Op != opSent || l.Proof != nil && l.Proof.key() == key{l.ID, l.Resent}
}

func (l line) bytes() ([]byte, error) {
	body, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.ChecksumIEEE(body), body), nil
}

func apply(traces map[key]trace, l line) {
	k := key{l.ID, l.Resent}
	t := traces[k]
	switch l.Op {
	case opTry:
		t.doubts++
	case opSent:
		r := l.Proof.Receipt
		r.Tenant, r.Service, r.Incident = l.Proof.Tenant, l.Proof.Service, l.Proof.Incident
		t = trace{proof: &r}
	case opFailed:
		t.doubts = max(t.doubts-1, 0)
	case opRecorded:
		t = trace{}
	}
	if t == (trace{}) {
		delete(traces, k)
		return
	}
	traces[k] = t
}

// begin says that an attempt begins.
func (j *journal) begin(k key) error {
	return j.write(line{Op: opTry, ID: k.id, Resent: k.resent}, true)
}

// sent says that a channel has accepted what the receipt is of.
func (j *journal) sent(r Receipt) error {
	return j.write(line{Op: opSent, ID: r.ID, Resent: r.Resent, Proof: proofOf(r)}, true)
}

// failed says that an attempt has ended and the message is known not to be accepted.
func (j *journal) failed(k key) error {
	return j.write(line{Op: opFailed, ID: k.id, Resent: k.resent}, false)
}

// recorded says that a receipt is in the ledger.
func (j *journal) recorded(k key) error {
	return j.write(line{Op: opRecorded, ID: k.id, Resent: k.resent}, false)
}

func proofOf(r Receipt) *proof {
	return &proof{Receipt: r, Tenant: r.Tenant, Service: r.Service, Incident: r.Incident}
}

// open are the deliveries that are in doubt or not known to be recorded.
func (j *journal) open() map[key]trace {
	j.mu.Lock()
	defer j.mu.Unlock()
	return maps.Clone(j.traces)
}

func (j *journal) write(l line, synced bool) error {
	data, err := l.bytes()
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	apply(j.traces, l)
	if j.size+int64(len(data)) > j.limit {
		if err := j.rewrite(); err != nil {
			return cannotKeep(j.path, err)
		}
		return nil
	}
	n, err := j.f.Write(data)
	j.size += int64(n)
	if err == nil && synced {
		err = j.f.Sync()
	}
	if err != nil {
		// A line may be cut: only a file written anew is whole.
		j.limit = 0
		return cannotKeep(j.path, err)
	}
	return nil
}

// rewrite replaces the file by what is of use. A crash leaves the old or the new one.
func (j *journal) rewrite() error {
	fresh := j.path + ".new"
	f, err := os.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	var data []byte
	for k, t := range j.traces {
		lines := make([]line, t.doubts)
		for i := range lines {
			lines[i] = line{Op: opTry, ID: k.id, Resent: k.resent}
		}
		if t.proof != nil {
			lines = append(lines, line{Op: opSent, ID: k.id, Resent: k.resent, Proof: proofOf(*t.proof)})
		}
		for _, l := range lines {
			text, err := l.bytes()
			if err != nil {
				return errors.Join(err, f.Close())
			}
			data = append(data, text...)
		}
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(fresh, j.path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(j.path))
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if j.f != nil {
		_ = j.f.Close() // the old file is gone
	}
	j.f, j.size = f, int64(len(data))
	j.limit = max(bulk, 2*j.size)
	return nil
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.f.Close()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
