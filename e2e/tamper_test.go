//go:build slow

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/ledger/verify"
	"github.com/countersign-dev/countersign/ledger/witness"
	"github.com/countersign-dev/countersign/ledger/witness/witnesstest"
)

const (
	tamperOrigin   = "ledger.example/payments"
	tamperRotation = 350 // the entry that changes the key

	olderSize  = 450 // what restored logs have
	tamperSize = 600
	longOlder  = 66_000
	longSize   = 70_000
)

// A tamperScene has the logs that are altered and those that parts are taken from.
type tamperScene struct {
	main     *tamperLog // of tamperSize, all kinds of entries, a change of its key, a witnessed checkpoint
	fork     *tamperLog // main's keys, other entries
	usurper  *tamperLog // main's name and entries, other keys
	foreign  *tamperLog // all is other
	long     *tamperLog // of longSize, with full tiles at two levels
	longFork *tamperLog // long's key, other entries

	witness *witnesstest.Witness
	policy  *witness.Policy
}

func newTamperScene(t *testing.T) *tamperScene {
	t.Helper()
	key := func(name string, seed byte) tamperKey { return newTamperKey(t, name, seed) }
	s := &tamperScene{witness: witnesstest.New("witness.example", func() time.Time { return tamperTime })}
	keys := []tamperKey{key(tamperOrigin, 1), key(tamperOrigin, 2)}
	shape := tamperShape{
		origin: tamperOrigin, salt: "main", keys: keys, rotateAt: tamperRotation, sizes: []int{340, olderSize, 550, tamperSize},
		entry: tamperEntry, cosigner: s.witness, cosignAt: 550,
	}
	s.main = makeTamperLog(t, shape)
	shape.cosignAt = 0
	shape.salt = "fork"
	s.fork = makeTamperLog(t, shape)
	shape.salt, shape.keys = "main", []tamperKey{key(tamperOrigin, 3), key(tamperOrigin, 4)}
	s.usurper = makeTamperLog(t, shape)
	const elsewhere = "elsewhere.example/log"
	shape.origin, shape.salt, shape.keys = elsewhere, "foreign", []tamperKey{key(elsewhere, 1), key(elsewhere, 2)}
	s.foreign = makeTamperLog(t, shape)

	policy := fmt.Sprintf("witness w %s\nquorum w\n", s.witness.VerifierKey())
	var err error
	if s.policy, err = witness.ParsePolicy([]byte(policy)); err != nil {
		t.Fatal(err)
	}
	return s
}

// makeLong makes the long logs.
func (s *tamperScene) makeLong(t *testing.T) {
	t.Helper()
	shape := tamperShape{origin: tamperOrigin, salt: "long", keys: s.main.keys[:1], sizes: []int{longOlder, longSize}, entry: smallEntry}
	s.long = makeTamperLog(t, shape)
	shape.salt = "gnol"
	s.longFork = makeTamperLog(t, shape)
}

// options are those of a mode.
func (s *tamperScene) options(l *tamperLog, mode tamperMode) verify.Options {
	o := verify.Options{Workers: 1}
	if mode != withOwnKey {
		o.Keys = []string{l.keys[0].vkey}
	}
	switch mode {
	case withKept:
		for _, size := range sortedKeys(l.checkpoints) {
			o.Since = append(o.Since, l.checkpoints[size])
		}
	case withOldest:
		o.Since = [][]byte{l.checkpoints[sortedKeys(l.checkpoints)[0]]}
	case withWitness:
		o.Policy, o.RequireWitness = s.policy, true
	}
	return o
}

// TestTamper alters every kind of thing that a ledger is made of, in every way
// that makes sense, wherever it lies, and makes sure that none passes: each case
// says which verdicts are right. Only what changes nothing of what is proven,
// and what docs/LEDGER.md says that no verification can find alone, verifies;
// the latter is found with a checkpoint that was kept.
func TestTamper(t *testing.T) {
	t.Parallel()
	s := newTamperScene(t)
	s.makeLong(t)
	m := newTamperMatrix()
	t.Run("bundle", func(t *testing.T) { s.tamperBundles(t, m) })
	t.Run("archive", func(t *testing.T) { s.tamperArchives(t, m) })
	t.Run("server", func(t *testing.T) { s.tamperServers(t, m) })
	t.Run("proof", func(t *testing.T) { s.tamperProofs(t, m) })
	t.Run("store", func(t *testing.T) { s.tamperStores(t, m) })
	table := m.String()
	t.Log("\n" + table)
	fmt.Print(table)
	if len(m.counts) == tamperPlaces {
		m.complete(t)
	}
}

// tamperPlaces is how many places there are, when none is left out by -run.
const tamperPlaces = 9

// tamperedObjects are all kinds of objects with the operations that each must be
// put through, in some place.
var tamperedObjects = map[string]string{
	objectLeaf:       "delete duplicate edit flip forge insert reorder splice truncate zero",
	objectHash:       "delete duplicate edit flip insert reorder splice truncate zero",
	objectTile:       "answer delete duplicate flip insert rename reorder replace splice truncate zero",
	objectEntries:    "answer delete duplicate flip insert rename reorder replace splice truncate zero",
	objectCheckpoint: "answer delete duplicate edit flip insert rename reorder replace splice truncate zero",
	objectSignature:  "delete duplicate edit flip insert splice truncate zero",
	objectWitnessed:  "answer delete duplicate edit flip insert rename reorder replace splice truncate zero",
	objectKept:       "delete duplicate edit flip insert reorder splice truncate zero",
	objectFormat:     "answer delete duplicate edit flip insert rename reorder replace splice truncate zero",
	objectKey:        "delete duplicate edit flip insert reorder restore splice truncate zero",
	objectBlob:       "answer delete duplicate edit flip forge insert rename reorder replace splice truncate zero",
	objectBundle:     "insert reorder restore splice",
	objectArchive:    "delete duplicate edit flip insert rename reorder replace truncate zero",
	objectProof:      "cosign delete duplicate edit flip insert reorder splice truncate zero",
	objectAnchor:     "delete duplicate edit flip insert reorder replace restore splice truncate zero",
	objectHead:       "delete edit flip insert restore splice truncate zero",
	objectOnce:       "delete duplicate edit insert rename reorder truncate",
	objectRow:        "delete duplicate insert truncate",
	objectStoreFile:  "delete duplicate flip insert rename reorder restore truncate zero",
	objectDirectory:  "delete duplicate restore splice",
}

// complete makes sure that every operation was tried on every kind of object.
func (m *tamperMatrix) complete(t *testing.T) {
	t.Helper()
	tried := map[string][]string{}
	for _, of := range sortedKeys(m.cases) {
		object, operation, _ := strings.Cut(of, ", ")
		tried[object] = append(tried[object], operation)
	}
	for _, object := range sortedKeys(tried) {
		if want := strings.Fields(tamperedObjects[object]); !slices.Equal(tried[object], want) {
			t.Errorf("%s: tried are %v, and should be %v", object, tried[object], want)
		}
	}
	if len(tried) != len(tamperedObjects) {
		t.Errorf("%d kinds of objects were tried of %d", len(tried), len(tamperedObjects))
	}
}
