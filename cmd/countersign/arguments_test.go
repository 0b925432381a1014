package main

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestFlagsAfterWords(t *testing.T) {
	c, _, _ := captured(t, ledgerVerifyCommand(), "--since", "a", "bundle", "--since=b", "--json", "-quiet", "--policy", "p", "--", "--odd")
	got, err := words(c)
	if err != nil || !slices.Equal(got, []string{"bundle", "--odd"}) {
		t.Errorf("%q, %v", got, err)
	}
	if !slices.Equal(c.StringSlice("since"), []string{"a", "b"}) || !c.Bool("json") || !c.Bool("quiet") || c.String("policy") != "p" || !c.IsSet("policy") {
		t.Errorf("since %q, json %v, quiet %v, policy %q", c.StringSlice("since"), c.Bool("json"), c.Bool("quiet"), c.String("policy"))
	}
	c, _, _ = captured(t, ledgerProveCommand(), "log", "-o", "file", "--index", "3")
	if got, err := words(c); err != nil || !slices.Equal(got, []string{"log"}) || c.String("output") != "file" || c.Uint64("index") != 3 {
		t.Errorf("%q, %v, output %q, index %d", got, err, c.String("output"), c.Uint64("index"))
	}
	for line, want := range map[string]string{
		"bundle --sinse x":   "there is no flag --sinse; did you mean --since?",
		"bundle --zebra":     "there is no flag --zebra; --help lists the flags",
		"bundle --since":     "--since needs a value",
		"bundle --json=soon": `--json: "soon" is not a value for it`,
	} {
		c, _, _ := captured(t, ledgerVerifyCommand(), strings.Fields(line)...)
		_, err := words(c)
		if usage, ok := errors.AsType[usageError](err); !ok || usage.text != want {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestHelpAfterWords(t *testing.T) {
	var want, got, stderr bytes.Buffer
	if code := execute([]string{"countersign", "ledger", "verify", "--help"}, &want, &stderr); code != 0 {
		t.Fatal(code)
	}
	for _, flag := range []string{"--help", "-h"} {
		got.Reset()
		if code := execute([]string{"countersign", "ledger", "verify", "bundle", flag}, &got, &stderr); code != 0 || got.String() != want.String() || stderr.Len() > 0 {
			t.Errorf("%s: exit code %d\n%s%s", flag, code, &got, &stderr)
		}
	}
	if code := execute([]string{"countersign", "ledger", "verify", "-h", "bundle"}, &got, &stderr); code != exitUsage {
		t.Errorf("a word after -h: exit code %d\n%s", code, &stderr)
	}
}

func TestVariablesGiveWayToTheCommandLine(t *testing.T) {
	t.Setenv("COUNTERSIGN_ADMIN", "a:1")
	t.Setenv("COUNTERSIGN_DATA", "d")
	for line, want := range map[string]string{
		"":                     dataFlagName,
		"--admin b:2":          adminFlagName,
		"--data e":             dataFlagName,
		"--store s":            storeFlagName,
		"--admin a:1":          dataFlagName, // the same as the variable says
		"--data e --admin b:2": "both",
	} {
		c, _, _ := captured(t, ledgerKeyCommand(), strings.Fields(line)...)
		got, err := chosen(c, storeFlagName, dataFlagName, adminFlagName)
		if want == "both" {
			if err == nil || err.Error() != "both --data and --admin are given: which one is meant?" {
				t.Errorf("%q: %q, %v", line, got, err)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%q: %q, %v", line, got, err)
		}
	}
}

func TestSeveralValuesMayHaveCommas(t *testing.T) {
	t.Setenv("COUNTERSIGN_LEDGER_SINCE", "a,b")
	c, _, _ := captured(t, ledgerVerifyCommand())
	if got := c.StringSlice("since"); !slices.Equal(got, []string{"a,b"}) {
		t.Errorf("%q", got)
	}
	c, _, _ = captured(t, ledgerVerifyCommand(), "bundle", "--since", "c,d")
	if _, err := words(c); err != nil || !slices.Equal(c.StringSlice("since"), []string{"c,d"}) {
		t.Errorf("%q, %v", c.StringSlice("since"), err)
	}
}
