package ebpf

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"

	cebpf "github.com/cilium/ebpf"

	"github.com/countersign-dev/countersign/histogram"
)

// every program, and what it takes to be allowed.
func loadEach(t *testing.T) *cebpf.CollectionSpec {
	t.Helper()
	requireHook(t, Socket)
	spec, err := loadBpf()
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// TestVerifier has the running kernel's verifier look at every program, each by
// itself. It may look at a million instructions; a quarter is kept for kernels
// whose verifier sees less at once.
func TestVerifier(t *testing.T) {
	spec := loadEach(t)
	for name := range spec.Programs {
		t.Run(name, func(t *testing.T) {
			alone := spec.Copy()
			for other := range alone.Programs {
				if other != name {
					delete(alone.Programs, other)
				}
			}
			coll, err := cebpf.NewCollectionWithOptions(alone, cebpf.CollectionOptions{
				Programs: cebpf.ProgramOptions{LogLevel: cebpf.LogLevelStats},
			})
			if err != nil {
				t.Fatalf("%+v", err)
			}
			defer coll.Close()
			info, err := coll.Programs[name].Info()
			if err != nil {
				t.Fatal(err)
			}
			looked, ok := info.VerifiedInstructions()
			if !ok {
				t.Log("this kernel does not say how much its verifier looked at")
			}
			t.Logf("%d instructions looked at", looked)
			if looked > 250_000 {
				t.Errorf("%d instructions looked at: too near the limit of a million", looked)
			}
		})
	}
}

// The index that the kernel computes is histogram's, on both sides of every
// bucket's bounds.
func TestBuckets(t *testing.T) {
	spec := loadEach(t)
	for other := range spec.Programs {
		if other != bpfProgBucket {
			delete(spec.Programs, other)
		}
	}
	coll, err := cebpf.NewCollection(spec)
	if err != nil {
		t.Fatal(err)
	}
	defer coll.Close()
	program := coll.Programs[bpfProgBucket]
	check := func(ns uint64) {
		frame := make([]byte, 14+8)
		binary.LittleEndian.PutUint64(frame[14:], ns)
		got, err := program.Run(&cebpf.RunOptions{Data: frame})
		if err != nil {
			t.Fatal(err)
		}
		if want := histogram.Bucket(int64(min(ns, uint64(histogram.Highest)+1))); got != uint32(want) {
			t.Fatalf("%d ns are in bucket %d, histogram says %d", ns, got, want)
		}
	}
	for i := range 33 * 1024 {
		shift := max(i>>10-1, 0)
		low := uint64(i-shift<<10) << shift // HdrHistogram's bounds of bucket i
		if low > uint64(histogram.Highest) {
			break
		}
		check(low)
		check(low + 1<<shift - 1)
		if got := histogram.Bucket(int64(low)); int(got) != i {
			t.Fatalf("%d ns are in bucket %d, want %d", low, got, i)
		}
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		check(random.Uint64() >> random.IntN(64))
	}
	check(1<<64 - 1)
	check(uint64(histogram.Highest))
	check(uint64(histogram.Highest) + 1)
}

// The reasons, outcomes and figures of the C source are those of package
// histogram, one for one.
func TestNames(t *testing.T) {
	source, err := os.ReadFile("count.h")
	if err != nil {
		t.Fatal(err)
	}
	enum := func(name string) []string {
		m := regexp.MustCompile(`enum ` + name + ` \{([^}]*)\}`).FindSubmatch(source)
		if m == nil {
			t.Fatalf("no enum %s", name)
		}
		return regexp.MustCompile(`\w+`).FindAllString(strings.ToLower(string(m[1])), -1)
	}
	reasons := enum("reason")
	if last := len(reasons) - 1; reasons[last] != "reasons" || last != int(histogram.NumReasons) {
		t.Errorf("reasons %v, histogram has %d", reasons, histogram.NumReasons)
	}
	for i := range histogram.NumReasons {
		if got := reasons[i]; got != i.String() {
			t.Errorf("reason %d is %s, histogram says %s", i, got, i)
		}
	}
	for i, name := range enum("outcome") {
		if want := histogram.Outcome(i).String(); name != want {
			t.Errorf("outcome %d is %s, histogram says %s", i, name, want)
		}
	}
	for i, name := range []string{histogram.Both: "both", histogram.Duration: "duration", histogram.TTFB: "ttfb", histogram.Stream: "stream"} {
		if got := enum("figure")[i]; got != name {
			t.Errorf("figure %d is %s, histogram says %s", i, got, name)
		}
	}
}

// The state of a connection with its key fits the half KiB that documentation
// and limits speak of, and the maps what the issue of memory allows.
func TestMemory(t *testing.T) {
	b := newBench(t, 0)
	if b.kernel.memory > 32<<20 {
		t.Errorf("the maps take %d bytes", b.kernel.memory)
	}
	t.Logf("%d bytes of kernel memory at most", b.kernel.memory)
	for name, m := range map[string]*cebpf.Map{
		"pages": b.kernel.maps.Pages, "owners": b.kernel.maps.Owners, "connections": b.kernel.maps.Connections, "kept": b.kernel.maps.Kept, "paths": b.kernel.maps.Paths,
	} {
		info, err := m.Info()
		if err != nil {
			t.Fatal(err)
		}
		if says, ok := info.Memlock(); ok {
			t.Logf("%s: the kernel says %d bytes", name, says)
		}
	}
}
