package ebpf

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	cebpf "github.com/cilium/ebpf"

	"github.com/countersign-dev/countersign/histogram"
)

var (
	oneGap      = map[histogram.Reason]uint64{histogram.SequenceGap: 1}
	oneGone     = map[histogram.Reason]uint64{histogram.ClientGone: 1}
	oneAnswered = map[histogram.Reason]uint64{histogram.EarlyResponse: 1}
)

// refuse is what a host sends to who speaks to a connection that it does not
// know: a RST without ACK.
func (w *wire) refuse() { w.b.send(w.frame(server, w.seq[server], 0, flagRST, "")) }

// What comes after the end of its connection was overtaken by it, or comes again:
// the API never has it. The host may say so or not.
func TestAfterTheEnd(t *testing.T) {
	b := newBench(t, 0)
	for _, refused := range []bool{false, true} {
		w := b.dial()
		w.say(client, get)
		w.say(server, answer)
		w.seq[client] += uint32(len(get)) // on its way
		w.rst(client)
		w.sayAt(client, w.seq[client]-uint32(len(get)), get)
		if refused {
			w.refuse()
		}
		b.expect("overtaken by a reset", want{outcomes: [4]uint64{1}})

		w = b.dial()
		w.say(client, get)
		w.say(server, answer)
		w.fin(server)
		w.fin(client)
		w.sayAt(client, w.seq[client]-1-uint32(len(get)), get)
		if refused {
			w.refuse()
		}
		b.expect("again", want{outcomes: [4]uint64{1}})

		w.seq = [2]uint32{w.seq[client] - 1000, 7} // a number from before that end
		w.open()
		w.say(client, get)
		w.say(server, answer)
		b.expect("the same port anew", want{outcomes: [4]uint64{1}})
		w.rst(client)
	}
}

// A request of a connection that the host does not know is no error of the API;
// nor are the bytes of anybody who makes one up.
func TestResetToAStranger(t *testing.T) {
	b := newBench(t, 0)
	w := b.newWire()
	w.say(client, get)
	w.refuse()
	b.expect("a connection that is not there", want{unmeasured: oneGone})

	w = b.newWire()
	w.say(client, get)
	w.rst(server)
	b.expect("a server that resets", want{outcomes: [4]uint64{3: 1}})

	w = b.newWire()
	w.say(client, get)
	w.say(server, answer)
	w.say(client, get)
	w.refuse()
	b.expect("a server that was there", want{outcomes: [4]uint64{1, 0, 0, 1}})

	w = b.dial()
	w.say(client, get)
	w.refuse()
	b.expect("a connection that was seen opening", want{outcomes: [4]uint64{3: 1}})
}

// An opening that comes again opens nothing.
func TestOpeningAgain(t *testing.T) {
	b := newBench(t, 0)
	w := b.dial()
	first := w.seq[client] - 1
	w.say(client, get)
	b.send(w.frame(client, first, 0, flagSYN, ""))
	w.say(server, answer)
	b.send(w.frame(client, first, 0, flagSYN, ""))
	w.say(client, get)
	w.say(server, answer)
	b.expect("opened again", want{outcomes: [4]uint64{2}})
}

// When the bytes with which a message ends were not seen, nobody knows when it
// ended: not when the next one came.
func TestGapAtTheEnd(t *testing.T) {
	b := newBench(t, 0)
	w := b.dial()
	w.say(client, get)
	w.say(server, answer[:len(answer)-1])
	w.seq[server]++ // never seen
	w.say(client, get)
	w.say(server, answer)
	b.expect("of a response, and a request", want{outcomes: [4]uint64{1}, unmeasured: oneGap})

	w = b.dial()
	w.say(client, get)
	w.say(server, answer[:len(answer)-1])
	w.seq[server]++
	w.fin(client)
	b.expect("of a response, and the end", want{unmeasured: oneGap})

	w = b.dial()
	w.say(client, get+get)
	w.say(server, answer[:len(answer)-1])
	w.seq[server]++
	w.say(server, answer)
	w.fin(client)
	b.expect("of a response, and the next one", want{unmeasured: map[histogram.Reason]uint64{histogram.SequenceGap: 2}})

	w = b.dial()
	w.say(client, upload[:len(upload)-1])
	w.seq[client]++
	w.say(server, answer)
	w.say(client, get)
	w.say(server, answer)
	b.expect("of a request", want{outcomes: [4]uint64{1}, unmeasured: oneGap})

	w = b.dial() // of what came early only a part is acknowledged at first
	w.say(client, upload[:len(upload)-8])
	w.seq[client] += 2
	w.say(client, upload[len(upload)-6:])
	all := w.seq[client]
	w.seq[client] -= 3
	w.say(server, "HTTP/1.1 100 Continue\r\n\r\n")
	w.seq[client] = all
	w.say(server, answer)
	b.expect("within a request", want{outcomes: [4]uint64{1}})
}

