package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/countersign-dev/countersign/ledger"
)

// leaf is what the entries hold.
type leaf struct {
	Kind     string     `json:"kind"`
	Once     string     `json:"once,omitempty"`
	Evidence []evidence `json:"evidence,omitempty"`
	Text     string     `json:"text,omitempty"`
}

type evidence struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Len    int    `json:"len"`
}

func (l leaf) bytes() []byte {
	b, err := json.Marshal(l)
	exitOn(err)
	return b
}

func againLeaf(once string) []byte { return leaf{Kind: "test.again", Once: once}.bytes() }

// onceOf is a leaf's "once", "-" when it has none.
func onceOf(b []byte) string {
	var l leaf
	exitOn(json.Unmarshal(b, &l))
	if l.Once == "" {
		return "-"
	}
	return l.Once
}

// call is one Append, or an AppendOnce when there is a key.
type call struct {
	entries []ledger.Entry
	once    string
}

// generator makes the calls of one worker. The seed decides all of them.
type generator struct {
	random *rand.Rand
	name   string // begins the keys
	calls  int
	bulk   bool
}

func newGenerator(seed uint64, name string, worker int, bulk bool) *generator {
	return &generator{random: rand.New(rand.NewPCG(seed, uint64(worker))), name: fmt.Sprintf("%s/%d", name, worker), bulk: bulk}
}

func (g *generator) next() call {
	g.calls++
	if g.bulk {
		return call{entries: []ledger.Entry{g.entry("", g.blob(g.random.Uint64(), ledger.MaxBlob))}}
	}
	switch n := g.random.IntN(100); {
	case n < 30:
		once := fmt.Sprintf("%s/%d", g.name, g.calls)
		return call{entries: []ledger.Entry{g.entry(once)}, once: once}
	case n < 32: // one of a few blobs, which may be in the log or not
		which := g.random.Uint64N(256)
		return call{entries: []ledger.Entry{g.entry("", g.blob(which, 1<<(which%20)))}}
	case n < 50:
		c := call{}
		for range 2 + g.random.IntN(4) {
			c.entries = append(c.entries, g.entry(""))
		}
		return c
	}
	return call{entries: []ledger.Entry{g.entry("")}}
}

// blob makes a blob that is always the same for a number.
func (g *generator) blob(number uint64, size int) []byte {
	random := rand.New(rand.NewPCG(number, 0))
	b := make([]byte, size+8)
	for at := 0; at < size; at += 8 {
		binary.LittleEndian.PutUint64(b[at:], random.Uint64())
	}
	return b[:size]
}

func (g *generator) entry(once string, blobs ...[]byte) ledger.Entry {
	l := leaf{Kind: "test.entry", Once: once}
	for i, blob := range blobs {
		sum := sha256.Sum256(blob)
		l.Evidence = append(l.Evidence, evidence{fmt.Sprint("blob ", i), hex.EncodeToString(sum[:]), len(blob)})
	}
	l.Text = g.text(ledger.MaxLeaf - len(l.bytes()) - len(`,"text":""`))
	return ledger.Entry{Leaf: l.bytes(), Blobs: blobs}
}

// text is mostly short, and sometimes of the largest length.
func (g *generator) text(largest int) string {
	size := g.random.IntN(800)
	switch n := g.random.IntN(200); {
	case n == 0:
		size = largest
	case n < 10:
		size = g.random.IntN(6000)
	}
	line := fmt.Sprintf("%s/%d: %x ", g.name, g.calls, g.random.Uint64())
	return strings.Repeat(line, size/len(line)+1)[:size]
}
