package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

func TestLeavesThatAreRefused(t *testing.T) {
	sum := fmt.Sprintf("%064x", 0xabc)
	for _, test := range []struct{ leaf, problem string }{
		{``, "not valid JSON"},
		{`{"kind":"k"`, "not valid JSON"},
		{`{"kind":"k"} {}`, "not valid JSON"},
		{"{\"kind\":\"k\xff\"}", "not valid UTF-8"},
		{`["kind"]`, "not a JSON object"},
		{`"kind"`, "not a JSON object"},
		{`7`, "not a JSON object"},
		{`{}`, `has no "kind"`},
		{`{"Kind":"k"}`, `has no "kind"`},
		{`{"a":{"kind":"k"}}`, `has no "kind"`},
		{`{"kind":""}`, `"kind" must be`},
		{`{"kind":null}`, `"kind" must be`},
		{`{"kind":["k"]}`, `"kind" must be`},
		{`{"kind":"ledger.created"}`, "reserved"},
		{`{"kind":"ledger."}`, "reserved"},
		{`{"kind":"\u006cedger.rotated"}`, "reserved"},
		{`{"kind":"k","kind":"k"}`, `"kind" twice`},
		{`{"a":1,"kind":"k","\u0061":2}`, `"a" twice`},
		{`{"kind":"k","b":1,"c":2,"b":3}`, `"b" twice`},
		{`{"kind":"k","time":"today"}`, `"time" must be`},
		{`{"kind":"k","time":"2006-01-02 15:04:05Z"}`, `"time" must be`},
		{`{"kind":"k","time":"2006-01-02T15:04:05,5Z"}`, `"time" must be`},
		{`{"kind":"k","time":"2006-02-30T15:04:05Z"}`, `"time" must be`},
		{`{"kind":"k","time":1700000000}`, `"time" must be`},
		{`{"kind":"k","time":null}`, `"time" must be`},
		{`{"kind":"k","once":""}`, `"once" must be`},
		{`{"kind":"k","once":7}`, `"once" must be`},
		{`{"kind":"k","once":null}`, `"once" must be`},
		{`{"kind":"k","once":"` + strings.Repeat("x", 257) + `"}`, `"once" must be`},
		{`{"kind":"k","once":"\ud800"}`, "lone surrogates"},
		{`{"kind":"k","evidence":null}`, `must be an array`},
		{`{"kind":"k","evidence":{}}`, `must be an array`},
		{`{"kind":"k","evidence":["a"]}`, `evidence 0: it is not a JSON object`},
		{`{"kind":"k","evidence":[{}]}`, `evidence 0: it must have`},
		{`{"kind":"k","evidence":[{"name":"n","sha256":"` + sum + `"}]}`, `it must have`},
		{`{"kind":"k","evidence":[{"name":"n","sha256":"` + sum + `","len":1,"len":1}]}`, `"len" twice`},
		{`{"kind":"k","evidence":[{"name":1,"sha256":"` + sum + `","len":1}]}`, `"name" is wrong`},
		{`{"kind":"k","evidence":[{"name":"n","sha256":"` + strings.ToUpper(sum) + `","len":1}]}`, `"sha256" is wrong`},
		{`{"kind":"k","evidence":[{"name":"n","sha256":"` + sum[1:] + `","len":1}]}`, `"sha256" is wrong`},
		{`{"kind":"k","evidence":[{"name":"n","sha256":"` + sum + `","len":-1}]}`, `"len" is wrong`},
		{`{"kind":"k","evidence":[{"name":"n","sha256":"` + sum + `","len":1.0}]}`, `"len" is wrong`},
		{`{"kind":"k","evidence":[{"name":"n","sha256":"` + sum + `","len":"1"}]}`, `"len" is wrong`},
		{`{"kind":"k","evidence":[{"name":"n","sha256":"` + sum + `","len":null}]}`, `"len" is wrong`},
		{`{"kind":"k","evidence":[{"name":"n","sha256":"` + sum + `","len":524289}]}`, `"len" is wrong`},
		{`{"kind":"k","p":"` + strings.Repeat("x", MaxLeaf-18) + `"}`, "at most 65535"},
	} {
		_, err := newDraft(Entry{Leaf: []byte(test.leaf)})
		if err == nil || !strings.Contains(err.Error(), test.problem) {
			t.Errorf("%.100s: %v, want %q", test.leaf, err, test.problem)
		}
	}
}

