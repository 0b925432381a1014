package recovery

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestDigestChangesWithWhatIsSent(t *testing.T) {
	changes := map[string]struct {
		change func(*Action)
		same   bool
	}{
		"name":            {func(a *Action) { a.Name = "restart-2" }, false},
		"tenant":          {func(a *Action) { a.Tenant = "other" }, false},
		"URL":             {func(a *Action) { a.URL += "?force=true" }, false},
		"method":          {func(a *Action) { a.Method = "PUT" }, false},
		"header's value":  {func(a *Action) { a.Headers["X-Incident"] = "x" }, false},
		"one header more": {func(a *Action) { a.Headers["X-More"] = "x" }, false},
		"one header less": {func(a *Action) { delete(a.Headers, "X-Incident") }, false},
		"letters of a header": {func(a *Action) {
			delete(a.Headers, "X-Incident")
			a.Headers["x-incident"] = "{{incident_id}} of {{service}}"
		}, true},
		"secret header's key":    {func(a *Action) { a.SecretHeaders["Authorization"] = SecretHeader{"Bearer ", Secret{Env: "OTHER"}} }, false},
		"secret header's prefix": {func(a *Action) { a.SecretHeaders["Authorization"] = SecretHeader{"token ", Secret{Env: "TOKEN"}} }, false},
		"body":                   {func(a *Action) { a.Body = "{}" }, false},
		"signing key":            {func(a *Action) { a.Secret = Secret{Env: "OTHER"} }, false},
		"signing key's id":       {func(a *Action) { a.Secret.KeyID = "k2" }, false},
		"the same key elsewhere": {func(a *Action) { a.Secret = Secret{File: "/x", KeyID: "env:KEY"} }, true},
		"no signature":           {func(a *Action) { a.Unsigned, a.Secret = true, Secret{} }, false},
		"sent again":             {func(a *Action) { a.Idempotent = true }, false},
		"private addresses":      {func(a *Action) { a.AllowPrivate = true }, false},
		"an allowed host":        {func(a *Action) { a.AllowHosts = []string{"x"} }, false},
		"risk":                   {func(a *Action) { a.Risk = High }, false},
		"approvals":              {func(a *Action) { a.Approvals = 2 }, false},
		"title":                  {func(a *Action) { a.Title = "x" }, true},
		"gates":                  {func(a *Action) { a.Gates = []string{"*"} }, true},
		"causes":                 {func(a *Action) { a.Causes = []string{"x"} }, true},
		"shed":                   {func(a *Action) { a.Shed = true }, true},
		"timeout":                {func(a *Action) { a.Timeout = time.Second }, true},
		"cool-down":              {func(a *Action) { a.CoolDown = time.Hour }, true},
		"watch":                  {func(a *Action) { a.Watch = time.Hour }, true},
		"place":                  {func(a *Action) { a.Where = "x" }, true},
	}
	want := restart().Digest()
	if !strings.HasPrefix(want, "sha256:") || len(want) != 71 {
		t.Fatal(want)
	}
	seen := map[string]string{}
	for name, c := range changes {
		a := restart()
		c.change(&a)
		got := a.Digest()
		if (got == want) != c.same {
			t.Errorf("%s: the same digest %v, want %v", name, got == want, c.same)
		}
		if other, again := seen[got]; again && !c.same {
			t.Errorf("%s and %s have one digest", name, other)
		}
		seen[got] = name
	}
	// A field that is new here belongs into the table, and into the digest or not.
	if n := reflect.TypeFor[Action]().NumField(); n != 22 {
		t.Errorf("an action has %d fields", n)
	}
}

func TestRotatedSecretsLeaveTheDigest(t *testing.T) {
	a := restart()
	before := a.Digest()
	one, err := a.load(environment)
	if err != nil {
		t.Fatal(err)
	}
	two, err := a.load(func(name string) string {
		if name == "KEY" {
			return "whsec_" + strings.Repeat("QUJD", 10)
		}
		return "another-token"
	})
	if err != nil || reflect.DeepEqual(one.keys, two.keys) {
		t.Fatal("the secrets were not rotated", err)
	}
	if a.Digest() != before {
		t.Error("a rotated secret has changed the digest")
	}
}

func TestDigestIsStable(t *testing.T) {
	const want = "sha256:0136456db29282ae7e783b61285af80ca0935da458b404a1c50d281f7ca45244"
	if got := restart().Digest(); got != want {
		t.Errorf("the digest of an unchanged action is %s: links and ledgers have the old one", got)
	}
}

func TestFind(t *testing.T) {
	a, b := restart(), restart()
	b.Name = "other"
	c := Catalogue{a, b}
	if got, ok := c.Find(b.Digest()); !ok || got.Name != "other" {
		t.Error(got, ok)
	}
	c[1].URL = "https://changed.example/"
	if _, ok := c.Find(b.Digest()); ok {
		t.Error("an action that has changed was found")
	}
}
