package policy

import (
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/strictyaml"
)

// faults gathers what makes a policy impossible to decide by.
type faults []health.Fault

// Validate says, in a sentence, what makes p impossible to decide by.
func (p *Policy) Validate() error {
	if f := p.faults(); len(f) > 0 {
		return f[0]
	}
	return nil
}

// faults lists them with the keys of the YAML document.
func (p *Policy) faults() faults {
	var f faults
	f.text("version", p.Version, 1, 128)
	f.duration("health.rate_max_age", p.Health.RateMaxAgeSeconds, time.Second, 24*time.Hour)
	for _, h := range p.Health.Faults() {
		f.add("health."+yamlName(h.Key), "%s", h.Text)
	}
	f.failures(p.Failures)
	f.burn(p.Burn)
	f.incident(p.Incident)
	f.between("flap.changes", float64(p.Flap.Changes), 2, 50)
	f.duration("flap.within", p.Flap.WithinSeconds, 10*time.Second, 24*time.Hour)
	f.duration("flap.quiet", p.Flap.QuietSeconds, 10*time.Second, 24*time.Hour)
	if !strings.HasPrefix(p.Upstream.Path, "/") || !printable(p.Upstream.Path) || strings.ContainsAny(p.Upstream.Path, " #") {
		f.add("upstream.path", "must be a path that begins with a slash, such as /healthz, not %q", p.Upstream.Path)
	}
	f.timing("upstream", p.Upstream.IntervalSeconds, p.Upstream.TimeoutSeconds)
	f.checks(p.Checks)
	f.duration("changes.before", p.Changes.BeforeSeconds, 0, 7*24*time.Hour)
	if len(f) > 0 {
		return f // with NaN, say, there is no canonical form
	}
	if n := len(p.Canonical()); n > MaxBytes {
		f.add("checks", "must be shorter: the whole policy has %d bytes in the form in which it is recorded, and at most %d are kept", n, MaxBytes)
	}
	return f
}

func (f *faults) add(key, text string, args ...any) {
	for _, known := range *f {
		if known.Key == key {
			return // one fault a key is enough to mend it
		}
	}
	*f = append(*f, health.Fault{Key: key, Text: fmt.Sprintf(text, args...)})
}

func (f *faults) between(key string, v, low, high float64) {
	if !(v >= low && v <= high) {
		f.add(key, "must lie between %v and %v, not be %v", low, high, v)
	}
}

func (f *faults) duration(key string, s float64, low, high time.Duration) {
	if !(s >= low.Seconds() && s <= high.Seconds()) {
		f.add(key, "must lie between %s and %s", strictyaml.Duration(low), strictyaml.Duration(high))
	} else if wholeMillis(s).Seconds() != s {
		f.add(key, "must be whole milliseconds")
	}
}

func wholeMillis(s float64) time.Duration {
	return time.Duration(math.Round(s*1000)) * time.Millisecond
}

func (f *faults) mode(key string, m health.Mode) {
	if !m.Valid() {
		f.add(key, "must be on, shadow or off, not %q", m)
	}
}