func TestLeavesThatAreTaken(t *testing.T) {
	var many strings.Builder
	for i := range 40 {
		fmt.Fprintf(&many, `,"m%d":%d`, i, i)
	}
	for _, leaf := range []string{
		`{"kind":"k"}`,
		" \r\n\t{ \"kind\" : \"k\" , \"time\" : \"2006-01-02T15:04:05.123456789+02:00\" } \n",
		`{"kind":"ledger"}`,
		`{"kind":"k","Kind":"ledger.x","KIND":7}`,
		`{"kind":"k","n":-1.5e3,"b":true,"z":null,"o":{"kind":1,"kind":2,"a":[{"}":"]"}]},"s":"a\"b\\"}`,
		`{"kind":"k","once":"` + strings.Repeat("x", 256) + `"}`,
		`{"kind":"k","evidence":[]}`,
		`{"kind":"k"` + many.String() + `}`,
		`{"kind":"k","p":"` + strings.Repeat("x", MaxLeaf-19) + `"}`,
	} {
		d, err := newDraft(Entry{Leaf: []byte(leaf)})
		if err != nil {
			t.Errorf("%.100s: %v", leaf, err)
			continue
		}
		if d.hash != tlog.RecordHash([]byte(leaf)) || !bytes.Equal(d.leaf, []byte(leaf)) {
			t.Errorf("%.100s: not kept as it is", leaf)
		}
	}
}

func TestOnceIsComparedDecoded(t *testing.T) {
	want := sha256.Sum256([]byte("token/7"))
	for _, leaf := range []string{
		`{"kind":"k","once":"token/7"}`,
		`{"\u006fnce":"\u0074oken\/7","kind":"k"}`,
	} {
		d, err := newDraft(Entry{Leaf: []byte(leaf)})
		if err != nil || d.once == nil || *d.once != want {
			t.Errorf("%s: %v, %v; want the sum of token/7", leaf, d, err)
		}
		if sum := onceOf([]byte(leaf)); sum == nil || *sum != want {
			t.Errorf("onceOf(%s) is %x", leaf, sum)
		}
	}
	for _, leaf := range []string{``, `{`, `{"kind":"k"}`, `{"a":{"once":"x"}}`, `{"once":"x","once":"x"}`} {
		if sum := onceOf([]byte(leaf)); sum != nil {
			t.Errorf("onceOf(%s) is %x, want none", leaf, *sum)
		}
	}
}

func TestBlobsOfAnEntry(t *testing.T) {
	blob := []byte("a blob")
	leaf := fmt.Appendf(nil, `{"kind":"k","evidence":[{"name":"n","sha256":"%x","len":%d}]}`, sha256.Sum256(blob), len(blob))
	if d, err := newDraft(Entry{Leaf: leaf, Blobs: [][]byte{blob, blob}}); err != nil || len(d.blobs) != 1 {
		t.Errorf("a blob given twice: %v, %v", d, err)
	}
	wrongLen := bytes.Replace(leaf, []byte(`"len":6`), []byte(`"len":7`), 1)
	for _, test := range []struct {
		entry   Entry
		problem string
	}{
		{Entry{Leaf: leaf, Blobs: [][]byte{[]byte("another")}}, "not named in the leaf's evidence"},
		{Entry{Leaf: leaf, Blobs: [][]byte{make([]byte, MaxBlob+1)}}, "at most 524288"},
		{Entry{Leaf: wrongLen, Blobs: [][]byte{blob}}, `says 7 bytes, its blob has 6`},
	} {
		if _, err := newDraft(test.entry); err == nil || !strings.Contains(err.Error(), test.problem) {
			t.Errorf("%v, want %q", err, test.problem)
		}
	}
}

// FuzzLeaf compares with encoding/json, which agrees on every leaf that is
// taken, and makes sure that reading a leaf never panics.
func FuzzLeaf(f *testing.F) {
	for _, seed := range []string{`{"kind":"k"}`, `{"kind":"k","once":"o","evidence":[]}`, `{"a":[1,{"b":"}\""}],"kind":"\u006b"}`, `{}`, `[`, `{"a" :1 , "b":-0.5e+7}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, leaf []byte) {
		onceOf(leaf)
		isOwn(leaf)
		d, err := newDraft(Entry{Leaf: leaf})
		if err != nil {
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(leaf, &members); err != nil {
			t.Fatalf("%q was taken and is not an object: %v", leaf, err)
		}
		n := 0
		err = eachMember(leaf, func(name string, value []byte) error {
			n++
			if !bytes.Equal(members[name], value) {
				t.Errorf("%q: the member %q is %q, want %q", leaf, name, value, members[name])
			}
			return nil
		})
		if err != nil || n != len(members) {
			t.Errorf("%q: %d members (%v), want %d", leaf, n, err, len(members))
		}
		var once string
		if json.Unmarshal(members["once"], &once) == nil && once != "" {
			if want := sha256.Sum256([]byte(once)); d.once == nil || *d.once != want {
				t.Errorf("%q: the sum of once is %x, want %x", leaf, d.once, want)
			}
		}
	})
}
