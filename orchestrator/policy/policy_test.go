package policy

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/orchestrator/health"
)

func TestDefaultIsSound(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Fatal(err)
	}
	id := Default().Identity()
	if id.Version != "default" || id.Digest != Default().Digest() || !strings.HasPrefix(id.Digest, "sha256:") || len(id.Digest) != 71 {
		t.Errorf("identity %+v", id)
	}
}

// busy is a policy with everything in it that may be.
func busy() *Policy {
	p := Default()
	p.Version = `2026-03 "spring" <&> é`
	p.Health.Gates.Adaptive, p.Burn.Mode = health.Shadow, health.On
	p.Incident.ValidateAfterSeconds = 0.25
	p.Checks = []Check{
		{Name: "login", URL: "https://example.com/login?a=b&c=d", Method: "POST", Status: []int{200, 302}, BodyContains: "a: \"b\"\n# c\t\u2028", IntervalSeconds: 90, TimeoutSeconds: 1.5},
		{Name: "search", URL: "http://[::1]:80/", Method: "GET", Status: []int{}, IntervalSeconds: 3600, TimeoutSeconds: 0.1},
	}
	return p
}

func TestYAMLReadsBackAsTheSamePolicy(t *testing.T) {
	for _, p := range []*Policy{Default(), busy()} {
		back, err := Parse("shown.yaml", p.YAML())
		if err != nil {
			t.Fatalf("%v\n%s", err, p.YAML())
		}
		if !reflect.DeepEqual(back, p) || back.Digest() != p.Digest() {
			t.Errorf("%+v, want %+v", back, p)
		}
	}
	if _, err := Parse("empty.yaml", nil); err != nil {
		t.Errorf("nothing is a policy, the default: %v", err)
	}
}

func TestEveryKeyHasAComment(t *testing.T) {
	for key := range Default().scalars() {
		if comments[key] == "" {
			t.Errorf("%s has no comment", key)
		}
	}
	for key := range comments {
		if !strings.Contains(string(Default().YAML()), key[strings.LastIndex(key, ".")+1:]+":") {
			t.Errorf("a comment on %s, which is no key", key)
		}
	}
}

func TestCanonicalForm(t *testing.T) {
	for _, p := range []*Policy{Default(), busy()} {
		back, err := ParseCanonical(p.Canonical())
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(back, p) || !bytes.Equal(back.Canonical(), p.Canonical()) {
			t.Errorf("%+v, want %+v", back, p)
		}
	}
	if got := string(busy().Canonical()); !strings.Contains(got, `"version":"2026-03 \"spring\" <&> é"`) || strings.ContainsAny(got, "\n\t") {
		t.Errorf("canonical form %s", got)
	}
	p := Default()
	p.Checks = nil
	if p.Digest() != Default().Digest() {
		t.Error("no checks and an empty list of them differ")
	}
	good := string(Default().Canonical())
	for name, data := range map[string]string{
		"nothing":       "",
		"no object":     "[]",
		"a key more":    strings.Replace(good, `{"burn`, `{"a":1,"burn`, 1),
		"a key less":    strings.Replace(good, `,"version":"default"`, "", 1),
		"a space":       strings.Replace(good, ":", ": ", 1),
		"another order": `{"version":"default",` + strings.Replace(strings.TrimPrefix(good, "{"), `,"version":"default"`, "", 1),
		"two documents": good + good,
		"unsound":       strings.Replace(good, `"open_below":70`, `"open_below":700`, 1),
	} {
		if _, err := ParseCanonical([]byte(data)); err == nil {
			t.Errorf("%s is taken for a canonical policy", name)
		}
	}
}

// A digest that is printed here and there for years must not change by accident.
func TestDigestOfTheDefault(t *testing.T) {
	const want = "sha256:0a738904287aa0c70045a782c72ac97b800b7f481deb9ad59e54d77f465d0138"
	if got := Default().Digest(); got != want {
		t.Errorf("the default policy's digest is %s, want %s: a changed default is for the changelog", got, want)
	}
}

