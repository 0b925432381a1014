package ebpf

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/histogram"
)

// choices are decisions taken from a fuzzer's bytes; 0 when they are used up.
type choices []byte

func (c *choices) next(n int) int {
	if len(*c) == 0 || n == 0 {
		return 0
	}
	b := int((*c)[0])
	*c = (*c)[1:]
	return b % n
}

// cut splits text into segments of 1 to 64 bytes, or of up to 1000 now and then:
// of a larger one that comes early not all is kept.
func (c *choices) cut(text string) (segments []string) {
	for len(text) > 0 {
		n := 1 + c.next(64)
		if len(*c) == 0 {
			n = 1000 // no more to decide
		} else if c.next(3) == 0 {
			n *= 19
		}
		n = min(n, len(text), 1000)
		segments = append(segments, text[:n])
		text = text[n:]
	}
	return segments
}

// play sends the text of a side cut into segments, of which some come again and
// some in another order: by one place, as a client's may.
func (c *choices) play(w *wire, from side, text string) {
	type segment struct {
		seq  uint32
		text string
	}
	var segments []segment
	seq := w.seq[from]
	for _, s := range c.cut(text) {
		segments = append(segments, segment{seq, s})
		seq += uint32(len(s))
	}
	for i := 0; i < len(segments); i++ {
		if c.next(8) == 7 && from == client && i+1 < len(segments) {
			w.sayAt(from, segments[i+1].seq, segments[i+1].text)
			w.sayAt(from, segments[i].seq, segments[i].text)
			i++
			continue
		}
		w.sayAt(from, segments[i].seq, segments[i].text)
		if c.next(8) == 7 {
			again := segments[c.next(i+1)]
			w.sayAt(from, again.seq, again.text)
		}
	}
	w.seq[from] = seq
}

// Dialogues cut, repeated and reordered in any way count as they would whole.
func FuzzDialogues(f *testing.F) {
	b := newBench(f, 0)
	f.Add([]byte{})
	f.Add([]byte{3, 20, 1, 2, 40, 7, 7, 9, 7, 3, 11, 200, 7, 7, 5, 5, 7, 1, 7, 7, 2, 8})
	f.Add(bytes.Repeat([]byte{7, 1, 15, 2}, 60))
	f.Fuzz(func(t *testing.T, data []byte) {
		b.t = t
		c := choices(data)
		var names []string
		var wires []*wire
		sum := want{unmeasured: make(map[histogram.Reason]uint64)}
		for len(wires) == 0 || len(c) > 0 && len(wires) < 20 {
			tt := exchanges[c.next(len(exchanges))]
			w := b.dial()
			for i, text := range tt.says {
				switch from := side(i % 2); text {
				case "FIN":
					w.fin(from)
				case "RST":
					w.rst(from)
				default:
					c.play(w, from, text)
				}
			}
			names, wires = append(names, tt.name), append(wires, w)
			sum.add(tt.want)
		}
		b.expect(strings.Join(names, "; "), sum)
		for _, w := range wires {
			w.rst(client)
		}
		b.tally()
	})
}

func (w *want) add(o want) {
	for outcome, n := range o.outcomes {
		w.outcomes[outcome] += n
	}
	w.streams += o.streams
	w.inFlight += o.inFlight
	for reason, n := range o.unmeasured {
		w.unmeasured[reason] += n
	}
}

// Whatever comes, every request is measured, in flight or unmeasured; and where
// net/http understands all of it, the probe has counted the same.
func FuzzBytes(f *testing.F) {
	b := newBench(f, 0)
	for _, tt := range exchanges {
		var texts [2]string
		for i, text := range tt.says {
			if text != "FIN" && text != "RST" {
				texts[i%2] += text
			}
		}
		if len(texts[0])+len(texts[1]) < 2000 {
			f.Add([]byte(texts[0]), []byte(texts[1]), []byte{9, 3, 8, 1, 7, 30, 2})
		}
	}
	f.Fuzz(func(t *testing.T, asked, answered, decisions []byte) {
		if len(asked) > 3000 || len(answered) > 3000 {
			return
		}
		b.t = t
		c := choices(decisions)
		w := b.dial()
		broken := c.next(4) == 3 // what is missing here and there makes no sense to net/http
		for from, text := range []string{string(asked), string(answered)} {
			if !broken {
				c.play(w, side(from), text)
				continue
			}
			for _, segment := range c.cut(text) {
				if c.next(3) != 0 {
					w.sayAt(side(from), w.seq[from], segment)
				}
				w.seq[from] += uint32(len(segment))
			}
		}
		got := b.tally() // which compares what was seen with what was counted
		if expected, ok := understand(asked, answered); ok && !broken && (got.measured() != expected.measured() || got.outcomes != expected.outcomes || got.inFlight != expected.inFlight) {
			t.Errorf("got %+v, net/http says %+v", got, expected)
		}
		w.rst(client)
		b.tally()
	})
}

// understand is what net/http makes of a dialogue; not ok when it does not
// understand it, or the two are known to differ.
func understand(asked, answered []byte) (w want, ok bool) {
	for _, line := range append(strings.Split(string(asked), "\n"), strings.Split(string(answered), "\n")...) {
		if len(line) > 500 { // judged by their beginning
			return w, false
		}
	}
	var requests []*http.Request
	in := bufio.NewReader(bytes.NewReader(asked))
	for {
		if _, err := in.Peek(1); err != nil {
			break
		}
		r, err := http.ReadRequest(in)
		if err != nil || len(requests) >= 16 || r.Method == "CONNECT" || !plain(r.Method) || r.ProtoMajor != 1 {
			return w, false
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return w, false
		}
		requests = append(requests, r)
	}
	out := bufio.NewReader(bytes.NewReader(answered))
	for len(requests) > 0 {
		if _, err := out.Peek(1); err != nil {
			break
		}
		r, err := http.ReadResponse(out, requests[0])
		if err != nil || r.StatusCode < 100 || r.StatusCode > 999 || r.StatusCode == 101 || r.ProtoMajor != 1 || strings.Contains(strings.ToLower(r.Header.Get("Content-Type")), "event-stream") {
			return w, false
		}
		if r.StatusCode < 200 {
			continue
		}
		bodiless := requests[0].Method == "HEAD" || r.StatusCode == 204 || r.StatusCode == 304
		if r.ContentLength < 0 && len(r.TransferEncoding) == 0 && !bodiless {
			w.inFlight = len(requests) // it ends with the connection
			return w, true
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return w, false
		}
		outcome := histogram.Success
		if r.StatusCode >= 500 {
			outcome = histogram.ServerError
		} else if r.StatusCode >= 400 {
			outcome = histogram.ClientError
		}
		w.outcomes[outcome]++
		requests = requests[1:]
	}
	w.inFlight = len(requests)
	return w, true
}

// plain reports whether a method is of letters, dashes and underscores.
func plain(method string) bool {
	return strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_") == ""
}
