package change

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// How much is kept of each tenant; the oldest goes first.
const (
	Keep       = 7 * 24 * time.Hour
	MaxChanges = 2000
	// maxText bounds a tenant's changes in bytes, so that 2,000 of the largest
	// do not take what the whole sidecar may.
	maxText = 2 << 20
	// maxBefore is the most that an incident is shown; the newest are.
	maxBefore = 50
)

// Skew is how far clocks may disagree: a change is looked for up to this much
// after an incident's start, because it was dated by another machine's clock,
// and a change from further in the future than maxAhead is dated now.
const (
	Skew     = 30 * time.Second
	maxAhead = 5 * time.Minute
)

// Store keeps the changes of all tenants: in memory, and in a file so that
// they survive a restart. Reading it never waits for the disk. Its methods
// are safe for concurrent use.
type Store struct {
	now func() time.Time

	mu      sync.Mutex // guards shelves
	shelves map[string]*shelf

	file *file // nil when kept in memory only
}

// shelf is what one tenant has.
type shelf struct {
	changes    []Change // by At, those of the same At as they came
	text       int      // bytes of changes
	deliveries []delivery
}

// delivery is a webhook delivery that was taken.
type delivery struct {
	Tenant string    `json:"tenant_id"`
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
}

// Open reads the changes kept in the file at path, and keeps them there from
// now on; with an empty path in memory only. A file or a disk at fault is
// logged and never an error: what changed is worth knowing, and nothing
// depends on it. A file of which something could not be read is kept beside
// the new one, as path.damaged-N.
//
// now is the clock, time.Now when nil; log is slog.Default when nil.
func Open(path string, now func() time.Time, log *slog.Logger) *Store {
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = slog.Default()
	}
	s := &Store{now: now, shelves: make(map[string]*shelf)}
	if path != "" {
		s.file = openFile(path, log, s)
	}
	return s
}

// Close closes the file; nothing is added after it.
func (s *Store) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.close()
}

// Add keeps a change, cleaned and bounded, and flags what its files touch.
// It says whether the change is new: one that is there already, by its ID or
// as the same commit, only gains the details that it lacked. A change without
// a time, or from more than five minutes ahead, is dated now; one older than
// Keep is not kept. The error is of a change that is none: without an ID or
// tenant, or of an unknown kind or source.
func (s *Store) Add(c Change) (added bool, err error) {
	c, err = tidy(c)
	if err != nil {
		return false, err
	}
	now := s.now()
	s.mu.Lock()
	kept, added, news := s.put(dated(c, now), now)
	s.mu.Unlock()
	if news && s.file != nil {
		s.file.append(s, record{Change: &kept})
	}
	return added, nil
}

// AddDelivery keeps the changes of one webhook delivery. A delivery that was
// taken before, also before a restart, is a duplicate and adds nothing.
func (s *Store) AddDelivery(tenant, id string, changes []Change) (added int, duplicate bool, err error) {
	tidied := make([]Change, len(changes))
	for i, c := range changes {
		if c.Tenant != tenant {
			return 0, false, fmt.Errorf("a delivery for tenant %q has a change of tenant %q", tenant, c.Tenant)
		}
		if tidied[i], err = tidy(c); err != nil {
			return 0, false, err
		}
	}
	now := s.now()
	d := delivery{Tenant: tenant, ID: id, At: now.UTC()}
	var records []record
	s.mu.Lock()
	if !s.putDelivery(d, now) {
		s.mu.Unlock()
		return 0, true, nil
	}
	for _, c := range tidied {
		kept, isNew, news := s.put(dated(c, now), now)
		if isNew {
			added++
		}
		if news {
			records = append(records, record{Change: &kept})
		}
	}
	s.mu.Unlock()
	if s.file != nil {
		s.file.append(s, append(records, record{Delivery: &d})...)
	}
	return added, false, nil
}

// Before is what changed from d before start to start, the newest first, at
// most 50. It reaches Skew beyond start, for clocks that disagree. Of one
// deployment only the latest step within that time is told.
func (s *Store) Before(tenant string, start time.Time, d time.Duration) []Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Change
	deployments := make(map[string]bool)
	for c := range s.newest(tenant) {
		if c.At.Before(start.Add(-d)) || len(found) == maxBefore {
			break
		}
		if c.At.After(start.Add(Skew)) {
			continue
		}
		if name, ok := deploymentOf(c); ok {
			if deployments[name] {
				continue
			}
			deployments[name] = true
		}
		found = append(found, c.clone())
	}
	return found
}

// Recent is the newest n changes, the newest first.
func (s *Store) Recent(tenant string, n int) []Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Change
	for c := range s.newest(tenant) {
		if len(found) >= n {
			break
		}
		found = append(found, c.clone())
	}
	return found
}

