package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

func TestParseSaysWhatIsWrongAndWhere(t *testing.T) {
	for _, tc := range []struct{ name, file, want string }{
		{"unknown section", "lisen:\n  address: x\n", `c.yaml:1:1: unknown section "lisen"; did you mean "listen"?`},
		{"unknown section, nothing near", "database: {}\n", `c.yaml:1:1: unknown section "database"; the sections are upstream, sensor, listen, admin, service, log, forwarded, limits, timeouts, measure, health, policy, ledger, history, changes, approval, diagnosis, tenants, actions, channels, contacts, models`},
		{"flag name at the top", "wait_upstream: 5s\n", `c.yaml:1:1: unknown section "wait_upstream"; did you mean "wait" in section "upstream"?`},
		{"key at the top", "cert_file: x\n", `c.yaml:1:1: unknown section "cert_file"; did you mean "cert_file" in section "listen"?`},
		{"unknown key", "listen:\n  adress: \":1\"\n", `c.yaml:2:3: unknown key "adress" in section "listen"; did you mean "address"?`},
		{"unknown key, nothing near", "log:\n  colour: red\n", `c.yaml:2:3: unknown key "colour" in section "log"; it has format, level`},
		{"merge key", "log: &l {level: info}\nadmin:\n  <<: *l\n", `c.yaml:3:3: unknown key "<<" in section "admin"; it has address, allowed_hosts`},
		{"section given a value", "listen: \":8080\"\n", `c.yaml:1:9: "listen" is a section: put its keys on lines of their own below it (address, cert_file, key_file)`},
		{"duplicate section", "log: {}\nadmin: {}\nlog: {}\n", `c.yaml:3:1: key "log" is given twice, first on line 1: keep one`},
		{"duplicate key", "log:\n  level: info\n  level: warn\n", `c.yaml:3:3: key "level" is given twice, first on line 2: keep one`},
		{"number for text", "listen:\n  address: 8080\n", `c.yaml:2:12: listen.address must be text: put quotes round it, "8080"`},
		{"list for text", "listen:\n  address: [a]\n", `c.yaml:2:12: listen.address must be a single value`},
		{"text for number", "limits:\n  max_headers: many\n", `c.yaml:2:16: limits.max_headers must be a whole number, such as 128, not "many"`},
		{"tag lies", "limits:\n  max_headers: !!int many\n", `c.yaml:2:16: limits.max_headers must be a whole number, such as 128`},
		{"text for truth", "measure:\n  enabled: maybe\n", `c.yaml:2:12: measure.enabled must be true or false, not "maybe"`},
		{"duration without unit", "timeouts:\n  idle: 75\n", `c.yaml:2:9: timeouts.idle must be a duration with its unit, such as 5s, 250ms or 1m30s`},
		{"duration of the wrong type", "timeouts:\n  idle: 7.5\n", `c.yaml:2:9: timeouts.idle must be a duration with its unit, such as 5s, 250ms or 1m30s`},
		{"duration not above 0", "timeouts:\n  idle: 0s\n", `c.yaml:2:9: timeouts.idle must be longer than 0, not 0s`},
		{"negative duration", "timeouts:\n  total: -1s\n", `c.yaml:2:10: timeouts.total must not be negative, as -1s is`},
		{"bad size", "limits:\n  max_body: 1 meg\n", `c.yaml:2:13: limits.max_body must be a size such as 512KiB, 1MiB or a number of bytes`},
		{"size out of range", "limits:\n  max_header_bytes: 2MiB\n", `c.yaml:2:21: limits.max_header_bytes must lie between 1KiB and 1MiB, not be 2MiB`},
		{"count out of range", "limits:\n  max_headers: 0\n", `c.yaml:2:16: limits.max_headers must lie between 1 and 10000, not be 0`},
		{"text for list", "forwarded:\n  trusted_proxies: 10.0.0.0/8\n", `c.yaml:2:20: forwarded.trusted_proxies must be a list: write it as [10.0.0.0/8]`},
		{"bad item", "forwarded:\n  trusted_proxies:\n    - 10.0.0.0/8\n    - 7\n", `c.yaml:3:5: forwarded.trusted_proxies must be a list of texts, and the one on line 4 is not`},
		{"comma in item", "forwarded:\n  trusted_proxies: [\"a,b\"]\n", `c.yaml:2:20: forwarded.trusted_proxies must have one text an item, and the one on line 2 holds a comma`},
		{"bad network", "forwarded:\n  trusted_proxies: [10.0.0.0/99]\n", `c.yaml:2:20: forwarded.trusted_proxies must hold addresses or networks such as 10.0.0.0/8, not "10.0.0.0/99"`},
		{"word not in the set", "log:\n  level: wran\n", `c.yaml:2:10: log.level must be one of debug, info, warn, error, not "wran"; did you mean "warn"?`},
		{"upstream scheme", "upstream:\n  url: ftp://api\n", `c.yaml:2:8: upstream.url is not usable: upstream "ftp://api": the scheme must be http, https or unix`},
		{"upstream without scheme", "upstream:\n  url: localhost:8000\n", `c.yaml:2:8: upstream.url must begin with http://, https:// or unix://; did you mean "http://localhost:8000"?`},
		{"listen without port", "listen:\n  address: localhost\n", `c.yaml:2:12: listen.address must be HOST:PORT or :PORT, not "localhost"`},
		{"listen is a port", "listen:\n  address: \"8080\"\n", `c.yaml:2:12: listen.address must be HOST:PORT or :PORT; did you mean ":8080"?`},
		{"port too high", "listen:\n  address: \":99999\"\n", `c.yaml:2:12: listen.address has port "99999" in ":99999": it must be a number from 0 to 65535`},
		{"window", "measure:\n  window: 1500ms\n", `c.yaml:2:11: measure.window must be whole seconds between 10s and 1h, not 1.5s`},
		{"path", "health:\n  expose: health\n", `c.yaml:2:11: health.expose must be a path that begins with a slash, such as /health/alerts, not "health"`},
		{"no value", "log:\n  level:\n", `c.yaml:2:9: log.level has no value: give one, or leave the key out to use the default`},
		{"odd key", "log:\n  [a]: b\n", `c.yaml:2:3: a key must be a plain word`},
		{"list at the top", "- a\n", `c.yaml:1:1: the file must hold sections such as "upstream:" with their keys below`},
		{"two documents", "log: {}\n---\nlog: {}\n", `c.yaml:2:1: a second document begins here: a configuration is one`},
		{"half of TLS", "listen:\n  cert_file: c.pem\n", `c.yaml:2:14: listen.cert_file is given without listen.key_file: TLS needs both`},
		{"other half of TLS", "listen:\n  key_file: c.pem\n", `c.yaml:2:13: listen.key_file is given without listen.cert_file: TLS needs both`},
		{"routes twice", "measure:\n  routes: [/a]\n  openapi: o.yaml\n", `c.yaml:2:11: measure.routes and measure.openapi both name the routes: give one of them`},
		{"CA for http", "upstream:\n  url: http://a\n  ca_file: c.pem\n", `c.yaml:3:12: upstream.ca_file is for an https upstream, and http://a is not one`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse("c.yaml", []byte(tc.file))
			problems, ok := errors.AsType[Problems](err)
			if !ok {
				t.Fatalf("got %v, want a problem", err)
			}
			if got := problems[0].Error(); got != tc.want {
				t.Errorf("\n got %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestSyntaxErrorsHaveLineAndColumn(t *testing.T) {
	for _, tc := range []struct{ file, prefix string }{
		{"a: b: c\n", "c.yaml:1:5: not valid YAML: "},
		{"log:\n\tlevel: info\n", "c.yaml:2:1: not valid YAML: "},
		{"log:\n  level: *nowhere\n", "c.yaml:2:10: not valid YAML: "},
		{"log: [1,\nb: 2", "c.yaml:3:1: not valid YAML: "},
		{"\x00", "c.yaml:1:1: not valid YAML: "},
	} {
		_, err := Parse("c.yaml", []byte(tc.file))
		if err == nil || !strings.HasPrefix(err.Error(), tc.prefix) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v, want one line %s…", tc.file, err, tc.prefix)
		}
	}
}

func TestParseReportsEveryProblem(t *testing.T) {
	_, err := Parse("c.yaml", []byte("log:\n  levl: info\nlimits:\n  max_headers: 0\nfoo: 1\n"))
	problems, _ := errors.AsType[Problems](err)
	if len(problems) != 3 || strings.Count(problems.Lines(), "\n") != 3 {
		t.Fatalf("got %v, want three problems", problems)
	}
	if want := "(and 2 more: see countersign config lint)"; !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%q does not end with %q", err, want)
	}
}

func TestParseAccepts(t *testing.T) {
	for name, file := range map[string]string{
		"empty": "", "marker": "---\n", "end marker": "log: {}\n...\n", "comment": "# nothing\n", "empty section": "log:\n",
		"alias":       "service:\n  name: &n shop\n  instance: *n\n",
		"block list":  "forwarded:\n  trusted_proxies:\n    - 10.0.0.0/8\n    - ::1\n",
		"json":        `{"log": {"level": "warn"}}`,
		"plain bytes": "limits:\n  max_body: 1048576\n",
		"bare zero":   "timeouts:\n  total: 0\n",
	} {
		if _, err := Parse("c.yaml", []byte(file)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMissingFile(t *testing.T) {
	_, err := Load(Sources{File: filepath.Join(t.TempDir(), "none.yaml")})
	if !errors.Is(err, os.ErrNotExist) || strings.Contains(err.Error(), "open ") {
		t.Errorf("got %v", err)
	}
}

// FuzzParse holds the strict reader against the library's own decoder: what
// it accepts must decode, and every key the decoder sees must have been taken.
func FuzzParse(f *testing.F) {
	for _, field := range fields {
		f.Add([]byte(yamlOf(field, samples(field)[0])))
	}
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("log: &l\n  level: *l\n"))
	f.Add([]byte("log: {level: info}\nlog: {}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := Parse("f.yaml", data)
		if err != nil {
			for _, p := range err.(Problems) {
				if !strings.HasPrefix(p.Where, "f.yaml:") || strings.ContainsAny(p.Error(), "\n\r") {
					t.Fatalf("not one line with its place: %q", p.Error())
				}
			}
			return
		}
		var plain map[string]map[string]any
		if err := yaml.Unmarshal(data, &plain); err != nil && len(l.origins) > 0 {
			t.Fatalf("accepted what does not decode: %v", err)
		}
		var keys int
		for section, values := range plain {
			for key := range values {
				keys++
				if o := l.Origin(section + "." + key); o.Source != FromFile || o.Line < 1 || o.Column < 1 {
					t.Fatalf("%s.%s was not taken from the file: %v", section, key, o)
				}
			}
		}
		if keys != len(l.origins) {
			t.Fatalf("%d keys in the file, %d taken", keys, len(l.origins))
		}
		if i := slices.IndexFunc(fields, func(f Field) bool { return f.check(&l.Config) != nil }); i >= 0 {
			t.Fatalf("%s was accepted with %q", fields[i].Key, fields[i].Value(l.Config))
		}
	})
}
