package recovery

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestPreviewIsWhatIsSent(t *testing.T) {
	a := restart()
	a.Body = `{"incident":"{{incident_id}}","by":"{{approver}}","at":"{{time}}","key":"{{key}}","why":"{{cause}}"}`
	key := "inc-850da6-1767323095-" + strings.TrimPrefix(a.Digest(), "sha256:")[:16]
	want := fmt.Sprintf(`POST https://deploy.example/hooks/restart
Authorization: Bearer ••••••••
Content-Type: application/json
Idempotency-Key: %[1]s
User-Agent: countersign
Webhook-Id: %[1]s
Webhook-Signature: v1,•••••••• (by the key env:KEY)
Webhook-Timestamp: (the time of sending)
X-Incident: inc-850da6-1767323095 of checkout
{"incident":"inc-850da6-1767323095","by":"ana","at":"2026-01-02T03:04:55Z","key":"%[1]s","why":"a1b2c3d \"Fix query\""}`, key)
	p := a.Preview(someVars())
	if got := shown(p); got != want {
		t.Errorf("the preview is\n%s\nwant\n%s", got, want)
	}
	if p.Digest != a.Digest() || p.RequestDigest == "" {
		t.Error(p.Digest, p.RequestDigest)
	}
}

func shown(p Preview) string {
	lines := []string{p.Method + " " + p.URL}
	for _, f := range p.Headers {
		lines = append(lines, f.Name+": "+f.Value)
	}
	return strings.Join(append(lines, p.Body), "\n")
}

func TestPreviewBeforeAnybodyApproved(t *testing.T) {
	v := someVars()
	v.Approver, v.Time = "", time.Time{}
	a := restart()
	a.Body = `{"by":"{{approver}}","at":"{{ time }}","reason":"{{reason}}"}`
	p := a.Preview(v)
	if p.Body != `{"by":"{{approver}}","at":"{{time}}","reason":"P95 4001 ms"}` || p.RequestDigest != "" {
		t.Errorf("%q %q", p.Body, p.RequestDigest)
	}
	if p := a.Preview(Vars{}); !strings.Contains(shown(p), "Idempotency-Key: {{key}}") {
		t.Error(shown(p))
	}
}

func TestPreviewNeverShowsASecret(t *testing.T) {
	for _, change := range []func(*Action){
		func(*Action) {},
		func(a *Action) { a.Unsigned, a.Secret = true, Secret{} },
		func(a *Action) {
			a.SecretHeaders["X-Token"] = SecretHeader{Secret: Secret{Env: "TOKEN", KeyID: "t1"}}
			a.Headers["X-All"] = strings.Join(eachVariable(), " ")
			a.Body = `"` + strings.Join(eachVariable(), " ") + `"`
		},
	} {
		a := restart()
		change(&a)
		p := a.Preview(someVars())
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []string{string(text), fmt.Sprintf("%v %+v %#v", p, a, a), a.Digest()} {
			for _, secret := range []string{bearer, signingKey, strings.TrimPrefix(signingKey, "whsec_"), "0123456789abcdef"} {
				if strings.Contains(form, secret) {
					t.Errorf("a secret stands in %s", form)
				}
			}
		}
	}
}

func eachVariable() []string {
	var all []string
	for _, name := range Variables {
		all = append(all, "{{"+name+"}}")
	}
	return all
}

func TestValuesStayWhereTheyAre(t *testing.T) {
	v := someVars()
	v.Service = "a\r\nX-Evil: 1\x00\u202e\"},{\\\"b\":<script>&'\u2028é" + strings.Repeat("x", 2000)
	for contentType, want := range map[string]string{
		"application/json":                  `a X-Evil: 1 \"},{\\\"b\":\u003cscript\u003e\u0026' éx`,
		"application/cloudevents+json":      `a X-Evil: 1 \"},{\\\"b\":\u003cscript\u003e\u0026' éx`,
		"text/json":                         `a X-Evil: 1 \"},{\\\"b\":\u003cscript\u003e\u0026' éx`,
		"application/x-www-form-urlencoded": `a+X-Evil%3A+1+%22%7D%2C%7B%5C%22b%22%3A%3Cscript%3E%26%27+%C3%A9x`,
		"application/xml; charset=utf-8":    `a X-Evil: 1 &#34;},{\&#34;b&#34;:&lt;script&gt;&amp;&#39; éx`,
		"text/plain":                        `a X-Evil: 1 "},{\"b":<script>&' éx`,
	} {
		a := restart()
		a.Headers = map[string]string{"content-type": contentType, "X-Service": "{{service}}"}
		a.Body = "{{service}}"
		p := a.Preview(v)
		if !strings.HasPrefix(p.Body, want) || strings.ContainsAny(p.Body, "\r\n\x00") || len(p.Body) > 700 {
			t.Errorf("%s: %q", contentType, p.Body)
		}
		for _, f := range p.Headers {
			if f.Name == "X-Service" && !strings.HasPrefix(f.Value, `a X-Evil: 1 "},{\"b":<script>&' ?x`) {
				t.Errorf("the header is %q", f.Value)
			}
			if f.Name == "X-Evil" || f.Name == "X-Service" && !isHeaderText(f.Value) {
				t.Errorf("a header got out: %q", f)
			}
		}
	}
}

// What is kept as evidence is what the digests are of, and has no secret in it.
func TestEvidence(t *testing.T) {
	a := restart()
	key := Key("inc-850da6-1767323095", a.Digest())
	for digest, text := range map[string][]byte{
		a.Digest(): a.Canonical(), a.Preview(someVars()).RequestDigest: a.Request(someVars(), key),
	} {
		sum := sha256.Sum256(text)
		if digest != "sha256:"+hex.EncodeToString(sum[:]) || !json.Valid(text) || strings.Contains(string(text), bearer) {
			t.Errorf("%s is not the digest of %s", digest, text)
		}
	}
	if text := string(a.Request(someVars(), key)); !strings.Contains(text, `"action":"`+a.Digest()) || !strings.Contains(text, key) {
		t.Errorf("the request does not say what it is of: %s", text)
	}
}

func TestKeys(t *testing.T) {
	for key, want := range map[string]bool{
		"": false, "inc-850da6-1767323095-0123456789abcdef": true, "a.b": false, "a b": false, "a\r\nb": false, "é": false,
		strings.Repeat("a", 128): true, strings.Repeat("a", 129): false, Key("inc-1", restart().Digest()): true, Key("", "sha256:ab"): false,
	} {
		if isKey(key) != want {
			t.Errorf("%q is a key: %v", key, !want)
		}
	}
}
