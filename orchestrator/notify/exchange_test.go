package notify_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/notify/notifytest"
)

// Of an endless answer no more is read than a little.
func TestEndlessAnswer(t *testing.T) {
	server := notifytest.NewServer(t, notifytest.Answer{Status: 200, Body: strings.Repeat("x", 1<<20)})
	a, err := notify.Exchange(t.Context(), http.DefaultClient, notify.Call{URL: server.URL, Timeout: time.Minute})
	if err != nil || len(a.Body) != 64<<10 || !a.OK() {
		t.Errorf("%d bytes, %v", len(a.Body), err)
	}
}

func TestAnswerThatBreaksOff(t *testing.T) {
	for _, tt := range []struct {
		status int
		ok     bool
	}{{200, false}, {500, true}} {
		server := notifytest.NewServer(t, notifytest.Answer{Status: tt.status, Body: "short", Header: map[string]string{"Content-Length": "100"}})
		a, err := notify.Exchange(t.Context(), http.DefaultClient, notify.Call{URL: server.URL, Timeout: time.Minute})
		if (err == nil) != tt.ok || tt.ok && a.Status != tt.status {
			t.Errorf("%d: %+v %v", tt.status, a, err)
		}
		if e, ok := errors.AsType[*notify.Error](err); ok && !e.Unsure {
			t.Errorf("%d: %+v", tt.status, e)
		}
	}
}

func TestAddressThatIsNone(t *testing.T) {
	_, err := notify.Exchange(t.Context(), http.DefaultClient, notify.Call{URL: "https://a b.example/secret", Timeout: time.Minute})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}

func TestScrub(t *testing.T) {
	const secret = `a+b/c=d&"e" f`
	said := "it is " + secret + ", a%2Bb%2Fc%3Dd%26%22e%22+f, a+b%2Fc=d&%22e%22%20f and a+b/c=d\\u0026\\\"e\\\" f; abc stays"
	if got := notify.Scrub(said, []string{secret, "abc", ""}); got != "it is ***, ***, *** and ***; abc stays" {
		t.Errorf("%q", got)
	}
}

func TestWait(t *testing.T) {
	for seconds, want := range map[float64]time.Duration{-1: 0, 0: 0, 0.5: 500 * time.Millisecond, 30: 30 * time.Second, 1e300: time.Hour} {
		if got := notify.Wait(seconds); got != want {
			t.Errorf("%v: %v", seconds, got)
		}
	}
}

func TestSecret(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) notify.Secret {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return notify.Secret{File: path}
	}
	env := func(key string) string {
		return map[string]string{"GOOD": " s3cret value\n", "LINES": "s3cret\r\nvalue", "ACCENT": "s3crét"}[key]
	}
	for _, tt := range []struct {
		secret notify.Secret
		want   string
		says   string
	}{
		{file("good", "\ts3cret value\r\n"), "s3cret value", ""},
		{notify.Secret{Env: "GOOD"}, "s3cret value", ""},
		{notify.Secret{}, "", "empty"},
		{notify.Secret{Env: "NONE"}, "", "($NONE) is empty"},
		{notify.Secret{Env: "LINES"}, "", "cannot be one"},
		{notify.Secret{Env: "ACCENT"}, "", "cannot be one"},
		{file("empty", "\n"), "", "is empty"},
		{file("long", strings.Repeat("s3cret", 2000)), "", "cannot be one"},
		{notify.Secret{File: filepath.Join(dir, "missing")}, "", "no such file or directory; put it there"},
		{notify.Secret{File: dir}, "", "is a directory; name the file"},
	} {
		got, err := tt.secret.Read(env)
		if got != tt.want || (err == nil) != (tt.says == "") {
			t.Errorf("%v: %q %v", tt.secret, got, err)
		}
		if err != nil && (!strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "s3cr")) {
			t.Errorf("%v: %v", tt.secret, err)
		}
	}
	// What was changed is in force at once.
	s := file("good", "another value")
	if got, err := s.Read(env); got != "another value" || err != nil {
		t.Errorf("%q %v", got, err)
	}
}