func TestDigestSeesTheMeaningAlone(t *testing.T) {
	plain, err := Parse("a", []byte("health:\n  p95_ms:\n    warning: 400\nincident:\n  validate_after: 90s\n"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := Parse("b", []byte("# a comment\nincident: {validate_after: 1m30s}\n\n\nhealth: {p95_ms: {warning: 4e2, critical: 3000}}\nversion: 'default'\n"))
	if err != nil {
		t.Fatal(err)
	}
	if plain.Digest() != other.Digest() {
		t.Error("comments and formatting change the digest")
	}
	seen := map[string]string{Default().Digest(): "the default"}
	for key := range Default().scalars() {
		p := Default()
		for k, mine := range p.scalars() {
			if k == key {
				change(mine)
			}
		}
		digest := p.Digest()
		if before, again := seen[digest]; again {
			t.Errorf("a changed %s has the digest of %s", key, before)
		}
		seen[digest] = key
	}
}

func change(e entry) {
	switch v := e.value; {
	case v.CanFloat():
		v.SetFloat(v.Float() + 0.001)
	case v.CanInt():
		v.SetInt(v.Int() + 1)
	case v.CanUint():
		v.SetUint(v.Uint() + 1)
	case v.Type().Kind().String() == "bool":
		v.SetBool(!v.Bool())
	default:
		v.SetString(v.String() + "x")
	}
}

func TestProblemsHaveTheirPlace(t *testing.T) {
	for _, c := range []struct{ yaml, problem string }{
		{"helth: {}", `p:1:1: unknown key "helth" in the policy; did you mean "health"?`},
		{"health:\n  zz: 1", `p:2:3: unknown key "zz" in health; it has gates, p95_ms`},
		{"incident:\n  validate_after_seconds: 30", `p:2:3: unknown key "validate_after_seconds" in incident; did you mean "validate_after", with the unit in its value?`},
		{"incident:\n  validate_after: 30", `p:2:19: incident.validate_after must be a duration with its unit`},
		{"incident:\n  validate_after: -5s", `p:2:19: incident.validate_after must lie between 0s and 24h`},
		{"incident:\n  validate_after: 1us", `p:2:19: incident.validate_after must be whole milliseconds`},
		{"incident:\n  validate_after:", `p:2:18: incident.validate_after has no value`},
		{"incident:\n  open_below: [70]", `p:2:15: incident.open_below must be a single value`},
		{"incident:\n  open_below: '70'", `p:2:15: incident.open_below must be a number without quotes`},
		{"incident:\n  open_below: .nan", `p:2:15: incident.open_below must be a number, not ".nan"`},
		{"incident:\n  open_below: 0", `p:2:15: incident.open_below must lie between 1 and 100, not be 0`},
		{"incident:\n  open_below: 90", `p:2:3: incident.recover_above must not lie below open_below (90)`},
		{"version: 1", `p:1:10: version must be text: put quotes round it, "1"`},
		{"version: ''", `p:1:10: version must not be empty`},
		{"version: \"a\\nb\"", `p:1:10: version must be printable text`},
		{"version: a\nversion: b", `p:2:1: key "version" is given twice, first on line 1: keep one`},
		{"failures:\n  mode: maybe", `p:2:9: failures.mode must be on, shadow or off, not "maybe"`},
		{"failures:\n  after: 1.5", `p:2:10: failures.after must be a number without quotes, not "1.5"`},
		{"failures:\n  after: 0", `p:2:10: failures.after must lie between 1 and 100`},
		{"failures:\n  min_requests: -1", `p:2:17: failures.min_requests must be a whole number of 0 or more`},
		{"failures: 5", `p:1:11: failures must hold keys, each on a line of its own below it: mode, after`},
		{"- a", `p:1:1: the policy must hold keys`},
		{"health:\n  p95_ms:\n    warning: 4000", `p:3:5: health.p95_ms needs a warning threshold (4000) below the critical one (3000)`},
		{"health:\n  p95_ms:\n    warning: 0", `p:3:14: health.p95_ms.warning must be above 0, not 0`},
		{"health:\n  error_rate: {critical: 1}", `p:2:26: health.error_rate.critical must be below 1, not 1`},
		{"health:\n  z_ticks: 0", `p:2:12: health.z_ticks must lie between 1 and 100`},
		{"health:\n  gates:\n    z_score: yes", `p:3:14: health.gates.z_score must be on, shadow or off`},
		{"health:\n  rate_max_age: 0s", `p:2:17: health.rate_max_age must lie between 1s and 24h`},
		{"upstream: {enabled: 1}", `p:1:21: upstream.enabled must be true or false, not "1"`},
		{"upstream: {path: healthz}", `p:1:18: upstream.path must be a path that begins with a slash`},
		{"upstream: {timeout: 2h}", `p:1:21: upstream.timeout must lie between 100ms and 1m`},
		{"burn_rate: {windows: []}", `p:1:22: burn_rate.windows must be 1 to 8 windows, not 0`},
		{"burn_rate: {windows: [{factor: 10, long_minutes: 5, short_minutes: 5}]}", `p:1:68: burn_rate.windows[0].short_minutes must be at least 1 and below long_minutes (5)`},
		{"burn_rate:\n  objective: 0.9", `p:2:3: burn_rate.windows[0].factor can never be reached`},
		{"checks: {}", `p:1:9: checks must be a list`},
		{"checks: [login]", `p:1:10: checks[0] must hold keys`},
		{"checks:\n  -", `p:2:4: checks[0] has no value`},
		{"checks: [{url: 'http://a/'}]", `p:1:10: checks[0].name must be 1 to 63 of`},
		{"checks: [{name: upstream, url: 'http://a/'}]", `p:1:17: checks[0].name must not be "upstream"`},
		{"checks: [{name: a, url: 'ftp://a/'}]", `p:1:25: checks[0].url must begin with http:// or https://`},
		{"checks: [{name: a, url: 'http:///x'}]", `p:1:25: checks[0].url is not a URL with a host`},
		{"checks: [{name: a, url: 'http://u:p@a/'}]", `p:1:25: checks[0].url must not hold a user or password`},
		{"checks: [{name: a, url: 'http://a/#x'}]", `p:1:25: checks[0].url must not have a fragment`},
		{"checks: [{name: a, url: 'http://a/', method: get}]", `p:1:46: checks[0].method must be GET, HEAD, OPTIONS or POST`},
		{"checks: [{name: a, url: 'http://a/', status: 200}]", `p:1:46: checks[0].status must be a list`},
		{"checks: [{name: a, url: 'http://a/', status: [ok]}]", `p:1:47: checks[0].status[0] must be a number without quotes`},
		{"checks: [{name: a, url: 'http://a/', interval: 10ms}]", `p:1:48: checks[0].interval must lie between 1s and 1h`},
		{"checks: [{name: a, url: 'http://a/', headers: {}}]", `p:1:38: unknown key "headers" in checks[0]; it has name, url, method`},
		{"a: &x [*x]", `p:1:1: unknown key "a"`},
		{"version: a\n---\nversion: b", `p:2:1: a second document begins here`},
		{"version: {a", `p:2:1: not valid YAML: `},
	} {
		_, err := Parse("p", []byte(c.yaml))
		problems, ok := errors.AsType[Problems](err)
		if !ok || !strings.HasPrefix(problems.Lines(), c.problem) {
			t.Errorf("%q gives\n%swant\n%s", c.yaml, problems.Lines(), c.problem)
		}
	}
}

func TestProblemsAreAllFound(t *testing.T) {
	_, err := Parse("p", []byte("health: {p95_ms: {warning: x}, zscore: 1}\nincident: {open_below: 500}\n"))
	problems, _ := errors.AsType[Problems](err)
	if len(problems) != 3 {
		t.Errorf("problems\n%s, want three", problems.Lines())
	}
	if got := err.Error(); !strings.HasSuffix(got, "(and 2 more: see countersign policy lint)") || strings.Contains(got, "\n") {
		t.Errorf("error %q", got)
	}
}

// TestPolicyFitsIntoTheLedger: a policy that could not be recorded could not be
// replayed.
func TestPolicyFitsIntoTheLedger(t *testing.T) {
	p := Default()
	for i := range 50 {
		p.Checks = append(p.Checks, Check{
			Name: fmt.Sprint("c", i), URL: "http://127.0.0.1/", Method: "GET", BodyContains: strings.Repeat("b", 1024), IntervalSeconds: 5, TimeoutSeconds: 1,
		})
	}
	if err := p.Validate(); err != nil || len(p.Canonical()) > MaxBytes {
		t.Errorf("%d bytes: %v", len(p.Canonical()), err)
	}
	p.Checks[7].URL += strings.Repeat("u", 10_000)
	if err := p.Validate(); err == nil || !strings.Contains(err.Error(), "checks must be shorter") {
		t.Errorf("%d bytes: %v", len(p.Canonical()), err)
	}
}

func env(pairs ...string) func(string) string {
	return func(name string) string {
		if i := slices.Index(pairs, name); i >= 0 {
			return pairs[i+1]
		}
		return ""
	}
}

func TestOverride(t *testing.T) {
	p := Default()
	if err := p.Override(env()); err != nil || p.Digest() != Default().Digest() {
		t.Errorf("an empty environment changed the policy (%v)", err)
	}
	err := p.Override(env(
		"COUNTERSIGN_POLICY_HEALTH_P95_MS_WARNING", "800",
		"COUNTERSIGN_POLICY_HEALTH_GATES_ADAPTIVE_THRESHOLD", "shadow",
		"COUNTERSIGN_POLICY_HEALTH_MIN_SAMPLES", "50",
		"COUNTERSIGN_POLICY_INCIDENT_VALIDATE_AFTER", "2m",
		"COUNTERSIGN_POLICY_UPSTREAM_ENABLED", "false",
		"COUNTERSIGN_POLICY_VERSION", "from the environment",
		"COUNTERSIGN_POLICY_FAILURES_AFTER", "3",
	))
	want := Default()
	want.Health.P95MS.Warning, want.Health.Gates.Adaptive, want.Health.MinSamples = 800, health.Shadow, 50
	want.Incident.ValidateAfterSeconds, want.Upstream.Enabled, want.Version, want.Failures.After = 120, false, "from the environment", 3
	if err != nil || !reflect.DeepEqual(p, want) {
		t.Errorf("%+v, want %+v (%v)", p, want, err)
	}
	for _, c := range []struct{ name, value, problem string }{
		{"HEALTH_P95_MS_WARNING", "fast", `$COUNTERSIGN_POLICY_HEALTH_P95_MS_WARNING: health.p95_ms.warning must be a number, not "fast"`},
		{"HEALTH_P95_MS_WARNING", "9000", "$COUNTERSIGN_POLICY_HEALTH_P95_MS_WARNING: health.p95_ms needs a warning threshold (9000) below"},
		{"HEALTH_P95_MS_WARNING", "inf", "$COUNTERSIGN_POLICY_HEALTH_P95_MS_WARNING: health.p95_ms.warning must be a number"},
		{"INCIDENT_OPEN_BELOW", "95", "$COUNTERSIGN_POLICY_INCIDENT_OPEN_BELOW: incident.recover_above must not lie below open_below (95)"},
		{"BURN_RATE_MODE", "maybe", "$COUNTERSIGN_POLICY_BURN_RATE_MODE: burn_rate.mode must be on, shadow or off"},
		{"UPSTREAM_ENABLED", "perhaps", "$COUNTERSIGN_POLICY_UPSTREAM_ENABLED: upstream.enabled must be true or false"},
	} {
		p := Default()
		err := p.Override(env(envPrefix+c.name, c.value))
		if err == nil || !strings.HasPrefix(err.Error(), c.problem) {
			t.Errorf("%s=%s: error %v, want %s", c.name, c.value, err, c.problem)
		}
		if !reflect.DeepEqual(p, Default()) {
			t.Errorf("%s=%s: a refused override changed the policy", c.name, c.value)
		}
	}
}

func TestVariablesAreDistinct(t *testing.T) {
	names := Variables()
	seen := map[string]bool{}
	for _, name := range names {
		if seen[name] || strings.ToUpper(name) != name || !strings.HasPrefix(name, envPrefix) {
			t.Errorf("variable %s", name)
		}
		seen[name] = true
	}
	if !seen["COUNTERSIGN_POLICY_INCIDENT_RECOVER_ERROR_RATE"] || len(names) < 40 {
		t.Errorf("variables %v", names)
	}
}

// Every scalar can be set from the text that it is shown as.
func TestTextAndSetAgree(t *testing.T) {
	p, q := busy(), Default()
	var texts []string
	for key, e := range p.scalars() {
		texts = append(texts, variable(key), strings.Trim(e.text(), `"`))
	}
	p.Version, q.Version = "plain", "plain"
	texts[1] = "plain"
	if err := q.Override(env(texts...)); err != nil {
		t.Fatal(err)
	}
	q.Checks = p.Checks
	if !reflect.DeepEqual(p, q) {
		t.Errorf("%s, want %s", fmt.Sprint(q), fmt.Sprint(p))
	}
}
