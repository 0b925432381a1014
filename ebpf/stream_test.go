package ebpf

import (
	"fmt"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/histogram"
)

const (
	get      = "GET /users/42 HTTP/1.1\r\nHost: api\r\n\r\n"
	answer   = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	ask100   = "PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
	chunked  = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	upload   = "POST /a HTTP/1.1\r\ncontent-length:  10 \r\n\r\n0123456789"
	pieces   = "POST /a HTTP/1.1\r\nTRANSFER-ENCODING: gzip,\tChunked \r\n\r\n"
	events   = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n"
	noLength = "HTTP/1.1 200 OK\r\n\r\n"
)

// exchanges are dialogues: what each side says in turn, and how that counts.
// They are said whole, and byte by byte.
var exchanges = []struct {
	name string
	says []string // by the client, the server, the client…; "FIN" and "RST" are those
	want want
}{
	{"request and response", []string{get, answer}, want{outcomes: [4]uint64{1}}},
	{"keep-alive", []string{get, answer, get, answer, get}, want{outcomes: [4]uint64{2}, inFlight: 1}},
	{"outcomes", []string{get, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", get, "HTTP/1.0 503 Busy\r\ncontent-length:0\r\n\r\n", get, "HTTP/1.1 302\r\nContent-Length: 0\r\n\r\n"},
		want{outcomes: [4]uint64{1, 1, 1}}},
	{"pipelined", []string{strings.Repeat(get, 8), strings.Repeat(answer, 8)}, want{outcomes: [4]uint64{8}}},
	{"sixteen pipelined", []string{strings.Repeat(get, 16), strings.Repeat(answer, 15)}, want{outcomes: [4]uint64{15}, inFlight: 1}},
	{"more than sixteen pipelined", []string{strings.Repeat(get, 20), strings.Repeat(answer, 20), get, answer},
		want{outcomes: [4]uint64{17}, unmeasured: map[histogram.Reason]uint64{histogram.ParseLimit: 4}}},
	{"no body", []string{"HEAD / HTTP/1.1\r\n\r\n" + get + get + get,
		"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + "HTTP/1.1 204 No\r\n\r\n" + "HTTP/1.1 304 Not\r\nContent-Length: 7\r\n\r\n" + answer}, want{outcomes: [4]uint64{4}}},
	{"interim responses", []string{ask100, "HTTP/1.1 100 Continue\r\n\r\n", "abc", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + answer}, want{outcomes: [4]uint64{1}}},
	{"methods", []string{"M-SEARCH * HTTP/1.1\r\n\r\n-_a / HTTP/1.1\r\n\r\n", answer + answer}, want{outcomes: [4]uint64{2}}},
	{"upload", []string{upload, answer, upload, answer}, want{outcomes: [4]uint64{2}}},
	{"no body yet", []string{upload[:len(upload)-1]}, want{inFlight: 1}},
	{"early response", []string{upload[:len(upload)-1], "HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n", "9" + get, answer},
		want{outcomes: [4]uint64{1}, unmeasured: map[histogram.Reason]uint64{histogram.EarlyResponse: 1}}},
	{"response that begins early", []string{upload[:len(upload)-1], answer[:9], "9", answer[9:]}, want{outcomes: [4]uint64{1}}},
	{"chunks", []string{pieces + "5\r\nhello\r\nA;name=\"va\r\n0123456789\r\n0\r\nTrailer: a\r\nOther: b\r\n\r\n" + get,
		chunked + "1\r\n\n\r\n000f ;x\r\n\r\n\r\n\r\n\r\n\r\n\r\n012\r\n0\r\n\r\n" + answer}, want{outcomes: [4]uint64{2}}},
	{"chunks without an end", []string{get, chunked + "5\r\nhello\r\n0\r\nTrailer: 1\r\n"}, want{inFlight: 1}},
	{"until the end", []string{get, noLength + "GET / HTTP/1.1\r\n\r\n", "", "FIN"}, want{outcomes: [4]uint64{1}}},
	{"until the end, which has not come", []string{get, noLength + "text"}, want{inFlight: 1}},
	{"until the reset", []string{get, noLength + "text", "", "RST"}, want{outcomes: [4]uint64{3: 1}}},
	{"half-closed by the client", []string{get, "", "FIN", answer}, want{outcomes: [4]uint64{1}}},
	{"closed by the server before it answered", []string{get, "FIN"}, want{outcomes: [4]uint64{3: 1}}},
	{"closed by the server in its answer", []string{get, answer[:len(answer)-1], "", "FIN"}, want{outcomes: [4]uint64{3: 1}}},
	{"reset by the server", []string{get + get, answer, "", "RST"}, want{outcomes: [4]uint64{1, 0, 0, 1}}},
	{"reset by the client", []string{get + get, answer, "RST"}, want{outcomes: [4]uint64{1}, unmeasured: map[histogram.Reason]uint64{histogram.ClientGone: 1}}},
	{"reset by the client before it has asked", []string{get[:9], "", "RST"}, want{}},
	{"closed by the client and then by the server", []string{get, "", "FIN", "FIN"}, want{unmeasured: map[histogram.Reason]uint64{histogram.ClientGone: 1}}},
	{"asked after the server had closed", []string{get, answer, "", "FIN", get, "RST"},
		want{outcomes: [4]uint64{1}, unmeasured: map[histogram.Reason]uint64{histogram.ClientGone: 1}}},
	{"event stream", []string{get, events + "data: x\n\n", "", "FIN"}, want{outcomes: [4]uint64{1}, streams: 1}},
	{"event stream in chunks, and on", []string{get, strings.Replace(events, "\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 1), get, answer},
		want{outcomes: [4]uint64{2}, streams: 1}},
	{"upgrade", []string{"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\x81\x05hello", get, answer}, want{outcomes: [4]uint64{1}, streams: 1}},
	{"upgrade declined", []string{"GET /ws HTTP/1.1\r\nUpgrade: h2c\r\n\r\n", answer, get, answer}, want{outcomes: [4]uint64{2}}},
	{"tunnel", []string{"CONNECT a:443 HTTP/1.1\r\n\r\n", "HTTP/1.1 200 Connected\r\n\r\n", "\x16\x03\x01\x00", "\x16\x03\x03"}, want{outcomes: [4]uint64{1}, streams: 1}},
	{"unasked", []string{"", "HTTP/1.1 408 Timeout\r\nConnection: close\r\n\r\n", "", "FIN"}, want{}},
	{"empty lines before a request", []string{"\r\n\r\n\n" + get, answer}, want{outcomes: [4]uint64{1}}},
	{"line feeds alone", []string{"GET / HTTP/1.1\nContent-Length: 1\n\nx" + get, strings.ReplaceAll(answer, "\r", "") + answer}, want{outcomes: [4]uint64{2}}},
	{"both framings", []string{"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get, answer + answer}, want{outcomes: [4]uint64{2}}},
	{"long fields", []string{"GET / HTTP/1.1\r\nCookie: " + strings.Repeat("GET / HTTP/1.1 ", 500) + "\r\nContent-Length: 4\r\n\r\nbody" + get, answer + answer}, want{outcomes: [4]uint64{2}}},
	{"long path", []string{"GET /" + strings.Repeat("word", 700) + " HTTP/1.1\r\n\r\n", answer}, want{outcomes: [4]uint64{1}}},
	{"TLS", []string{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03GET / HTTP/1.1\r\n\r\n", answer, get, answer}, want{unmeasured: map[histogram.Reason]uint64{histogram.TLS: 1}}},
	{"HTTP/2", []string{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x12\x04", "\x00\x00\x06\x04", get, answer}, want{unmeasured: map[histogram.Reason]uint64{histogram.HTTP2: 1}}},
	{"no HTTP", []string{"\x00\x01\x02GET / HTTP/1.1\r\n\r\n", answer}, want{unmeasured: map[histogram.Reason]uint64{histogram.Malformed: 1}}},
	{"words", []string{"EHLO mail.example\r\n", "250 OK\r\n", get, answer}, want{unmeasured: map[histogram.Reason]uint64{histogram.Malformed: 1}}},
	{"HTTP/0.9", []string{"GET /\r\n", "text"}, want{unmeasured: map[histogram.Reason]uint64{histogram.Malformed: 1}}},
	{"absurd length", []string{"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n"}, want{outcomes: [4]uint64{0, 1}}},
	{"contradicting lengths", []string{"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n"}, want{outcomes: [4]uint64{0, 1}}},
	{"lost in chunks", []string{get, chunked + "zz\r\n"}, want{unmeasured: map[histogram.Reason]uint64{histogram.Resync: 1}}},
	{"a response that is none", []string{get, "SSH-2.0-OpenSSH_9.2\r\n"}, want{unmeasured: map[histogram.Reason]uint64{histogram.Resync: 1}}},
}

// hold carries the dialogue out, in segments of so many bytes.
func (w *wire) hold(says []string, size int) {
	for i, text := range says {
		switch from := side(i % 2); text {
		case "":
		case "FIN":
			w.fin(from)
		case "RST":
			w.rst(from)
		default:
			w.saySplit(from, text, size)
		}
	}
}

func TestExchanges(t *testing.T) {
	b := newBench(t, 0)
	for _, tt := range exchanges {
		for _, size := range []int{1400, 1, 2, 7, 64, 513} {
			if strings.Contains(strings.Join(tt.says, " "), "GET / HTTP/1.1 GET") && size < 7 {
				continue // thousands of segments that differ in nothing
			}
			w := b.dial()
			w.hold(tt.says, size)
			b.expect(fmt.Sprintf("%s, %d bytes a segment", tt.name, size), tt.want)
			w.rst(client)
			b.tally()
		}
	}
}

// Every way to cut a dialogue in two and in three counts the same.
func TestEverySplit(t *testing.T) {
	b := newBench(t, 0)
	request := pieces + "5\r\nhello\r\n0\r\nT: a\r\n\r\n" + get
	response := "HTTP/1.1 100 Continue\r\n\r\n" + chunked + "b;x\r\nhello world\r\n0\r\n\r\n" + answer
	n := uint64(0)
	for i := 1; i < len(request); i++ {
		w := b.dial()
		w.say(client, request[:i])
		w.say(client, request[i:])
		w.say(server, response)
		w.rst(client)
		n += 2
	}
	for i := 1; i < len(response); i++ {
		for _, j := range []int{1, 5, 40} {
			w := b.dial()
			w.say(client, request)
			w.say(server, response[:i])
			w.say(server, response[i:min(i+j, len(response))])
			if i+j < len(response) {
				w.say(server, response[i+j:])
			}
			w.rst(client)
			n += 2
		}
	}
	b.expect("split", want{outcomes: [4]uint64{n}})
}

func TestLinks(t *testing.T) {
	b := newBench(t, 0)
	for _, six := range []bool{false, true} {
		for tags := range 3 {
			for extras := range 4 {
				w := b.newWire()
				w.six, w.tags, w.extras = six, tags, extras
				if !six && extras > 0 {
					continue
				}
				w.open()
				w.saySplit(client, get, 5)
				w.say(server, answer)
				b.expect(fmt.Sprintf("IPv6 %v, %d tags, %d extension headers", six, tags, extras), want{outcomes: [4]uint64{1}})
			}
		}
	}
	w := b.dial()
	padded := w.frame(client, w.seq[client], w.seq[server], flagACK, "GE")
	b.send(append(padded, "padding"...))
	w.seq[client] += 2
	w.say(client, get[2:])
	w.say(server, answer)
	b.expect("padded", want{outcomes: [4]uint64{1}})
}

func TestRetransmissions(t *testing.T) {
	b := newBench(t, 0)
	w := b.dial()
	first := w.seq
	w.say(client, get)
	w.sayAt(client, first[client], get)
	w.sayAt(client, first[client], get[:9])
	w.say(server, answer[:10])
	w.sayAt(server, first[server], answer) // again, and more than there was
	w.seq[server] += uint32(len(answer) - 10)
	w.sayAt(server, first[server], answer)
	w.sayAt(client, first[client]-1, "") // keep-alive
	w.sayAt(client, w.seq[client]-1, "x")
	w.say(client, get)
	w.say(server, answer)
	b.expect("retransmitted", want{outcomes: [4]uint64{2}})
}

// Segments that come in another order than they were sent in.
func TestReordering(t *testing.T) {
	b := newBench(t, 0)
	type segment struct{ from, to int }
	orders := []struct {
		name  string
		order []int
	}{{"last two", []int{0, 2, 1}}, {"first two", []int{1, 0, 2}}, {"first last", []int{1, 2, 0}}}
	for _, text := range []struct{ name, request string }{
		{"heads", get + get + get},
		{"upload", "POST / HTTP/1.1\r\nContent-Length: 300\r\n\r\n" + strings.Repeat("GET / HTTP/1.1\r\n", 18) + "012345678901" + get + get},
		{"chunks", pieces + strings.Repeat("10\r\nGET / HTTP/1.1\r\n\r\n", 10) + "0\r\n\r\n" + get + get},
	} {
		for _, o := range orders {
			for cut := 1; cut < len(text.request)-60; cut += 7 {
				w := b.dial()
				base := w.seq[client]
				parts := []segment{{0, cut}, {cut, cut + 30}, {cut + 30, len(text.request)}}
				for _, i := range o.order {
					w.sayAt(client, base+uint32(parts[i].from), text.request[parts[i].from:parts[i].to])
				}
				w.seq[client] += uint32(len(text.request))
				w.say(server, strings.Repeat(answer, 3))
				w.rst(client)
				got := b.tally()
				if got.seen() != got.measured()+got.unmeasured[histogram.SequenceGap] || got.measured() != 3 {
					t.Errorf("%s, %s, cut at %d: %+v", text.name, o.name, cut, got)
				}
			}
		}
	}
}

// What is missing for good is counted, and the next request is taken up.
func TestGaps(t *testing.T) {
	b := newBench(t, 0)
	gap := map[histogram.Reason]uint64{histogram.SequenceGap: 1}

	w := b.dial()
	w.seq[client] += uint32(len(get)) // never seen
	w.say(server, answer)
	w.say(client, get)
	w.say(server, answer)
	w.say(client, get)
	w.say(server, answer)
	b.expect("a request, and the one that came next", want{outcomes: [4]uint64{1}, unmeasured: gap})

	w = b.dial()
	w.say(client, get)
	w.seq[server] += uint32(len(answer))
	w.say(client, get)
	w.say(server, answer)
	b.expect("a response", want{outcomes: [4]uint64{1}, unmeasured: gap})

	w = b.dial()
	w.say(client, get)
	w.say(server, answer[:20])
	w.seq[server] += 5
	w.say(server, answer[25:])
	w.say(client, get)
	w.say(server, answer)
	b.expect("within a response's head", want{outcomes: [4]uint64{1}, unmeasured: gap})

	w = b.dial()
	w.say(client, upload[:len(upload)-8])
	w.seq[client] += 4
	w.say(client, upload[len(upload)-4:])
	w.say(server, answer)
	b.expect("within an upload", want{outcomes: [4]uint64{1}})

	w = b.dial()
	w.say(client, get)
	w.say(server, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
	w.seq[server] += 999_999_000
	w.say(server, strings.Repeat("x", 1000)+"HTTP/1.1 408 Timeout\r\n\r\n")
	b.expect("within a large response", want{outcomes: [4]uint64{1}})
}

// Connections that were there before the probe.
func TestStrangers(t *testing.T) {
	b := newBench(t, 0)
	w := b.newWire()
	w.say(server, "the end of a response")
	w.say(client, "the end of a body")
	w.say(client, "\r\n\r\n")
	w.say(client, get)
	w.say(server, answer)
	w.say(client, get)
	b.expect("taken up", want{outcomes: [4]uint64{1}, inFlight: 1})
	w = b.newWire()
	w.say(client, "\x17\x03\x03\x00\x20")
	w.say(client, "\x17\x03\x03\x00\x20")
	b.expect("TLS", want{inFlight: 1, unmeasured: map[histogram.Reason]uint64{histogram.TLS: 1}})
	w = b.dial()
	w.say(client, get)
	w.seq = [2]uint32{5, 9}
	w.open()
	w.say(client, get)
	w.say(server, answer)
	b.expect("the same port again", want{inFlight: 1, outcomes: [4]uint64{1}, unmeasured: map[histogram.Reason]uint64{histogram.ClientGone: 1}})
}

func TestFullOfConnections(t *testing.T) {
	const limit = 64
	b := newBench(t, limit)
	for range limit {
		b.dial().say(client, get)
	}
	for range 10 {
		w := b.dial()
		w.say(client, get)
		w.say(server, answer)
		w.say(client, get)
		w.say(server, answer)
	}
	b.expect("full", want{inFlight: limit, unmeasured: map[histogram.Reason]uint64{histogram.MapFull: 20}})
}

// What is asked where the end of the last request is unknown is seen, if a
// segment begins with it, and the connection is taken up when nothing waits.
func TestAskedWhileLost(t *testing.T) {
	b := newBench(t, 0)
	w := b.dial()
	w.say(client, "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n")
	w.say(client, get)
	w.say(server, "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n"+answer)
	w.say(client, get)
	w.say(server, answer)
	b.expect("asked while lost", want{outcomes: [4]uint64{1, 1}, unmeasured: map[histogram.Reason]uint64{histogram.Resync: 1}})
}

// A client that sends single bytes gives no segment by which it could be taken
// up again; its requests are seen by their responses.
func TestAskedInBytesWhileLost(t *testing.T) {
	b := newBench(t, 0)
	const rounds = 5
	for _, interim := range []string{"", "HTTP/1.1 100 Continue\r\n\r\n"} {
		w := b.dial()
		w.saySplit(client, get[:9], 1)
		w.seq[client] += 2 // never seen
		w.saySplit(client, get[11:], 1)
		for range rounds {
			if interim != "" {
				w.say(server, interim)
			}
			w.say(server, answer[:20])
			w.say(server, answer[20:])
			w.sayAt(server, w.seq[server]-uint32(len(answer)), answer) // again
			w.saySplit(client, get, 1)
		}
		b.expect("asked in bytes", want{unmeasured: map[histogram.Reason]uint64{histogram.SequenceGap: 1, histogram.Resync: rounds - 1}})
		w.say(server, answer)
		w.say(client, get)
		w.say(server, answer)
		b.expect("taken up again", want{outcomes: [4]uint64{1}, unmeasured: map[histogram.Reason]uint64{histogram.Resync: 1}})
	}
}

// A head as large as Ethernet carries is kept when it comes before its turn.
func TestLargeHeadComesEarly(t *testing.T) {
	b := newBench(t, 0)
	for _, size := range []int{1000, 1460, 1500} {
		const before, after = "GET / HTTP/1.1\r\nCookie: ", "\r\n\r\n"
		head := before + strings.Repeat("c", size-len(before)-len(after)) + after
		w := b.dial()
		w.sayAt(client, w.seq[client]+uint32(len(get)), head)
		w.say(client, get)
		w.seq[client] += uint32(len(head))
		w.say(server, answer+answer)
		b.expect(fmt.Sprintf("%d bytes come early", size), want{outcomes: [4]uint64{2}})
	}
}

// A packet that offloading made of several is one packet. The kernel tests with
// one page at most; TestLive has packets of 64 KiB.
func TestLargePackets(t *testing.T) {
	b := newBench(t, 0)
	w := b.dial()
	const body = 3400
	w.say(client, fmt.Sprintf("POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s", body, strings.Repeat("x", body)))
	w.say(server, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", body, strings.Repeat("GET / HTTP/1.1\r\n\r\n", body/18)+strings.Repeat("x", body%18)))
	for range 3 {
		w.say(client, strings.Repeat(get, 16))
		w.say(server, strings.Repeat("HTTP/1.1 200 OK\r\nContent-Length: 170\r\n\r\n"+strings.Repeat("x", 170), 16))
	}
	b.expect("large packets", want{outcomes: [4]uint64{49}})
}
