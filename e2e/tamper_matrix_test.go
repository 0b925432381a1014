//go:build slow

package e2e

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/countersign-dev/countersign/ledger/verify"
)

// tamperPatience is how long one verification may take.
const tamperPatience = 20 * time.Second

// A tamperMode is what a verification is given besides the log.
type tamperMode string

const (
	withKey     tamperMode = "with the key"
	withKept    tamperMode = "with the key and kept checkpoints"
	withOldest  tamperMode = "with the key and the oldest kept checkpoint"
	withOwnKey  tamperMode = "with nothing"
	withWitness tamperMode = "with the key and the witnesses' policy"
)

// A tamperCase is one alteration of a log and what verifications may say of it.
type tamperCase struct {
	object, operation string
	name              string                    // which one of them
	change            bundleFiles               // of the bundle
	spoil             func(bundle string) error // a further change, of a bundle's directory

	raw    []byte                                                                            // the archive or proof itself, where that is altered
	store  *storeCase                                                                        // what a data directory has besides
	answer func(w http.ResponseWriter, r *http.Request, path string, files bundleFiles) bool // to a request, in the place of the file
	ask    func(o *verify.Options)                                                           // what is asked otherwise
	only   tamperMode                                                                        // the one mode in which this makes sense

	codes []verify.Code                // that are right
	in    map[tamperMode][]verify.Code // that are right in a mode instead

	// Where it can be known, the report must name the entry, or entries [span[0],
	// span[1]] or some of them.
	index *uint64
	span  *[2]uint64

	// documented marks what the documentation says nobody can find without help
	// from outside: in the modes without that help the log is as sound as another
	// one.
	documented bool
}

// altered begins a case that is found: what is there is not what was signed.
func altered(object, operation string, change bundleFiles, name string, args ...any) tamperCase {
	return tamperCase{object: object, operation: operation, change: change, name: fmt.Sprintf(name, args...), codes: []verify.Code{verify.Tampered}}
}

// says replaces the codes that are right.
func (c tamperCase) says(codes ...verify.Code) tamperCase {
	c.codes = codes
	return c
}

// saysIn replaces the codes that are right in one mode.
func (c tamperCase) saysIn(mode tamperMode, codes ...verify.Code) tamperCase {
	c.in = maps.Clone(c.in)
	if c.in == nil {
		c.in = map[tamperMode][]verify.Code{}
	}
	c.in[mode] = codes
	return c
}

// harmless is a case that changes nothing of what is proven.
func (c tamperCase) harmless() tamperCase { return c.says(verify.Verified) }

// undetectable is a case that is documented to be found with a kept checkpoint only.
func (c tamperCase) undetectable() tamperCase {
	c.documented = true
	return c.says(verify.Verified).saysIn(withKept, verify.Rollback)
}

// at says which entry the report must name.
func (c tamperCase) at(index int) tamperCase {
	i := uint64(index)
	c.index = &i
	return c
}

// within says among which entries the problem must be.
func (c tamperCase) within(first, last int) tamperCase {
	c.span = &[2]uint64{uint64(first), uint64(last)}
	return c
}

// An outcome is what became of one verification.
type outcome int

const (
	found      outcome = iota
	sameRoot           // verified, and rightly: nothing of what is proven was changed
	asExpected         // verified, as is documented of logs altered like this
	failed             // not as the case says
)

// judge compares a report with what the case says. original is the report on the
// log before.
func (c *tamperCase) judge(mode tamperMode, r, original *verify.Report) (outcome, error) {
	allowed := c.codes
	if codes, ok := c.in[mode]; ok {
		allowed = codes
	}
	problem := "none"
	if r.Problem != nil {
		problem = r.Problem.String()
	}
	if !slices.Contains(allowed, r.Code) {
		return found, fmt.Errorf("the verdict is %s, and right is only %v; problem: %s", r.Verdict, allowed, problem)
	}
	if r.Code == verify.Verified {
		switch {
		case c.documented:
			return asExpected, nil
		case r.Root != original.Root || r.Size != original.Size || r.Entries != original.Entries:
			return found, fmt.Errorf("verified, but with %d entries and root %s instead of %d and %s", r.Size, r.Root, original.Size, original.Root)
		}
		return sameRoot, nil
	}
	if r.Problem == nil || r.Problem.Text == "" {
		return found, errors.New("the report does not say what is wrong")
	}
	if mode == withOwnKey {
		// Damage to the entry that names the key can come before that of an entry.
		return found, nil
	}
	return found, c.locate(r.Problem)
}

// locate makes sure that the problem is where it must be.
func (c *tamperCase) locate(p *verify.Problem) error {
	var first, last uint64
	switch {
	case p.Index != nil:
		first, last = *p.Index, *p.Index
	case p.Range != nil:
		first, last = p.Range[0], p.Range[1]
	case c.index == nil && c.span == nil:
		return nil
	default:
		return fmt.Errorf("the report names no entry: %s", p)
	}
	switch {
	case c.index != nil && (p.Index == nil || *p.Index != *c.index):
		return fmt.Errorf("the report must name entry %d: %s", *c.index, p)
	case c.span != nil && (first < c.span[0] || last > c.span[1]):
		return fmt.Errorf("the report must name entries from %d to %d: %s", c.span[0], c.span[1], p)
	}
	return nil
}

