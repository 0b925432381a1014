package config

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

func TestLedgerOptions(t *testing.T) {
	key, _, err := note.GenerateKey(rand.Reader, "example.com/payments")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tc := range []struct {
		name, env      string
		change         func(*Config)
		origin, signer string
		err            string
	}{
		{name: "nothing said", change: func(*Config) {}, origin: "countersign/api:8000"},
		{name: "a service's name that is no origin", change: func(c *Config) { c.Service.Name = "pay + ments" }, origin: "countersign/pay---ments"},
		{name: "a name of its own", change: func(c *Config) { c.Ledger.Origin = "example.com/x" }, origin: "example.com/x"},
		{name: "a key in the environment", env: key + "\n", change: func(*Config) {}, signer: key},
		{name: "a key in a file", env: "other", change: func(c *Config) { c.Ledger.KeyFile = write("key", key+"\n") }, signer: key},
		{name: "an empty key file", change: func(c *Config) { c.Ledger.KeyFile = write("empty", "\n") }, err: "is empty"},
		{name: "no key file", change: func(c *Config) { c.Ledger.KeyFile = filepath.Join(dir, "none") }, err: "no such file"},
		{name: "no witness policy", change: func(c *Config) { c.Ledger.WitnessPolicy = filepath.Join(dir, "none") }, err: "no such file"},
		{name: "a broken witness policy", change: func(c *Config) { c.Ledger.WitnessPolicy = write("policy", "witless\n") }, err: "policy"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Default()
			c.Upstream.URL = "http://api:8000"
			tc.change(&c)
			o, err := c.LedgerOptions(func(name string) string {
				if name == LedgerKeyVariable {
					return tc.env
				}
				return ""
			})
			switch {
			case tc.err != "":
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("got %v, want an error with %q", err, tc.err)
				}
			case err != nil:
				t.Error(err)
			case o.Origin != tc.origin || o.Signer != tc.signer || o.Dir != "countersign-data" || o.MinFree != 64<<20:
				t.Errorf("got %+v", o)
			}
		})
	}
}