// A response that was not seen, to a request that was one too many to measure,
// does not make all that follow too many.
func TestGapBehindTooMany(t *testing.T) {
	b := newBench(t, 0)
	w := b.dial()
	w.say(client, strings.Repeat(get, 18))
	w.say(server, strings.Repeat(answer, 16))
	w.seq[server] += uint32(len(answer)) // the seventeenth
	w.say(server, answer)
	for range 3 {
		w.say(client, get)
		w.say(server, answer)
	}
	b.expect("one too many", want{outcomes: [4]uint64{19}, unmeasured: map[histogram.Reason]uint64{histogram.ParseLimit: 2}})
}

// A server that will not read a head to its end answers nonetheless.
func TestHeadAnsweredEarly(t *testing.T) {
	b := newBench(t, 0)
	const refusal = "HTTP/1.1 431 Too Large\r\nContent-Length: 0\r\n\r\n"
	head := "GET / HTTP/1.1\r\nCookie: " + strings.Repeat("c", 3000)
	w := b.dial()
	w.say(client, head)
	w.say(server, "HTTP/1.1 102 Processing\r\n\r\n")
	w.say(server, refusal)
	w.fin(server)
	w.rst(client)
	b.expect("and closed", want{unmeasured: oneAnswered})

	w = b.dial()
	w.say(client, head)
	w.say(server, refusal)
	w.say(client, "\r\n\r\n"+get)
	w.say(server, answer)
	b.expect("and read on", want{outcomes: [4]uint64{1}, unmeasured: oneAnswered})
}

// What a device hears of other hosts' traffic is not the API's.
func TestOtherHosts(t *testing.T) {
	b := newBench(t, 0)
	for own, kept := range map[bool]want{true: {inFlight: 1}, false: {}} {
		b.program = b.kernel.programs[bpfProgIngress]
		w := b.dial()
		frame := w.frame(client, w.seq[client], w.seq[server], flagACK, get)
		if !own { // the device's own address is 0 here
			frame[5] = 1
		}
		b.send(frame)
		b.expect(fmt.Sprintf("to this host %v", own), kept)
		w.rst(client)
		b.tally()
	}
}

// The programs leave every packet as it is, and to whoever is next.
func TestPacketsPass(t *testing.T) {
	b := newBench(t, 0)
	w := b.dial()
	frames := [][]byte{
		w.frame(client, w.seq[client], 0, flagACK, get), w.frame(server, w.seq[server], 0, flagACK, answer),
		w.frame(client, 1, 0, flagSYN, ""), w.frame(client, 9, 0, flagRST, ""), make([]byte, 14), make([]byte, 60),
	}
	for name, program := range b.kernel.programs {
		for _, frame := range frames {
			out := make([]byte, len(frame))
			verdict, err := program.Run(&cebpf.RunOptions{Data: frame, DataOut: out})
			if err != nil {
				t.Fatal(err)
			}
			if next := ^uint32(0); verdict != next || string(out) != string(frame) {
				t.Errorf("%s returns %d of\n%x\nand leaves\n%x", name, int32(verdict), frame, out)
			}
		}
	}
}

// The same packets on two processors at once, as of a bridge and its port: the
// connection is met once, and each request counts once.
func TestTwoProcessors(t *testing.T) {
	b := newBench(t, 0)
	const connections, requests = 300, 5
	both := func(frame []byte) {
		var sending sync.WaitGroup
		for range 2 {
			sending.Go(func() { b.send(frame) })
		}
		sending.Wait()
	}
	for range connections {
		w := b.newWire() // older than the probe, so that it is met by a request
		for range requests {
			both(w.frame(client, w.seq[client], w.seq[server], flagACK, get))
			w.seq[client] += uint32(len(get))
			both(w.frame(server, w.seq[server], w.seq[client], flagACK, answer))
			w.seq[server] += uint32(len(answer))
		}
		both(w.frame(client, w.seq[client], 0, flagRST, ""))
	}
	b.expect("twice at once", want{outcomes: [4]uint64{connections * requests}})
}
