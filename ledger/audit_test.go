package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/transparency-dev/merkle/rfc6962"
)

func be64(i uint64) []byte { return binary.BigEndian.AppendUint64(nil, i) }

// leafRow is the value of an entry's row whose leaf is this.
func leafRow(leaf string) []byte {
	return append(rfc6962.DefaultHasher.HashLeaf([]byte(leaf)), leaf...)
}

// evidenceOf is a leaf that has a blob as evidence.
func evidenceOf(blob []byte) string {
	return `{"kind":"test","evidence":[{"name":"b","sha256":"` + sumOf(blob) + `","len":6}]}`
}

func TestAuditOfSoundStore(t *testing.T) {
	for _, n := range []int{1, 2, 255, 256, 257, 600} {
		dir, _ := storeDir(t, n)
		if err := openCopy(t, dir).Audit(t.Context()); err != nil {
			t.Errorf("%d entries: %v", n, err)
		}
	}
}

func TestAudit(t *testing.T) {
	dir, s := storeDir(t, 600)
	once := func(i string) []byte { return keyOnce(sha256.Sum256([]byte("key " + i))) }
	blob := func(i int) []byte { return keyBlob(sha256.Sum256(testBlob(i))) }
	changed := append([]byte{}, s.leaves[7]...)
	changed[len(changed)-2] ^= 1
	for name, test := range map[string]struct {
		key, val []byte // nil deletes
		index    int64
		says     string // where Audit itself says it
	}{
		"format absent":       {keyFormat, nil, -1, "the row that names the store's format is absent"},
		"format empty":        {keyFormat, []byte{}, -1, `the row that names the store's format says ""`},
		"format of another":   {keyFormat, []byte("x"), -1, `the row that names the store's format says "x"`},
		"format beside":       {[]byte("v2"), []byte("x"), -1, ""},
		"head absent":         {keyHead, nil, -1, "the row of the store's head is absent"},
		"head is none":        {keyHead, []byte("x"), -1, "the store's head: "},
		"head of none":        {keyHead, s.checkpoint(t, 0).Note, -1, "the store's head is that of an empty log"},
		"head beside":         {[]byte("h\x00"), []byte("x"), -1, ""},
		"head older":          {keyHead, s.checkpoint(t, 500).Note, 500, ""},
		"head newer":          {keyHead, []byte(strings.Replace(string(s.checkpoint(t, 600).Note), "\n600\n", "\n601\n", 1)), 600, "entry 600 has no row"},
		"first leaf absent":   {keyLeaf(0), nil, 0, "entry 0 has no row"},
		"leaf absent":         {keyLeaf(300), nil, 300, "entry 300 has no row"},
		"last leaf absent":    {keyLeaf(599), nil, 599, "entry 599 has no row"},
		"leaf after the last": {keyLeaf(600), leafRow(`{"kind":"x"}`), 600, ""},
		"leaf far beyond":     {keyLeaf(1<<64 - 1), leafRow(`{"kind":"x"}`), 600, ""},
		"leaf cut":            {keyLeaf(7), make([]byte, 31), 7, "fewer than a leaf hash"},
		"leaf changed":        {keyLeaf(7), append(rfc6962.DefaultHasher.HashLeaf(s.leaves[7]), changed...), 7, "its leaf has the hash"},
		"leaf hash changed":   {keyLeaf(7), append(make([]byte, 32), s.leaves[7]...), 7, "its leaf has the hash"},
		"leaf key short":      {[]byte("e\x00"), []byte("x"), -1, "that no ledger has"},
		"leaf key long":       {append(keyLeaf(5), 0), []byte("x"), 6, ""},
		"last leaf key long":  {append(keyLeaf(599), 0), []byte("x"), -1, ""},
		"node absent":         {keyNode(1, 0), nil, -1, "tree hash 0 of level 1 has no row"},
		"last node absent":    {keyNode(1, 1), nil, -1, "tree hash 1 of level 1 has no row"},
		"node beyond":         {keyNode(1, 2), make([]byte, 32), 600, ""},
		"node of level 0":     {keyNode(0, 0), make([]byte, 32), -1, ""},
		"node of level 2":     {keyNode(2, 0), make([]byte, 32), 600, ""},
		"node of level 255":   {keyNode(255, 0), make([]byte, 32), 600, ""},
		"node cut":            {keyNode(1, 1), make([]byte, 31), -1, "has 31 bytes, not 32"},
		"node key short":      {[]byte("t\x01"), make([]byte, 32), -1, ""},
		"once absent":         {once("301"), nil, 301, ""},
		"once of another":     {once("301"), be64(300), 301, ""},
		"once beyond":         {once("301"), be64(600), 600, ""},
		"once cut":            {once("301"), make([]byte, 7), -1, ""},
		"once added":          {once("300"), be64(300), -1, ""},
		"once added to none":  {once("300"), be64(700), 600, ""},
		"once key short":      {[]byte("ox"), be64(1), -1, ""},
		"blob changed":        {blob(35), append(be64(35), "blob 2"...), 35, "has the SHA-256 sum"},
		"blob cut":            {blob(35), append(be64(35), "blob"...), 35, "has the SHA-256 sum"},
		"blob without index":  {blob(35), make([]byte, 7), -1, ""},
		"blob of none":        {blob(35), append(be64(600), testBlob(35)...), 600, ""},
		"blob of another":     {blob(35), append(be64(34), testBlob(35)...), 34, "whose evidence does not name it"},
		"blob added":          {blob(600), append(be64(35), testBlob(600)...), 35, "whose evidence does not name it"},
		"blob added to none":  {blob(600), append(be64(600), testBlob(600)...), 600, ""},
		"blob key short":      {[]byte("bx"), be64(1), -1, ""},
		"stranger first":      {[]byte{0}, []byte("x"), -1, ""},
		"stranger between":    {[]byte("g"), []byte("x"), -1, ""},
		"stranger last":       {[]byte{0xff, 0xff}, []byte("x"), -1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := openCopy(t, dir)
			setRow(t, c.rows.db, test.key, test.val)
			err := c.Audit(t.Context())
			wantDamage(t, err, test.index)
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want %q", err, test.says)
			}
		})
	}
}

