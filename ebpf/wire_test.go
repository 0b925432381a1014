package ebpf

import (
	"encoding/binary"
	"net/netip"
	"os"
	"testing"

	cebpf "github.com/cilium/ebpf"

	"github.com/countersign-dev/countersign/histogram"
)

const (
	flagFIN = 1
	flagSYN = 2
	flagRST = 4
	flagPSH = 8
	flagACK = 16
)

const apiPort = 8000

// bench is a kernel part that packets are handed to by BPF_PROG_TEST_RUN.
type bench struct {
	t        testing.TB
	recorder *histogram.Recorder
	kernel   *kernel
	reader   *reader
	program  *cebpf.Program
	ports    uint16
	now      int64
}

// newBench loads the programs and runs packets through the one that sees both
// directions.
func newBench(t testing.TB, maxConnections int) *bench {
	t.Helper()
	requireHook(t, TCX)
	b := &bench{t: t}
	var err error
	b.recorder, err = histogram.NewRecorder(histogram.Config{Now: func() int64 { return b.now }})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Port: apiPort, Attach: TCX, Recorder: b.recorder, MaxConnections: maxConnections}
	if err := cfg.check(); err != nil {
		t.Fatal(err)
	}
	if b.kernel, err = load(cfg); err != nil {
		t.Fatal(err)
	}
	b.reader = newReader(b.kernel, cfg)
	b.program = b.kernel.programs[bpfProgLoopback]
	t.Cleanup(func() {
		_ = b.reader.close()
		_ = b.kernel.close()
	})
	return b
}

// counts are the kernel's, until the reader is closed.
func (b *bench) counts() counts {
	b.t.Helper()
	if err := b.reader.pages.open(); err != nil {
		b.t.Fatal(err)
	}
	return b.reader.pages.counts
}

// read is a reading, and the end of a second.
func (b *bench) read() (Stats, *histogram.Snapshot) {
	b.t.Helper()
	if err := b.reader.read(); err != nil {
		b.t.Fatal(err)
	}
	b.now += 1e9
	b.recorder.Seal(b.now)
	return b.reader.stats(), b.recorder.SnapshotLast(1e9)
}

// send hands one frame to the program.
func (b *bench) send(frame []byte) {
	if _, err := b.program.Run(&cebpf.RunOptions{Data: frame}); err != nil {
		b.t.Fatalf("running the program on %d bytes: %v", len(frame), err)
	}
}

// side is one end of a connection, or the bytes that come from there.
type side int

const (
	client side = iota
	server
)

// wire is a TCP connection made of frames.
type wire struct {
	b      *bench
	six    bool
	tags   int // VLAN tags in the frame
	extras int // IPv6 extension headers
	port   uint16
	seq    [2]uint32 // of the next byte that each side sends
}

// newWire is a connection that has not been opened.
func (b *bench) newWire() *wire {
	b.ports++
	return &wire{b: b, port: 20000 + b.ports%40000, seq: [2]uint32{0xffffff00, 0x80000000}}
}

// dial is a connection whose opening was seen.
func (b *bench) dial() *wire {
	w := b.newWire()
	w.open()
	return w
}

func (w *wire) open() {
	w.b.send(w.frame(client, w.seq[client], 0, flagSYN, ""))
	w.seq[client]++
	w.b.send(w.frame(server, w.seq[server], w.seq[client], flagSYN|flagACK, ""))
	w.seq[server]++
	w.b.send(w.frame(client, w.seq[client], w.seq[server], flagACK, ""))
}

// say sends text from a side in one segment, after what was sent before.
func (w *wire) say(from side, text string) {
	w.sayAt(from, w.seq[from], text)
	w.seq[from] += uint32(len(text))
}

// sayAt sends a segment that has a sequence number of its own.
func (w *wire) sayAt(from side, seq uint32, text string) {
	w.b.send(w.frame(from, seq, w.seq[1-from], flagACK|flagPSH, text))
}

// saySplit sends text in segments of so many bytes.
func (w *wire) saySplit(from side, text string, size int) {
	for len(text) > size {
		w.say(from, text[:size])
		text = text[size:]
	}
	w.say(from, text)
}

