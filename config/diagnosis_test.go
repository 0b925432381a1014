package config

import (
	"os"
	"strings"
	"testing"
	"time"
)

const models = `diagnosis:
  mode: rules+models
  budget: 6s
  send: figures
models:
  - id: claude
    provider: anthropic
    model: model-a
    key_env: ANTHROPIC_KEY
    input_price: 3
  - id: local
    provider: openai
    base_url: http://127.0.0.1:11434/v1
    model: model-b
    allow_private: true
    timeout: 5s
    hourly_calls: 3
`

func TestModels(t *testing.T) {
	l, err := Parse("c.yaml", []byte(models))
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Models) != 2 || l.Models[0].Lens != "latency" || l.Models[1].Lens != "network" || l.Models[1].Timeout != 5*time.Second || l.Models[0].HourlyCalls != 20 || !l.Models[1].AllowPrivate {
		t.Errorf("%+v", l.Models)
	}
	items := l.Items()
	if len(items) != 2 || items[0].Key != "models.claude" || items[0].Value != "model-a of anthropic at https://api.anthropic.com, 20 requests an hour" {
		t.Errorf("%+v", items)
	}
	if d := Default(); d.Diagnosis.Mode != DiagnosisRules || len(d.Models) != 0 {
		t.Errorf("by default something could leave: %+v", d.Diagnosis)
	}
}

func TestModelsSayWhatIsWrongAndWhere(t *testing.T) {
	for _, tc := range []struct{ name, old, new, want string }{
		{"a key in the file", "    key_env: ANTHROPIC_KEY", "    key: sk-abc", `c.yaml:9:5: a key has no place in this file`},
		{"an unknown key", "    hourly_calls", "    hourly_cals", `unknown key "hourly_cals" of a model; did you mean "hourly_calls"?`},
		{"an unknown provider", "provider: openai", "provider: open", `provider must be anthropic or openai`},
		{"no key", "    key_env: ANTHROPIC_KEY\n", "", `c.yaml:6:5: the model "claude" needs key_file or key_env`},
		{"two keys", "    key_env: ANTHROPIC_KEY", "    key_env: A\n    key_file: b", `has both key_file and key_env`},
		{"the same id", "id: local", "id: claude", `the model id "claude" is given twice, first at c.yaml:6:5`},
		{"the rules' name", "id: local", "id: rules", `and not "rules"`},
		{"a time without an end", "timeout: 5s", "timeout: 2h", `timeout must be a time between 1s and 1m0s`},
		{"a price below 0", "input_price: 3", "input_price: -3", `input_price must be dollars`},
		{"a password in the URL", "http://127", "http://a:secret@127", `base_url must be an http or https URL`},
		{"a mode", "mode: rules+models", "mode: model", `diagnosis.mode must be one of off, rules, rules+models`},
		{"a budget", "budget: 6s", "budget: 10m", `diagnosis.budget must lie between 1s and 30s`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse("c.yaml", []byte(strings.Replace(models, tc.old, tc.new, 1)))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			} else if strings.Contains(err.Error(), "sk-abc") || strings.Contains(err.Error(), "secret@") {
				t.Errorf("the problem repeats a secret: %v", err)
			}
		})
	}
	text, _, _ := strings.Cut(models, "models:\n")
	if _, err := Parse("c.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), "there are no models") {
		t.Errorf("models without models: %v", err)
	}
}

// TestDocumentationOfModels reads the example of the documentation.
func TestDocumentationOfModels(t *testing.T) {
	data, err := os.ReadFile("../docs/DIAGNOSIS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(data), "```yaml\n")
	example, _, ended := strings.Cut(rest, "```")
	if !found || !ended {
		t.Fatal("there is no example")
	}
	l, err := Parse("example.yaml", []byte(example))
	if err != nil || len(l.Models) != 2 || l.Models[1].Structured || l.Models[0].OutputPrice != 15 {
		t.Errorf("%+v, %v", l, err)
	}
}
