package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// leaves returns a pointer to every setting in c, by reflection.
func leaves(c *Config) map[string]any {
	found := map[string]any{}
	sections := reflect.ValueOf(c).Elem()
	for i := range sections.NumField() {
		section := sections.Field(i)
		if section.Kind() != reflect.Struct {
			continue // a list, which only the file has
		}
		for j := range section.NumField() {
			name := sections.Type().Field(i).Name + "." + section.Type().Field(j).Name
			found[name] = section.Field(j).Addr().Interface()
		}
	}
	return found
}

func TestEveryLeafIsOneField(t *testing.T) {
	var c Config
	all := leaves(&c)
	seen := map[any]string{}
	flags := map[string]bool{}
	for _, f := range Fields() {
		p := f.at(&c)
		if other, twice := seen[p]; twice {
			t.Errorf("%s and %s are the same setting", f.Key, other)
		}
		seen[p] = f.Key
		if flags[f.Flag] {
			t.Errorf("--%s is given to two settings", f.Flag)
		}
		flags[f.Flag] = true
		if f.Usage == "" {
			t.Errorf("%s has no usage", f.Key)
		}
	}
	for name, p := range all {
		if seen[p] == "" {
			t.Errorf("Config.%s has no field: it cannot be set", name)
		}
	}
	if len(seen) != len(all) {
		t.Errorf("%d fields for %d settings", len(seen), len(all))
	}
}

func TestDefaultsAreSoundAndPrintable(t *testing.T) {
	def := Default()
	for _, f := range fields {
		if err := f.check(&def); err != nil {
			t.Errorf("default of %s %v", f.Key, err)
		}
		var again Config
		if err := parse(f.at(&again), f.Value(def)); err != nil {
			t.Errorf("default of %s, %q, does not parse: %v", f.Key, f.Value(def), err)
		}
		if got := f.Value(again); got != f.Value(def) {
			t.Errorf("%s: %q reads back as %q", f.Key, f.Value(def), got)
		}
	}
}

// samples returns three values a user could give, none of them the default.
func samples(f Field) [3]string {
	switch f.Key {
	case "upstream.url":
		return [3]string{"https://file:1", "https://env:2", "https://flag:3"}
	case "listen.address", "admin.address", "approval.listen":
		return [3]string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}
	case "sensor.kind":
		return [3]string{"auto", "both", "ebpf"}
	case "sensor.attach":
		return [3]string{"tcx", "socket", "tcx"}
	case "log.format":
		return [3]string{"json", "text", "json"}
	case "diagnosis.mode":
		return [3]string{"off", "rules", "off"}
	case "diagnosis.send":
		return [3]string{"figures", "figures+texts", "figures"}
	case "log.level":
		return [3]string{"debug", "warn", "error"}
	case "forwarded.trusted_proxies":
		return [3]string{"10.0.0.0/8", "10.0.0.1,10.0.0.2", "fd00::/8"}
	case "measure.routes":
		return [3]string{"GET /a/{id}", "/b/{id},/c", "/d/{path...}"}
	case "measure.enabled":
		return [3]string{"false", "true", "false"}
	case "changes.github_repo":
		return [3]string{"a/file", "a/env", "a/flag"}
	case "changes.github_api", "approval.public_url":
		return [3]string{"https://file", "https://env", "https://flag"}
	case "ledger.min_free", "history.max_size":
		return [3]string{"20MiB", "30MiB", "40MiB"}
	case "health.expose":
		return [3]string{"/file", "/env", "/flag"}
	}
	switch f.at(new(Config)).(type) {
	case *time.Duration:
		return [3]string{"11s", "12s", "13s"}
	case *int:
		return [3]string{"11", "12", "13"}
	case *Size:
		return [3]string{"2KiB", "3KiB", "4KiB"}
	default:
		return [3]string{"file", "env", "flag"}
	}
}

// yamlOf writes one setting as a file.
func yamlOf(f Field, value string) string {
	section, key, _ := strings.Cut(f.Key, ".")
	switch {
	case f.IsList():
		value = "[\"" + strings.ReplaceAll(value, ",", "\", \"") + "\"]"
	case isText(f):
		value = fmt.Sprintf("%q", value)
	}
	return fmt.Sprintf("%s:\n  %s: %s\n", section, key, value)
}

func isText(f Field) bool {
	_, ok := f.at(new(Config)).(*string)
	return ok
}

// companions are settings without which a sample of another is refused.
func companions(f Field) map[string]string {
	switch f.Key {
	case "upstream.ca_file", "upstream.server_name":
		return map[string]string{"upstream": "https://api"}
	case "sensor.port", "sensor.attach":
		return map[string]string{"sensor": "both"}
	case "listen.cert_file":
		return map[string]string{"tls-key": "k"}
	case "listen.key_file":
		return map[string]string{"tls-cert": "c"}
	case "approval.listen":
		return map[string]string{"public-url": "https://a"}
	case "approval.public_url":
		return map[string]string{"approval-listen": "127.0.0.1:9"}
	case "approval.cert_file":
		return map[string]string{"approval-tls-key": "k", "approval-listen": "127.0.0.1:9", "public-url": "https://a"}
	case "approval.key_file":
		return map[string]string{"approval-tls-cert": "c", "approval-listen": "127.0.0.1:9", "public-url": "https://a"}
	}
	return map[string]string{}
}

func TestPrecedenceOfEveryField(t *testing.T) {
	for _, f := range fields {
		t.Run(f.Key, func(t *testing.T) {
			s := samples(f)
			file := filepath.Join(t.TempDir(), "c.yaml")
			if err := os.WriteFile(file, []byte(yamlOf(f, s[0])), 0o600); err != nil {
				t.Fatal(err)
			}
			// Each bit of the mask switches one source on: file, environment, flag.
			for mask := range 8 {
				src := Sources{Flags: map[string]string{}, Getenv: func(string) string { return "" }}
				if mask != 0 {
					src.Flags = companions(f)
				}
				want, from := f.Value(Default()), "default"
				if mask&1 != 0 {
					src.File = file
					want, from = s[0], file+":2:"
				}
				if mask&2 != 0 {
					src.Getenv = func(name string) string {
						if name == f.Env() {
							return s[1]
						}
						return ""
					}
					want, from = s[1], "$"+f.Env()
				}
				if mask&4 != 0 {
					src.Flags[f.Flag] = s[2]
					want, from = s[2], "--"+f.Flag
				}
				l, err := Load(src)
				if err != nil {
					t.Fatalf("mask %03b: %v", mask, err)
				}
				if got := f.Value(l.Config); got != want {
					t.Errorf("mask %03b: %q, want %q", mask, got, want)
				}
				if got := l.Origin(f.Key).String(); !strings.HasPrefix(got, from) {
					t.Errorf("mask %03b: comes from %q, want %q", mask, got, from)
				}
			}
		})
	}
}

func TestEnvironmentNames(t *testing.T) {
	want := map[string]string{
		"upstream.url": "COUNTERSIGN_UPSTREAM", "listen.address": "COUNTERSIGN_LISTEN",
		"admin.address": "COUNTERSIGN_ADMIN", "health.expose": "COUNTERSIGN_EXPOSE_HEALTH",
	}
	for key, env := range want {
		if got := fieldOf(key).Env(); got != env {
			t.Errorf("%s is read from %s, want %s", key, got, env)
		}
	}
}
