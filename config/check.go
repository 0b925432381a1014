package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/orchestrator/approval"
	"github.com/countersign-dev/countersign/orchestrator/tenant"
	"github.com/countersign-dev/countersign/proxy"
	"github.com/countersign-dev/countersign/strictyaml"
)

// The checks below judge one setting on its own, without I/O. Their errors
// complete the sentence "KEY …".

func above0(d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("must be longer than 0, not %s", strictyaml.Duration(d))
	}
	return nil
}

func notNegative(d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("must not be negative, as %s is", strictyaml.Duration(d))
	}
	return nil
}

func between(low, high int) func(int) error {
	return func(n int) error {
		if n < low || n > high {
			return fmt.Errorf("must lie between %d and %d, not be %d", low, high, n)
		}
		return nil
	}
}

func durationBetween(low, high time.Duration) func(time.Duration) error {
	return func(d time.Duration) error {
		if d < low || d > high {
			return fmt.Errorf("must lie between %s and %s, not be %s", strictyaml.Duration(low), strictyaml.Duration(high), strictyaml.Duration(d))
		}
		return nil
	}
}

func sizeBetween(low, high Size) func(Size) error {
	return func(s Size) error {
		if s < low || s > high {
			return fmt.Errorf("must lie between %v and %v, not be %v", low, high, s)
		}
		return nil
	}
}

func atLeast(low Size) func(Size) error {
	return func(s Size) error {
		if s < low {
			return fmt.Errorf("must be %v or more, not %v", low, s)
		}
		return nil
	}
}

func oneOf(words ...string) func(string) error {
	return func(s string) error {
		for _, w := range words {
			if s == w {
				return nil
			}
		}
		return fmt.Errorf("must be one of %s, not %q%s", strings.Join(words, ", "), s, strictyaml.DidYouMean(s, words))
	}
}

func upstreamURL(s string) error {
	if s == "" {
		return nil
	}
	if !strings.Contains(s, "://") {
		return fmt.Errorf("must begin with http://, https:// or unix://; did you mean \"http://%s\"?", s)
	}
	if err := (proxy.Config{Upstream: s}).Validate(); err != nil {
		return fmt.Errorf("is not usable: %w", err)
	}
	return nil
}

// httpURL accepts the base of an API.
func httpURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("must be an http or https URL such as https://api.github.com, not %q", s)
	}
	return nil
}

func tenantID(s string) error {
	if !tenant.ValidID(s) {
		return fmt.Errorf("must be 1 to 63 of a-z, 0-9 and -, not %q", s)
	}
	return nil
}

var repositoryName = regexp.MustCompile(`^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$`)

func repository(s string) error {
	if s != "" && !repositoryName.MatchString(s) {
		return fmt.Errorf("must be OWNER/NAME, such as example/checkout, not %q", s)
	}
	return nil
}

func address(s string) error {
	if _, err := strconv.ParseUint(s, 10, 16); err == nil {
		return fmt.Errorf("must be HOST:PORT or :PORT; did you mean \":%s\"?", s)
	}
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("must be HOST:PORT or :PORT, not %q", s)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("has port %q in %q: it must be a number from 0 to 65535", port, s)
	}
	return nil
}

// unless is a check that the empty text passes: it stands for none.
func unless(check func(string) error) func(string) error {
	return func(s string) error {
		if s == "" {
			return nil
		}
		return check(s)
	}
}

func publicURL(s string) error {
	if _, err := approval.ParsePublicURL(s); err != nil {
		return fmt.Errorf("is not usable: %w", err)
	}
	return nil
}

func urlPath(s string) error {
	if s != "" && (!strings.HasPrefix(s, "/") || strings.ContainsAny(s, "?# \t\r\n")) {
		return fmt.Errorf("must be a path that begins with a slash, such as /health/alerts, not %q", s)
	}
	return nil
}

func headerValue(s string) error {
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("must be a host name without spaces, not %q", s)
	}
	return nil
}

func prefixes(list []string) error {
	for _, s := range list {
		if _, err := parsePrefix(s); err != nil {
			return err
		}
	}
	return nil
}

// parsePrefix reads a network such as 10.0.0.0/8, or one address.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("must hold addresses or networks such as 10.0.0.0/8, not %q", s)
	}
	return p.Masked(), nil
}

func window(d time.Duration) error {
	if d < 10*time.Second || d > time.Hour || d%time.Second != 0 {
		return fmt.Errorf("must be whole seconds between 10s and 1h, not %s", strictyaml.Duration(d))
	}
	return nil
}

func notEmpty(s string) error {
	if s == "" {
		return errors.New("must not be empty")
	}
	return nil
}

// originName judges the name of a log by the rules for the key names of
// signed notes (https://c2sp.org/signed-note).
func originName(s string) error {
	if len(s) > 255 || strings.ContainsFunc(s, notInOrigin) {
		return fmt.Errorf("must be at most 255 bytes without spaces, plus signs and control characters, not %q", s)
	}
	return nil
}

func notInOrigin(r rune) bool {
	return r == '+' || r == utf8.RuneError || unicode.IsSpace(r) || unicode.IsControl(r)
}

func routePatterns(list []string) error {
	if len(list) == 0 {
		return nil
	}
	if _, err := histogram.NewTemplates(list); err != nil {
		return fmt.Errorf("cannot be used: %w", err)
	}
	return nil
}