// tamperMatrix counts what was tried. It is safe for concurrent use.
type tamperMatrix struct {
	mu     sync.Mutex
	cases  map[string]map[string]int  // by "object, operation", then place
	counts map[string]map[outcome]int // verifications, by place
}

func newTamperMatrix() *tamperMatrix {
	return &tamperMatrix{cases: map[string]map[string]int{}, counts: map[string]map[outcome]int{}}
}

// A trial verifies the log of a case in all ways that its place has, and tells
// what each came to.
type trial func(ctx context.Context, c *tamperCase, tell func(mode tamperMode, o outcome, err error))

// run tries the cases of a place, on as many goroutines as there are processors.
// Each has a trial of its own, which prepare makes. There must be at least so
// many cases. It tries those of rare operations, the first of each operation on
// each kind of object, and one in each so many of the others: of all of them when
// COUNTERSIGN_TAMPER_ALL is set.
func (m *tamperMatrix) run(t *testing.T, place string, least, each int, cases iter.Seq[tamperCase], prepare func(t *testing.T) trial) {
	if os.Getenv("COUNTERSIGN_TAMPER_ALL") != "" {
		each = 1
	}
	begun, before := time.Now(), m.counted(place)
	queue := make(chan tamperCase)
	var running sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		try := prepare(t)
		running.Go(func() {
			for c := range queue {
				m.try(t, place, c, try)
			}
		})
	}
	n, tried := 0, 0
	kinds := make(map[string]bool)
	for c := range cases {
		n++
		kind := c.object + " " + c.operation
		if n%each == 0 || !kinds[kind] || rarely(&c) {
			queue <- c
			tried++
		}
		kinds[kind] = true
	}
	close(queue)
	running.Wait()
	after := m.counted(place)
	of := func(o outcome) int { return after[o] - before[o] }
	t.Logf("%s: %d of %d cases in %v; of the verifications %d find it, %d have the same root, %d are as documented, %d failed", place, tried, n,
		time.Since(begun).Round(100*time.Millisecond), of(found), of(sameRoot), of(asExpected), of(failed))
	if n < least {
		t.Errorf("%s: only %d cases, and there are at least %d: some were lost", place, n, least)
	}
}

// counted is how the verifications of a place came out so far.
func (m *tamperMatrix) counted(place string) map[outcome]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.counts[place])
}

func (m *tamperMatrix) try(t *testing.T, place string, c tamperCase, try trial) {
	m.count(place, &c)
	ctx, cancel := context.WithTimeout(context.Background(), tamperPatience)
	defer cancel()
	tell := func(mode tamperMode, o outcome, err error) { m.tell(t, place, &c, mode, o, err) }
	defer func() {
		if p := recover(); p != nil {
			tell("", found, fmt.Errorf("it panics: %v", p))
		}
	}()
	try(ctx, &c, tell)
	if ctx.Err() != nil {
		tell("", found, fmt.Errorf("it takes longer than %v", tamperPatience))
	}
}

func (m *tamperMatrix) count(place string, c *tamperCase) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := c.object + ", " + c.operation
	if m.cases[key] == nil {
		m.cases[key] = map[string]int{}
	}
	m.cases[key][place]++
}

// maxTamperFailures is how many failures of a place are printed.
const maxTamperFailures = 100

func (m *tamperMatrix) tell(t *testing.T, place string, c *tamperCase, mode tamperMode, o outcome, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		o = failed
	}
	if m.counts[place] == nil {
		m.counts[place] = map[outcome]int{}
	}
	m.counts[place][o]++
	switch {
	case err != nil && m.counts[place][failed] <= maxTamperFailures:
		t.Errorf("%s, %s, %s: %s, %s: %v", place, c.object, c.operation, c.name, mode, err)
	case err != nil:
		t.Fail()
	}
}

// String is a table of the cases.
func (m *tamperMatrix) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	places := map[string]int{}
	for _, of := range m.cases {
		for place, n := range of {
			places[place] += n
		}
	}
	columns := sortedKeys(places)
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(cells ...any) {
		for _, cell := range cells {
			fmt.Fprintf(w, "%v\t", cell)
		}
		fmt.Fprintln(w)
	}
	row := func(name string, of map[string]int) {
		cells, sum := []any{name}, 0
		for _, place := range columns {
			cells, sum = append(cells, of[place]), sum+of[place]
		}
		line(append(cells, sum)...)
	}
	head := []any{"object, operation"}
	for _, place := range columns {
		head = append(head, place)
	}
	line(append(head, "all")...)
	for _, key := range sortedKeys(m.cases) {
		row(key, m.cases[key])
	}
	row("cases", places)
	for o, name := range []string{
		found: "verifications that find it", sameRoot: "harmless: same root", asExpected: "not to be found, as documented", failed: "failed",
	} {
		of := map[string]int{}
		for place, counts := range m.counts {
			of[place] = counts[outcome(o)]
		}
		row(name, of)
	}
	w.Flush()
	return b.String()
}