// lookup says whether a change is kept, and whether its lines are known.
func (s *Store) lookup(tenant, id string) (kept, lines bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.shelves[tenant]
	if sh == nil {
		return false, false
	}
	i := sh.find(id)
	return i >= 0, i >= 0 && sh.changes[i].Added+sh.changes[i].Removed > 0
}

// newest goes through what is not too old, with mu held.
func (s *Store) newest(tenant string) func(yield func(Change) bool) {
	oldest := s.now().Add(-Keep)
	return func(yield func(Change) bool) {
		sh := s.shelves[tenant]
		if sh == nil {
			return
		}
		for _, c := range slices.Backward(sh.changes) {
			if c.At.Before(oldest) || !yield(c) {
				return
			}
		}
	}
}

// dated is c with a time that can be.
func dated(c Change, now time.Time) Change {
	if c.At.IsZero() || c.At.After(now.Add(maxAhead)) {
		c.At = now
	}
	c.At = c.At.UTC()
	return c
}

// put keeps c, with mu held. It returns what is kept now, whether it is a new
// change, and whether the file has to be told.
func (s *Store) put(c Change, now time.Time) (kept Change, added, news bool) {
	sh := s.shelf(c.Tenant)
	sh.expire(now)
	if c.At.Before(now.Add(-Keep)) {
		return c, false, false
	}
	if i := sh.find(c.ID); i >= 0 {
		before := size(sh.changes[i])
		news = sh.changes[i].learn(c)
		sh.text += size(sh.changes[i]) - before
		return sh.changes[i].clone(), false, news
	}
	i, _ := slices.BinarySearchFunc(sh.changes, c.At, func(have Change, at time.Time) int {
		if have.At.After(at) {
			return 1
		}
		return -1
	})
	sh.changes = slices.Insert(sh.changes, i, c.clone())
	sh.text += size(c)
	dropped := sh.trim()
	return c, dropped <= i, dropped <= i
}

// putDelivery says whether the delivery is a new one, with mu held.
func (s *Store) putDelivery(d delivery, now time.Time) bool {
	sh := s.shelf(d.Tenant)
	sh.expire(now)
	if d.At.Before(now.Add(-Keep)) || slices.ContainsFunc(sh.deliveries, func(have delivery) bool { return have.ID == d.ID }) {
		return false
	}
	sh.deliveries = append(sh.deliveries, d)
	if over := len(sh.deliveries) - MaxChanges; over > 0 {
		sh.deliveries = slices.Delete(sh.deliveries, 0, over)
	}
	return true
}

func (s *Store) shelf(tenant string) *shelf {
	sh := s.shelves[tenant]
	if sh == nil {
		sh = &shelf{}
		s.shelves[tenant] = sh
	}
	return sh
}

// records is everything that is kept, as the file has it, and how much it is.
func (s *Store) records() []record {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []record
	for _, sh := range s.shelves {
		for i := range sh.changes {
			c := sh.changes[i].clone()
			all = append(all, record{Change: &c})
		}
		for _, d := range sh.deliveries {
			all = append(all, record{Delivery: &d})
		}
	}
	return all
}

// find is where the change with this ID is, or -1.
func (sh *shelf) find(id string) int {
	return slices.IndexFunc(sh.changes, func(c Change) bool { return same(c.ID, id) })
}

// expire forgets what is older than Keep.
func (sh *shelf) expire(now time.Time) {
	oldest := now.Add(-Keep)
	n := 0
	for n < len(sh.changes) && sh.changes[n].At.Before(oldest) {
		sh.text -= size(sh.changes[n])
		n++
	}
	sh.changes = slices.Delete(sh.changes, 0, n)
	sh.deliveries = slices.DeleteFunc(sh.deliveries, func(d delivery) bool { return d.At.Before(oldest) })
}

// trim forgets the oldest of too many, and says how many.
func (sh *shelf) trim() int {
	n := 0
	for len(sh.changes)-n > MaxChanges || sh.text > maxText {
		sh.text -= size(sh.changes[n])
		n++
	}
	sh.changes = slices.Delete(sh.changes, 0, n)
	return n
}

// size is about how many bytes of memory a change takes.
func size(c Change) int {
	n := 320 + len(c.ID) + len(c.Tenant) + len(c.Ref) + len(c.Title) + len(c.Author) + len(c.URL)
	for _, f := range c.Files {
		n += 16 + len(f)
	}
	return n
}

// deploymentOf is the deployment of which a change is one step.
func deploymentOf(c Change) (string, bool) {
	if c.Kind != "deployment" || !strings.HasPrefix(c.ID, "deployment:") {
		return "", false
	}
	return c.ID[:strings.LastIndexByte(c.ID, ':')], true
}
