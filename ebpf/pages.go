package ebpf

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	cebpf "github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/countersign-dev/countersign/histogram"
)

// pages are the kernel's counts. count.h says how they are laid out.
type pages struct {
	maps    *bpfMaps
	counts  counts // since the first reading: the start has enough in memory
	room    int    // how many may have an owner after a reading
	taken   int    // how many have
	crowded bool   // more had one before it
	retired []page // without an owner, and not free yet
}

// counts are the pages in the memory of this process, where to read them takes no
// system call.
type counts struct {
	owners []uint64 // the key of each page, 0 for free ones
	pages  []bpfPage
}

// page is one that is taken back, with the key it had.
type page struct {
	number int
	key    uint64
}

const (
	bucketsPerPage = uint64(len(bpfPage{}.Counts))
	retiredPage    = 1 // a key that no program asks for
)

func newPages(maps *bpfMaps) *pages {
	return &pages{maps: maps, room: int(maps.Pages.MaxEntries() / 2)}
}

// open has the pages in memory, until close.
func (p *pages) open() (err error) {
	if p.counts.owners == nil {
		p.counts.owners, err = inMemory[uint64](p.maps.Owners)
	}
	if err == nil && p.counts.pages == nil {
		p.counts.pages, err = inMemory[bpfPage](p.maps.Pages)
	}
	return err
}

// close lets go of the memory.
func (p *pages) close() error {
	c := p.counts
	p.counts = counts{}
	return errors.Join(leave(c.owners), leave(c.pages))
}

// inMemory is a map's values.
func inMemory[T any](m *cebpf.Map) ([]T, error) {
	size := int(m.MaxEntries() * m.ValueSize())
	b, err := unix.Mmap(m.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("having the kernel's map %s in memory: %w", m, err)
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), uintptr(size)/unsafe.Sizeof(*new(T))), nil
}

func leave[T any](values []T) error {
	if len(values) == 0 {
		return nil
	}
	size := uintptr(len(values)) * unsafe.Sizeof(values[0])
	return unix.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(&values[0])), size))
}

// names is what a slot stands for; not ok while nobody knows yet.
type names func(slot uint32) (route histogram.Route, ok bool)

// take appends everything counted since the last time, and takes it from the
// counters: what is counted meanwhile is there the next time. So are counts of
// slots without a name.
func (p *pages) take(batch []histogram.Count, routeOf names) ([]histogram.Count, error) {
	if err := p.open(); err != nil {
		return batch, err
	}
	c := p.counts
	p.taken = 0
	for i := range c.owners {
		key := atomic.LoadUint64(&c.owners[i])
		if key == 0 || key == retiredPage {
			continue
		}
		p.taken++
		if first, ok := ownerOf(key, routeOf); ok {
			batch = c.pages[i].take(batch, first)
		}
	}
	p.crowded = p.taken > p.room
	if !p.crowded && len(p.retired) == 0 {
		return batch, nil
	}
	return p.giveBack(batch, routeOf)
}

// giveBack makes the pages free, and appends what was counted there until then.
func (p *pages) giveBack(batch []histogram.Count, routeOf names) ([]histogram.Count, error) {
	c := p.counts
	for i := range c.owners {
		key := atomic.LoadUint64(&c.owners[i])
		if _, named := ownerOf(key, routeOf); key == 0 || key == retiredPage || !named {
			continue
		}
		atomic.StoreUint64(&c.owners[i], retiredPage)
		p.retired = append(p.retired, page{i, key})
	}
	// A program may have found a page for a key just before. When this returns
	// none that began before is still running.
	if err := p.maps.Pause.Put(uint32(0), p.maps.Nothing); err != nil {
		return batch, fmt.Errorf("waiting for the programs that count: %w", err)
	}
	for _, last := range p.retired {
		first, _ := ownerOf(last.key, routeOf)
		batch = c.pages[last.number].take(batch, first)
		atomic.StoreUint64(&c.owners[last.number], 0)
	}
	p.taken -= len(p.retired)
	p.retired = p.retired[:0]
	return batch, nil
}

// ownerOf is what is counted in the first bucket of the page of a key.
func ownerOf(key uint64, routeOf names) (c histogram.Count, ok bool) {
	c.Outcome = histogram.Outcome(key >> 20 & 15)
	c.Figure = histogram.Figure(key >> 16 & 15)
	c.Bucket = uint16(key & 0xffff * bucketsPerPage)
	c.Route, ok = routeOf(uint32(key >> 24))
	return c, ok
}

// take appends the page's counts, of which c is the first without its number.
func (p *bpfPage) take(batch []histogram.Count, c histogram.Count) []histogram.Count {
	for i := range p.Counts {
		if atomic.LoadUint32(&p.Counts[i]) == 0 {
			continue
		}
		c.N = atomic.SwapUint32(&p.Counts[i], 0)
		batch = append(batch, c)
		batch[len(batch)-1].Bucket += uint16(i)
	}
	return batch
}
