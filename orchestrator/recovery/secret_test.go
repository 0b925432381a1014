package recovery

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecretsFromFiles(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ name, content, want, says string }{
		{"a word", " whsec_abc\n", "whsec_abc", ""},
		{"several", "one\ntwo\n", "one\ntwo", ""},
		{"the most", strings.Repeat("x", maxSecret), strings.Repeat("x", maxSecret), ""},
		{"too much", strings.Repeat("x", maxSecret+1), "", "has more than 4096 bytes"},
		{"nothing", "\n", "", "is empty: put it there"},
	} {
		path := filepath.Join(dir, "key")
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Secret{File: path}.read(nil)
		if got != c.want || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %.20q %v", c.name, got, err)
		}
	}
	if _, err := (Secret{File: dir}).read(nil); err == nil || strings.Count(err.Error(), dir) != 1 {
		t.Errorf("a directory: %v", err)
	}
}

func TestKeysThatSign(t *testing.T) {
	for text, want := range map[string]int{
		signingKey: 1, signingKey + "\n" + signingKey: 2, strings.Repeat(signingKey+" ", 4): 4, strings.Repeat(signingKey+" ", 5): 0,
		strings.TrimPrefix(signingKey, secretPrefix): 0, secretPrefix: 0,
		secretPrefix + strings.Repeat("QUJD", 8): 1, secretPrefix + strings.Repeat("QUJD", 7): 0,
		secretPrefix + strings.Repeat("QUJD", 21): 1, secretPrefix + strings.Repeat("QUJD", 22): 0,
	} {
		keys, err := Secret{Env: "K"}.keys(func(string) string { return text })
		if len(keys) != want || (err == nil) != (want > 0) {
			t.Errorf("%.20q: %d keys, %v", text, len(keys), err)
		}
	}
}

func TestSecretsAreNamed(t *testing.T) {
	for _, c := range []struct {
		secret Secret
		want   string
	}{
		{Secret{File: "/run/key"}, "file:/run/key"}, {Secret{Env: "KEY"}, "env:KEY"}, {Secret{Env: "KEY", KeyID: "k1"}, "k1"}, {Secret{}, ""},
	} {
		if got := c.secret.ID(); got != c.want {
			t.Errorf("%+v is %q", c.secret, got)
		}
	}
}

// TestSecretsAreStruckOut has another side repeat a secret as its language writes
// it.
func TestSecretsAreStruckOut(t *testing.T) {
	const secret = "ab/cd+ef=="
	for _, text := range []string{"Bearer " + secret, `{"got":"ab\/cd+ef=="}`, "token=ab%2Fcd%2Bef%3D%3D&x", "/ab%2Fcd+ef==/", secret + secret} {
		got := string(secrets{words: []string{secret}}.strike([]byte(text)))
		if !strings.Contains(got, "***") || strings.Contains(got, "cd") {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}
