package provider

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
)

func TestKey(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	env := func(name string) string { return map[string]string{"KEY": " from-env \n"}[name] }
	for _, tt := range []struct {
		c         Config
		want, err string
	}{
		{Config{}, "", ""},
		{Config{KeyEnv: "KEY"}, "from-env", ""},
		{Config{ID: "a", KeyEnv: "NONE"}, "", `the key of the model "a" is not there: set the variable NONE`},
		{Config{KeyFile: file("key", "from-file\n")}, "from-file", ""},
		{Config{KeyFile: file("empty", "\n")}, "", "is empty"},
		{Config{KeyFile: file("long", strings.Repeat("x", maxKey+1))}, "", "which no key has"},
		{Config{KeyFile: filepath.Join(dir, "none")}, "", "no such file"},
	} {
		got, err := tt.c.Key(env)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%+v: %q, %v", tt.c, got, err)
		}
	}
}

// seen keeps the request, and answers nothing.
type seen struct{ request *http.Request }

func (s *seen) Do(r *http.Request) (*http.Response, error) {
	s.request = r
	return nil, errors.New("nobody is there")
}

// What is asked, where and with which key, follows from the configuration; texts of
// others are left out when figures alone are sent.
func TestOpen(t *testing.T) {
	e := diagnosis.Evidence{Service: "shop", Facts: []diagnosis.Fact{{ID: "F1", Name: diagnosis.RouteFact, Subject: "GET /secret-route", Text: "a title", Unit: diagnosis.Millis, Value: 5}}}
	for _, c := range []Config{
		{ID: "one", Provider: "anthropic", Model: "m", BaseURL: "http://a.example", Structured: true},
		{ID: "two", Provider: "openai", Model: "m", BaseURL: "http://a.example/v1", Lens: "network"},
	} {
		for _, figuresOnly := range []bool{false, true} {
			out := new(seen)
			m, err := c.Open("sk-key", out, figuresOnly)
			if err != nil {
				t.Fatal(err)
			}
			preview, err := m.Preview(&e)
			if err != nil || !json.Valid(preview.Body) || strings.Contains(string(preview.Body), "secret-route") == figuresOnly || strings.Contains(string(preview.Body), "a title") == figuresOnly {
				t.Errorf("%s, figures only %t: %s, %v", c.ID, figuresOnly, preview.Body, err)
			}
			if o := m.Diagnose(context.Background(), &e); o.Diagnoser != c.ID || o.Answer != nil || o.Problem == "" {
				t.Errorf("%+v", o)
			}
			if out.request == nil || out.request.URL.Host != "a.example" || !strings.Contains(strings.Join(out.request.Header.Values("Authorization"), "")+out.request.Header.Get("X-Api-Key"), "sk-key") {
				t.Errorf("%s asks %+v", c.ID, out.request)
			}
		}
	}
	if _, err := (Config{ID: "x", Provider: "anthropic", Model: "m"}).Open("", new(seen), false); err == nil || !strings.Contains(err.Error(), `the model "x": the API key is missing`) {
		t.Error(err)
	}
}

func TestPlace(t *testing.T) {
	for want, c := range map[string]Config{
		"https://api.anthropic.com": {Provider: "anthropic"}, "https://api.openai.com/v1": {Provider: "openai"}, "http://x/v1": {Provider: "openai", BaseURL: "http://x/v1"},
	} {
		if got := c.Place(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
