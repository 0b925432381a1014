package witness

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// plainKey is the end of the signer key that note.NewSigner reads.
func plainKey(name string) string {
	key := testKey(name)
	id := sha256.Sum256(append([]byte(name+"\n\x01"), key.Public().(ed25519.PublicKey)...))
	return fmt.Sprintf("%x+%s", id[:4], base64.StdEncoding.EncodeToString(append([]byte{1}, key.Seed()...)))
}

// TestCosignatureByHand builds everything from the specification's text.
func TestCosignatureByHand(t *testing.T) {
	const name = "witness.example.com/w1"
	key := testKey(name)
	public := key.Public().(ed25519.PublicKey)
	id := sha256.Sum256([]byte(name + "\n\x04" + string(public)))
	wantKey := fmt.Sprintf("%s+%x+%s", name, id[:4], base64.StdEncoding.EncodeToString(append([]byte{4}, public...)))
	if got := VerifierKey(name, public); got != wantKey {
		t.Errorf("verifier key %s, want %s", got, wantKey)
	}
	message := "cosignature/v1\ntime 1679315147\n" + testCheckpoint
	want := append(binary.BigEndian.AppendUint64(nil, 1679315147), ed25519.Sign(key, []byte(message))...)

	signer := NewCosigner(name, key, testTime)
	got, err := signer.Sign([]byte(testCheckpoint))
	if err != nil || string(got) != string(want) {
		t.Errorf("signature %x, %v\nwant %x", got, err, want)
	}
	if signer.Name() != name || signer.KeyHash() != binary.BigEndian.Uint32(id[:]) {
		t.Errorf("signer %s %08x", signer.Name(), signer.KeyHash())
	}
	v, err := NewVerifier(wantKey)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: testCheckpoint}, signer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := note.Open(signed, note.VerifierList(v)); err != nil {
		t.Errorf("the note does not open: %v", err)
	}
	for i := range want {
		bad := append([]byte(nil), want...)
		bad[i] ^= 1
		if v.Verify([]byte(testCheckpoint), bad) {
			t.Errorf("byte %d changed, and it verifies", i)
		}
	}
	for _, bad := range [][]byte{nil, want[:71], append(want[:72:72], 0)} {
		if v.Verify([]byte(testCheckpoint), bad) {
			t.Errorf("%d bytes verify", len(bad))
		}
	}
}

func TestTimesOfCosignatures(t *testing.T) {
	v, err := NewVerifier(vkey("w"))
	if err != nil {
		t.Fatal(err)
	}
	sign := func(seconds uint64) []byte {
		message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", seconds, testCheckpoint)
		return append(binary.BigEndian.AppendUint64(nil, seconds), ed25519.Sign(testKey("w"), []byte(message))...)
	}
	for seconds, want := range map[uint64]bool{0: true, math.MaxInt64: true, math.MaxInt64 + 1: false, math.MaxUint64: false} {
		if got := v.Verify([]byte(testCheckpoint), sign(seconds)); got != want {
			t.Errorf("time %d: %v", seconds, got)
		}
	}
	if _, err := NewCosigner("w", testKey("w"), func() time.Time { return time.Unix(-1, 0) }).Sign(nil); err == nil {
		t.Error("a time before 1970 is signed")
	}
}

func TestVerifierKeyErrors(t *testing.T) {
	good := vkey("w")
	hash, b64 := good[2:10], good[11:]
	short := base64.StdEncoding.EncodeToString([]byte{4, 1, 2})
	shortID := fmt.Sprintf("%08x", keyID("w", []byte{4, 1, 2}))
	unknown := fmt.Sprintf("w+%08x+%s", keyID("w", []byte{6, 1}), base64.StdEncoding.EncodeToString([]byte{6, 1}))
	for vkey, want := range map[string]string{
		"":                             "is not a verifier key",
		"w+" + hash:                    "is not a verifier key",
		"+" + hash + "+" + b64:         "has no sound name",
		"w w+" + hash + "+" + b64:      "has no sound name",
		"w\xff+" + hash + "+" + b64:    "has no sound name",
		"w+" + hash[1:] + "+" + b64:    "8 hexadecimal digits",
		"w+zzzzzzzz+" + b64:            "8 hexadecimal digits",
		"w+" + hash + "+!":             "does not end in base64",
		"w+" + hash + "+":              "does not end in base64",
		"w+" + hash + "+" + b64 + "\n": "does not end in base64",
		"v+" + hash + "+" + b64:        "does not match its key id",
		"w+" + shortID + "+" + short:   "is 2 bytes long",
		unknown:                        "signature type 0x06",
	} {
		if _, err := NewVerifier(vkey); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", vkey, err, want)
		}
	}
}

func FuzzCosignature(f *testing.F) {
	v, err := NewVerifier(vkey("w"))
	if err != nil {
		f.Fatal(err)
	}
	sound, err := NewCosigner("w", testKey("w"), testTime).Sign([]byte(testCheckpoint))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(vkey("w"), sound)
	f.Add(logVKey(f, "log.example"), sound[:8])
	f.Fuzz(func(t *testing.T, vkey string, signature []byte) {
		if v.Verify([]byte(testCheckpoint), signature) && string(signature) != string(sound) {
			t.Errorf("a signature that nobody made verifies: %x", signature)
		}
		k, err := parseKey(vkey)
		if err != nil {
			return
		}
		if plain, err := note.NewVerifier(vkey); (err == nil) != (k.kind == typeEd25519) || err == nil && plain.KeyHash() != k.id {
			t.Errorf("%q: another reader says %v", vkey, err)
		}
		if k.kind == typeCosignature && !strings.EqualFold(VerifierKey(k.name, k.public), vkey) {
			t.Errorf("%q is written %q", vkey, VerifierKey(k.name, k.public))
		}
	})
}