// TestAuditPastPieces puts a stray row where one piece of entries ends and the next begins.
func TestAuditPastPieces(t *testing.T) {
	dir, _ := storeDir(t, pieceEntries+1)
	c := openCopy(t, dir)
	if err := c.Audit(t.Context()); err != nil {
		t.Fatal(err)
	}
	setRow(t, c.rows.db, append(keyLeaf(pieceEntries-1), 0), []byte("x"))
	wantDamage(t, c.Audit(t.Context()), -1)
}

// TestAuditLeavesToTheVerifier checks what is wrong with what was signed, not with the store.
func TestAuditLeavesToTheVerifier(t *testing.T) {
	dir, _ := storeDir(t, 600)
	for name, rows := range map[string]map[string][]byte{
		"leaf that is not valid":     {string(keyLeaf(0)): leafRow("no JSON")},
		"blob absent":                {string(keyBlob(sha256.Sum256(testBlob(35)))): nil},
		"evidence named with others": {string(keyLeaf(301)): leafRow(`{"kind":"test","once":"key 301"}`), string(keyLeaf(50)): leafRow(evidenceOf(testBlob(35)))},
	} {
		t.Run(name, func(t *testing.T) {
			c := openCopy(t, dir)
			for key, val := range rows {
				setRow(t, c.rows.db, []byte(key), val)
			}
			if err := c.Audit(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAuditOfRowSetToVanish(t *testing.T) {
	dir, s := storeDir(t, 10)
	c := openCopy(t, dir)
	err := c.rows.db.Update(func(txn *badger.Txn) error {
		return txn.SetEntry(badger.NewEntry(keyLeaf(3), leafRow(string(s.leaves[3]))).WithTTL(1000 * time.Hour))
	})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Audit(t.Context())
	wantDamage(t, err, -1)
	if !strings.Contains(err.Error(), "is set to vanish") {
		t.Error(err)
	}
}

func TestAuditOfNewerFormat(t *testing.T) {
	dir, _ := storeDir(t, 10)
	c := openCopy(t, dir)
	setRow(t, c.rows.db, keyFormat, []byte("countersign-ledger/2"))
	err := c.Audit(t.Context())
	if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), `"countersign-ledger/2"`) {
		t.Errorf("error %v", err)
	}
}

func TestAuditEnds(t *testing.T) {
	dir, _ := storeDir(t, 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := openCopy(t, dir).Audit(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
}
