package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzLeaf compares the parser of leaves with encoding/json.
func FuzzLeaf(f *testing.F) {
	sum := strings.Repeat("0a", 32)
	for _, leaf := range []string{
		``, ` `, `{}`, `{"kind":"a"}`, ` { "kind" : "a" } `, `{"kind":""}`, `{"kind":1}`, `{"kind":"a"}x`, "{\"kind\":\"a\"}\x00",
		`{"kind":"a","kind":"b"}`, `{"kind":"a","\u006bind":"b"}`, `{"kind":"a","once":""}`, `{"kind":"a","once":"\ud83d\ude00"}`,
		`{"kind":"a","once":"\ud800"}`, `{"kind":"a","\ud800":1,"\ud801":2}`, `{"kind":"a","n":[1,-0,0.5,1e9,-2E-3,01]}`, `{"kind":"a","n":-}`,
		`{"kind":"a","time":"2026-01-02T03:04:05Z"}`, `{"kind":"a","time":"2026-02-30T03:04:05Z"}`, `{"kind":"a","time":"2026-01-02T3:04:05Z"}`, `{"kind":"a","time":"2026-01-02T03:04:05,5Z"}`,
		`{"kind":"a","evidence":[{"name":"n","sha256":"` + sum + `","len":3,"x":{}}]}`, `{"kind":"a","evidence":[{"name":"n","sha256":"` + sum + `","len":1.0}]}`,
		`{"kind":"a","evidence":[{"name":"n","sha256":"` + strings.ToUpper(sum) + `","len":1}]}`, `{"kind":"a","evidence":{}}`, `{"kind":"a","evidence":[[]]}`,
		`{"kind":"a","x":{"y":[{"z":[]},[{}],null,true,false,"\n\/\"\\"]}}`, `{"kind":"a","x":{"y":[}]}`, `{"kind":"a","x":{"y",1}}`, `{"kind":"a",}`,
		`{"kind":"a","x":[1,]}`, `{"kind":"a","x":"` + "\x1f" + `"}`, `{"kind":"a","x":"` + "\xff" + `"}`, `{"kind":"a","x":"\x"}`, `{"kind":"a","x":"\u12g4"}`,
		`{"kind":"a","x":` + strings.Repeat("[", 9999) + strings.Repeat("]", 9999) + `}`, `{"kind":"a","x":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}`,
		`{"kind":"a","x":"0123456` + "\t" + `"}`, `{"kind":"a","x":"01234567890123456789\"ü"}`, `{"kind":"a","x":tru}`, `{"kind":"a","x":nulll}`, "\ufeff{}", `[]`, `"a"`, `{"kind":"a","x`,
	} {
		f.Add([]byte(leaf))
	}
	many := []string{`"kind":"a"`}
	for i := range 100 {
		many = append(many, fmt.Sprintf(`"m%d":%d`, i, i))
	}
	f.Add([]byte("{" + strings.Join(many, ",") + "}"))
	f.Add([]byte("{" + strings.Join(append(many, `"m77":0`), ",") + "}"))
	p := &leafParser{}
	f.Fuzz(func(t *testing.T, leaf []byte) {
		want, wantErr := oracle(leaf)
		err := p.parse(leaf)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q\nours:   %v\noracle: %v", leaf, err, wantErr)
		}
		if err != nil {
			return
		}
		got := oracleLeaf{kind: string(p.kind), hasOnce: p.once != nil, once: string(p.once)}
		for _, e := range p.evidence {
			got.evidence = append(got.evidence, fmt.Sprintf("%x %d", e.sum, e.length))
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q\nours:   %+v\noracle: %+v", leaf, got, want)
		}
	})
}

// rfc3339 is the form of a time (RFC 3339, section 5.6) with capital letters.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$`)

// An oracleLeaf is what encoding/json makes of a leaf.
type oracleLeaf struct {
	kind     string
	hasOnce  bool
	once     string
	evidence []string
}

func oracle(leaf []byte) (l oracleLeaf, err error) {
	if len(leaf) > 65535 || !utf8.Valid(leaf) || !json.Valid(leaf) {
		return l, fmt.Errorf("not JSON")
	}
	members, err := oracleMembers(leaf, nil)
	if err != nil {
		return l, err
	}
	if l.kind, err = oracleString(members["kind"]); err != nil || l.kind == "" {
		return l, fmt.Errorf("kind")
	}
	if raw, ok := members["time"]; ok {
		text, err := oracleString(raw)
		if err != nil || !rfc3339.MatchString(text) || new(time.Time).UnmarshalText([]byte(text)) != nil {
			return l, fmt.Errorf("time")
		}
	}
	if raw, ok := members["once"]; ok {
		l.hasOnce = true
		if l.once, err = oracleString(raw); err != nil || l.once == "" || len(l.once) > 256 {
			return l, fmt.Errorf("once")
		}
	}
	if raw, ok := members["evidence"]; ok {
		var items []json.RawMessage
		if raw[0] != '[' || json.Unmarshal(raw, &items) != nil {
			return l, fmt.Errorf("evidence")
		}
		for _, item := range items {
			e, err := oracleEvidence(item)
			if err != nil {
				return l, err
			}
			l.evidence = append(l.evidence, e)
		}
	}
	return l, nil
}

func oracleEvidence(raw json.RawMessage) (string, error) {
	members, err := oracleMembers(raw, map[string]bool{"name": true, "sha256": true, "len": true})
	if err != nil {
		return "", err
	}
	_, err1 := oracleString(members["name"])
	sum, err2 := oracleString(members["sha256"])
	var length int64
	err3 := json.Unmarshal(members["len"], &length)
	if err1 != nil || err2 != nil || err3 != nil || string(members["len"]) == "null" || length < 0 || length > 512<<10 ||
		len(sum) != 64 || strings.Trim(sum, "0123456789abcdef") != "" {
		return "", fmt.Errorf("evidence item")
	}
	return fmt.Sprintf("%s %d", sum, length), nil
}

// oracleMembers are the members of an object. Those that unique names, or all
// when it is nil, can be there only once.
func oracleMembers(raw []byte, unique map[string]bool) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, fmt.Errorf("no object")
	}
	members := map[string]json.RawMessage{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil && err != io.EOF {
			return nil, err
		}
		if _, twice := members[name.(string)]; twice && (unique == nil || unique[name.(string)]) {
			return nil, fmt.Errorf("twice")
		}
		members[name.(string)] = value
	}
	return members, nil
}

func oracleString(raw json.RawMessage) (s string, err error) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", fmt.Errorf("no string")
	}
	return s, json.Unmarshal(raw, &s)
}