func (w *wire) fin(from side) {
	w.b.send(w.frame(from, w.seq[from], w.seq[1-from], flagACK|flagFIN, ""))
	w.seq[from]++
}

func (w *wire) rst(from side) {
	w.b.send(w.frame(from, w.seq[from], w.seq[1-from], flagACK|flagRST, ""))
}

// frame is an Ethernet frame of the connection.
func (w *wire) frame(from side, seq, ack uint32, flags byte, payload string) []byte {
	addresses := [2]netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("198.51.100.9")}
	kind := uint16(0x0800)
	if w.six {
		addresses = [2]netip.Addr{netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("2001:db8:1::9")}
		kind = 0x86dd
	}
	frame := make([]byte, 12, 256+len(payload))
	for range w.tags {
		frame = append(frame, 0x81, 0x00, 0x00, 0x2a)
	}
	frame = binary.BigEndian.AppendUint16(frame, kind)
	if w.six {
		frame = append(frame, 0x60, 0, 0, 0)
		frame = binary.BigEndian.AppendUint16(frame, uint16(20+8*w.extras+len(payload)))
		next := byte(6)
		if w.extras > 0 {
			next = 60
		}
		frame = append(frame, next, 64)
	} else {
		frame = append(frame, 0x45, 0)
		frame = binary.BigEndian.AppendUint16(frame, uint16(40+len(payload)))
		frame = append(frame, 0, 0, 0x40, 0, 64, 6, 0, 0)
	}
	frame = append(frame, addresses[from].AsSlice()...)
	frame = append(frame, addresses[1-from].AsSlice()...)
	for i := range w.extras {
		next := byte(60)
		if i == w.extras-1 {
			next = 6
		}
		frame = append(frame, next, 0, 1, 4, 0, 0, 0, 0)
	}
	ports := [2]uint16{w.port, apiPort}
	frame = binary.BigEndian.AppendUint16(frame, ports[from])
	frame = binary.BigEndian.AppendUint16(frame, ports[1-from])
	frame = binary.BigEndian.AppendUint32(frame, seq)
	frame = binary.BigEndian.AppendUint32(frame, ack)
	frame = append(frame, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0)
	return append(frame, payload...)
}

// want is how exchanges are to have been counted.
type want struct {
	outcomes   [histogram.NumOutcomes]uint64
	streams    uint64
	inFlight   int
	unmeasured map[histogram.Reason]uint64
}

func (w want) measured() (n uint64) {
	for _, c := range w.outcomes {
		n += c
	}
	return n
}

func (w want) seen() uint64 {
	n := w.measured() + uint64(w.inFlight)
	for _, c := range w.unmeasured {
		n += c
	}
	return n
}

// tally is what came of the packets since the last call.
func (b *bench) tally() want {
	b.t.Helper()
	before := b.reader.stats()
	stats, s := b.read()
	got := want{outcomes: s.Overall.Outcomes, streams: s.Overall.Streams, inFlight: stats.InFlight, unmeasured: make(map[histogram.Reason]uint64)}
	for reason, n := range s.Unmeasured {
		if n != 0 {
			got.unmeasured[histogram.Reason(reason)] = n
		}
	}
	if s.Overall.Durations.Total() != got.measured()-got.streams+uint64(s.InFlightIncluded) || s.Overall.TTFB.Total() != got.measured() {
		b.t.Errorf("%d durations and %d TTFB of %d requests, %d streams", s.Overall.Durations.Total(), s.Overall.TTFB.Total(), got.measured(), got.streams)
	}
	if seen := stats.Seen - before.Seen + uint64(before.InFlight); seen != got.seen() {
		b.t.Errorf("seen %d, counted %+v", seen, got)
	}
	return got
}

func (b *bench) expect(name string, w want) {
	b.t.Helper()
	got := b.tally()
	same := got.outcomes == w.outcomes && got.streams == w.streams && got.inFlight == w.inFlight && len(got.unmeasured) == len(w.unmeasured)
	for reason, n := range w.unmeasured {
		same = same && got.unmeasured[reason] == n
	}
	if !same {
		b.t.Errorf("%s: got %+v, want %+v", name, got, w)
	}
}

func TestMain(m *testing.M) {
	os.Exit(m.Run())
}