func (f *faults) text(key, s string, shortest, longest int) {
	switch {
	case len(s) < shortest:
		f.add(key, "must not be empty")
	case len(s) > longest:
		f.add(key, "must be at most %d bytes, not %d", longest, len(s))
	case !printable(s):
		f.add(key, "must be printable text, not %q", s)
	}
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func (f *faults) failures(x Failures) {
	f.mode("failures.mode", x.Mode)
	f.between("failures.after", float64(x.After), 1, 100)
	f.between("failures.error_rate", x.ErrorRate, 0.01, 1)
	f.between("failures.min_requests", float64(x.MinRequests), 1, 1e6)
}

func (f *faults) burn(b Burn) {
	f.mode("burn_rate.mode", b.Mode)
	f.between("burn_rate.objective", b.Objective, 0.5, 0.99999)
	f.between("burn_rate.min_bad", float64(b.MinBad), 1, 1e9)
	if len(b.Windows) == 0 && b.Mode != health.Off || len(b.Windows) > 8 {
		f.add("burn_rate.windows", "must be 1 to 8 windows, not %d: to have none, set burn_rate.mode to off", len(b.Windows))
	}
	for i, w := range b.Windows {
		key := fmt.Sprintf("burn_rate.windows[%d]", i)
		f.between(key+".factor", w.Factor, 1, 1e5)
		f.between(key+".long_minutes", float64(w.LongMinutes), 2, maxBurnMinutes)
		if w.ShortMinutes < 1 || w.ShortMinutes >= w.LongMinutes {
			f.add(key+".short_minutes", "must be at least 1 and below long_minutes (%d), not %d", w.LongMinutes, w.ShortMinutes)
		}
		if w.Severity != health.Critical && w.Severity != health.Warning {
			f.add(key+".severity", "must be warning or critical, not %q", w.Severity)
		}
		if budget := 1 - b.Objective; w.Factor*budget > 1 {
			f.add(key+".factor", "can never be reached: with an objective of %v nothing burns faster than %.4g times", b.Objective, 1/budget)
		}
	}
}

func (f *faults) incident(x Thresholds) {
	f.between("incident.open_below", x.OpenBelow, 1, 100)
	f.between("incident.recover_above", x.RecoverAbove, 0, 99.9)
	if x.RecoverAbove < x.OpenBelow {
		f.add("incident.recover_above", "must not lie below open_below (%v), as %v does: an incident would recover and open at once", x.OpenBelow, x.RecoverAbove)
	}
	f.between("incident.recover_error_rate", x.RecoverErrorRate, 0.0001, 1)
	f.duration("incident.validate_after", x.ValidateAfterSeconds, 0, 24*time.Hour)
	f.duration("incident.recover_after", x.RecoverAfterSeconds, 0, 24*time.Hour)
	f.duration("incident.max_open", x.MaxOpenSeconds, time.Minute, 365*24*time.Hour)
}

func (f *faults) timing(key string, interval, timeout float64) {
	f.duration(key+".interval", interval, time.Second, time.Hour)
	f.duration(key+".timeout", timeout, 100*time.Millisecond, time.Minute)
}

var checkName = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]*$`)

func (f *faults) checks(checks []Check) {
	if len(checks) > 50 {
		f.add("checks", "must be at most 50, not %d", len(checks))
	}
	first := map[string]int{UpstreamTarget: -1, RemoteTarget: -1}
	for i, c := range checks {
		key := fmt.Sprintf("checks[%d]", i)
		switch before, taken := first[c.Name]; {
		case len(c.Name) > 63 || !checkName.MatchString(c.Name):
			f.add(key+".name", "must be 1 to 63 of a-z, 0-9, point, hyphen and underscore, not %q", c.Name)
		case taken && before < 0:
			f.add(key+".name", "must not be %q: every policy has a target of that name", c.Name)
		case taken:
			f.add(key+".name", "must be a name of its own: %q is that of checks[%d]", c.Name, before)
		default:
			first[c.Name] = i
		}
		f.url(key+".url", c.URL)
		switch c.Method {
		case "GET", "HEAD", "OPTIONS", "POST":
		default:
			f.add(key+".method", "must be GET, HEAD, OPTIONS or POST, not %q", c.Method)
		}
		if len(c.Status) > 20 {
			f.add(key+".status", "must be at most 20 codes, not %d", len(c.Status))
		}
		for _, code := range c.Status {
			f.between(key+".status", float64(code), 100, 599)
		}
		if len(c.BodyContains) > 1024 || !utf8.ValidString(c.BodyContains) {
			f.add(key+".body_contains", "must be UTF-8 text of at most 1024 bytes")
		}
		f.timing(key, c.IntervalSeconds, c.TimeoutSeconds)
	}
}

func (f *faults) url(key, s string) {
	u, err := url.Parse(s)
	switch {
	case !strings.HasPrefix(s, "http://") && !strings.HasPrefix(s, "https://"):
		f.add(key, "must begin with http:// or https://, not be %q", s)
	case err != nil || u.Hostname() == "" || !printable(s) || strings.Contains(s, " "):
		f.add(key, "is not a URL with a host: %q", s)
	case u.User != nil:
		f.add(key, "must not hold a user or password: the policy is recorded for everyone to read")
	case u.Fragment != "":
		f.add(key, "must not have a fragment (#%s)", u.Fragment)
	}
}
