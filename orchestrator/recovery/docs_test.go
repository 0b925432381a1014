package recovery

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/countersign-dev/countersign/strictyaml"
)

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/ACTIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block is the one block of code of that language.
func block(t *testing.T, language string) string {
	t.Helper()
	found := regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(page(t), -1)
	if len(found) != 1 {
		t.Fatalf("%d blocks of %s", len(found), language)
	}
	return found[0][1]
}

func TestDocumentedCatalogue(t *testing.T) {
	var c Catalogue
	problems := strictyaml.Read("ACTIONS.md", []byte(block(t, "yaml")), func(r *strictyaml.Reader, root *yaml.Node) {
		r.Pairs(root, func(_, value *yaml.Node) { c = ParseList(r, value) })
	})
	if len(problems) > 0 || len(c) != 3 {
		t.Fatal(len(c), strictyaml.Lines(problems))
	}
	facts := Facts{Own: true, At: authorizedAt, Gates: []string{"absolute_threshold"}}
	if p, why := Propose(c, facts, nil); p == nil || p.Action.Name != "restart" {
		t.Error(p, why)
	}
	facts.Causes = []string{"deployment"}
	if p, why := Propose(c, facts, nil); p == nil || p.Action.Name != "roll-back" {
		t.Error(p, why)
	}
	facts.Load = &Load{Offered: 200, Goodput: 10, Baseline: 100}
	if p, why := Propose(c, facts, nil); p == nil || p.Action.Name != "shed-load" {
		t.Error(p, why)
	}
}

func TestDocumentedKeysAndVariables(t *testing.T) {
	_, table, _ := strings.Cut(page(t), "## Keys")
	table, _, _ = strings.Cut(table, "\n## ")
	var keys []string
	for row := range strings.SplitSeq(table, "\n| `") {
		names, _, _ := strings.Cut(row, " |")
		for name := range strings.SplitSeq(names, ", ") {
			if name = strings.Trim(name, "`"); strings.TrimSpace(name) != "" && !strings.Contains(name, "\n") {
				keys = append(keys, name)
			}
		}
	}
	var want []string
	for _, s := range settings() {
		want = append(want, s.key)
	}
	if !slices.Equal(keys, want) {
		t.Errorf("the page has %q, the program %q", keys, want)
	}
	for _, name := range Variables {
		if !strings.Contains(page(t), "`{{"+name+"}}`") {
			t.Errorf("the variable %s is not on the page", name)
		}
	}
}

// TestDocumentedNumbers has the page and the program say the same.
func TestDocumentedNumbers(t *testing.T) {
	text := strings.Join(strings.Fields(page(t)), " ")
	for _, want := range []string{
		fmt.Sprintf("At most %d actions.", MaxActions),
		fmt.Sprintf("one line of at most %d characters without control characters", maxValue),
		fmt.Sprintf("if that is %.0f seconds or less", maxWait.Seconds()),
		fmt.Sprintf("after %.0f, %.0f and %.0f seconds", firstWait.Seconds(), 2*firstWait.Seconds(), 4*firstWait.Seconds()),
		fmt.Sprintf("At most %d KiB of an answer are read", maxResponse>>10),
		fmt.Sprintf("at least %v times the usual requests arrive and at most %v times the usual number", stormOffered, stormGoodput),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if !strings.Contains(text, "At most four tries") || maxAttempts != 4 {
		t.Errorf("there are %d tries, and the page says otherwise", maxAttempts)
	}
}

// TestDocumentedReceiver runs the receiver as it stands on the page.
func TestDocumentedReceiver(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3 here")
	}
	receiver := exec.CommandContext(t.Context(), python, "-c", block(t, "python"), "0")
	receiver.Env = append(os.Environ(), "WEBHOOK_KEY="+signingKey)
	out, err := receiver.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := receiver.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the receiver says nothing")
	}
	a := restart()
	a.AllowPrivate = true
	a.URL = "http://127.0.0.1:" + strings.TrimPrefix(lines.Text(), "listening on ") + "/"
	a.Body = `{"service":"{{service}}"}`
	for _, run := range []struct {
		key    string
		status int
	}{{"inc-1-a", 202}, {"inc-1-a", 202}, {"inc-2-a", 202}} {
		r, err := (&waits{}).executor().Execute(t.Context(), gate(false).HTTP("acme", a.HTTP()), a, someVars(), run.key)
		if err != nil || r.Status != run.status {
			t.Errorf("%s: %+v %v", run.key, r, err)
		}
	}
	a.Secret.Env = "OTHER"
	e := (&waits{}).executor()
	e.Getenv = func(name string) string {
		if name == "OTHER" {
			return secretPrefix + strings.Repeat("QUJD", 10)
		}
		return environment(name)
	}
	if r, err := e.Execute(t.Context(), gate(false).HTTP("acme", a.HTTP()), a, someVars(), "inc-3-a"); err == nil || r.Status != 401 {
		t.Errorf("another key: %+v %v", r, err)
	}
	if err := receiver.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var heard []string
	for lines.Scan() {
		heard = append(heard, lines.Text())
	}
	_ = receiver.Wait()
	if want := fmt.Sprint([]string{`restarting: {"service":"checkout"}`, `restarting: {"service":"checkout"}`}); fmt.Sprint(heard) != want {
		t.Errorf("the receiver did %q, want each key once", heard)
	}
}
