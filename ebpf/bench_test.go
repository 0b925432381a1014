package ebpf

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"
)

// BenchmarkExchange is what a request and its response cost in the kernel, as
// BPF_PROG_TEST_RUN times the program: the clock's own reading is in it, some
// tens of nanoseconds for each packet.
func BenchmarkExchange(b *testing.B) {
	fields := "Host: api.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
		"Accept: application/json, text/plain, */*\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n" +
		"Authorization: Bearer " + strings.Repeat("eyJhbGciOi", 20) + "\r\nConnection: keep-alive\r\n\r\n"
	for _, bench := range []struct{ name, request, response string }{
		{"small", "GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n", "HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 03:00:00 GMT\r\nContent-Length: 2\r\n\r\nok"},
		{"browser", "GET /api/v2/customers/8147/orders?page=3 HTTP/1.1\r\n" + fields, "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sun, 22 Nov 2026 03:00:00 GMT\r\n" +
			"Content-Type: application/json; charset=utf-8\r\nContent-Length: 1200\r\nVary: Accept-Encoding\r\nCache-Control: no-store\r\n\r\n" + strings.Repeat("x", 1200)},
		{"chunked", "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("40\r\n"+strings.Repeat("x", 64)+"\r\n", 8) + "0\r\n\r\n"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			k := newBench(b, 0)
			w := k.dial()
			frames := [2][]byte{w.frame(client, 0, 0, flagACK, bench.request), w.frame(server, 0, 0, flagACK, bench.response)}
			var spent [2]time.Duration
			for b.Loop() {
				for from, frame := range frames {
					w.stamp(frame, side(from))
					_, took, err := k.program.Benchmark(frame, 1, nil)
					if err != nil {
						b.Fatal(err)
					}
					spent[from] += took
					w.seq[from] += uint32(len([]string{bench.request, bench.response}[from]))
				}
			}
			stats, _ := k.read()
			if stats.Measured != uint64(b.N) {
				b.Fatalf("%d measured of %d: %+v", stats.Measured, b.N, stats)
			}
			b.ReportMetric(float64(spent[client])/float64(b.N), "ns/request")
			b.ReportMetric(float64(spent[server])/float64(b.N), "ns/response")
		})
	}
}

// stamp writes the sequence numbers of the next segment into an IPv4 frame.
func (w *wire) stamp(frame []byte, from side) {
	const tcp = 14 + 20
	binary.BigEndian.PutUint32(frame[tcp+4:], w.seq[from])
	binary.BigEndian.PutUint32(frame[tcp+8:], w.seq[1-from])
}

// BenchmarkPassing is what a packet costs that has nothing to look at.
func BenchmarkPassing(b *testing.B) {
	k := newBench(b, 0)
	w := k.dial()
	other := w.frame(client, 1, 1, flagACK, "x")
	other[14+20+2]++ // another port
	for _, bench := range []struct {
		name  string
		frame []byte
	}{
		{"other port", other},
		{"acknowledgement", w.frame(client, w.seq[client], 0, flagACK, "")},
	} {
		b.Run(bench.name, func(b *testing.B) {
			const repeat = 100_000
			var spent time.Duration
			n := 0
			for b.Loop() {
				_, took, err := k.program.Benchmark(bench.frame, repeat, nil)
				if err != nil {
					b.Fatal(err)
				}
				spent += took
				n++
			}
			b.ReportMetric(float64(spent)/float64(n), "ns/packet")
		})
	}
}

// BenchmarkBody is what a packet within a body costs.
func BenchmarkBody(b *testing.B) {
	k := newBench(b, 0)
	w := k.dial()
	w.say(client, get)
	w.say(server, "HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n")
	frame := w.frame(server, 0, 0, flagACK, strings.Repeat("x", 1448))
	var spent time.Duration
	for b.Loop() {
		w.stamp(frame, server)
		_, took, err := k.program.Benchmark(frame, 1, nil)
		if err != nil {
			b.Fatal(err)
		}
		spent += took
		w.seq[server] += 1448
	}
	if stats, _ := k.read(); stats.InFlight != 1 || stats.Packets < uint64(b.N) {
		b.Fatalf("%+v", stats)
	}
	b.ReportMetric(float64(spent)/float64(b.N), "ns/packet")
}

// BenchmarkReading is what a reading of 70,000 different counts of ten routes
// costs the process, and sealing them.
func BenchmarkReading(b *testing.B) {
	k := newBench(b, 0)
	counts := k.counts()
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for i := 0; n < 70_000; i++ {
			counts.owners[i] = 1<<63 | uint64(i%10)<<24 | uint64(i/10)
			for j := range counts.pages[i].Counts {
				counts.pages[i].Counts[j] = 1 + uint32(i&7)
				n++
			}
		}
		k.reader.quiet = 0
		if err := k.reader.read(); err != nil {
			b.Fatal(err)
		}
		k.now += 1e9
		k.recorder.Seal(k.now)
	}
}
