package recovery

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/countersign-dev/countersign/orchestrator/egress"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/plain"
	"github.com/countersign-dev/countersign/strictyaml"
)

const (
	maxHeaders = 30
	maxURL     = 2000
	maxHeader  = 1000
	maxBody    = 32 << 10
	maxTitle   = 100
	maxKeyID   = 100
)

var (
	namePattern = regexp.MustCompile(`^[a-z0-9-]+$`)
	wordPattern = regexp.MustCompile(`^[a-z0-9_-]+$`)
	envPattern  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	hostPattern = regexp.MustCompile(`^[A-Za-z0-9.:_-]+$`)
	methods     = []string{"POST", "PUT", "PATCH", "DELETE"}
	gates       = []string{
		string(health.GateAbsolute), string(health.GateAdaptive), string(health.GateZScore), string(health.GateRateOfChange),
		string(health.GateFailures), string(health.GateBurnRate), string(health.GateFlapping), string(health.GateReported), anyOf,
	}
)

// fault is something wrong with an action. The text completes the sentence
// "KEY …".
type fault struct{ key, text string }

// faults says everything that keeps an action from being used.
func (a Action) faults() []fault {
	var all []fault
	add := func(key, format string, args ...any) { all = append(all, fault{key, fmt.Sprintf(format, args...)}) }
	if !namePattern.MatchString(a.Name) || len(a.Name) > 63 {
		add("name", "must be 1 to 63 lower-case letters, digits and hyphens")
	}
	if len([]rune(a.Title)) > maxTitle || plain.Line(a.Title, maxTitle) != a.Title {
		add("title", "must be one line of at most %d characters", maxTitle)
	}
	if a.Tenant != "" && (!namePattern.MatchString(a.Tenant) || len(a.Tenant) > 63) {
		add("tenant", "must be the id of a tenant")
	}
	if !slices.Contains(methods, a.Method) {
		add("method", "must be one of %s", strings.Join(methods, ", "))
	}
	if !a.Risk.Valid() {
		add("risk", "must be low, medium or high")
	}
	for _, host := range a.AllowHosts {
		if !hostPattern.MatchString(strings.Trim(host, "[]")) || len(host) > 253 {
			add("allow_hosts", "must be names or addresses, without port and scheme")
		}
	}
	if text := a.urlFault(); text != "" {
		add("url", "%s", text)
	}
	all = append(all, a.secretFaults()...)
	all = append(all, a.headerFaults()...)
	if text := a.bodyFault(); text != "" {
		add("body", "%s", text)
	}
	return append(all, a.proposalFaults()...)
}

func (a Action) proposalFaults() []fault {
	var all []fault
	if len(a.Gates) == 0 && len(a.Causes) == 0 && !a.Shed {
		all = append(all, fault{"gates", "and causes are both missing: say what proposes the action, such as gates: [absolute_threshold], or [\"*\"]"})
	}
	for _, gate := range a.Gates {
		if !slices.Contains(gates, gate) {
			hint := strictyaml.DidYouMean(gate, gates)
			if hint == "" {
				hint = "; there are " + strings.Join(gates, ", ")
			}
			all = append(all, fault{"gates", fmt.Sprintf("has %q, which is no gate%s", plain.Line(gate, 64), hint)})
		}
	}
	for _, cause := range a.Causes {
		if !wordPattern.MatchString(cause) || len(cause) > 63 {
			all = append(all, fault{"causes", "must be words of lower-case letters, digits, hyphens and underscores, such as deployment"})
		}
	}
	return all
}

// urlFault says what is wrong with the URL, without it: it may have a secret.
func (a Action) urlFault() string {
	u, err := url.Parse(a.URL)
	switch {
	case a.URL == "":
		return "is missing: give the address that the action is sent to"
	case len(a.URL) > maxURL || !isHeaderText(a.URL) || strings.Contains(a.URL, " "):
		return fmt.Sprintf("must be at most %d characters of printable ASCII without spaces", maxURL)
	case strings.Contains(a.URL, "{{"):
		return "can have no variables: put them into the body or a header"
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return "must be a URL such as https://deploy.example/hooks/restart"
	case u.User != nil:
		return "must have no user or password in it: send them in a header, with secret_file or secret_env"
	case u.Port() != "" && !isPort(u.Port()):
		return "has a port that there is not: it must be 1 to 65535"
	case u.Fragment != "" || strings.Contains(a.URL, "#"):
		return "must have no fragment (#…)"
	}
	for name := range u.Query() {
		if looksSecret(name) {
			return fmt.Sprintf("has what looks like a secret in its query (%s): send it in a header, with secret_file or secret_env", plain.Line(name, 40))
		}
	}
	if u.Scheme == "http" && !a.stays(u.Hostname()) {
		return "must be https: by http anybody on the way could read and replay it; within a private network set allow_private, or name its host in allow_hosts"
	}
	// Better now than when somebody has approved it.
	if refused, ok := errors.AsType[*egress.RefusedError]((egress.DialOptions{AllowPrivate: a.AllowPrivate, AllowHosts: a.AllowHosts}).Check(u.Hostname())); ok {
		return fmt.Sprintf("leads to %s, which is not connected to: %s", refused.Why, refused.Mend)
	}
	return ""
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// stays says whether requests to a host were said to stay in a private network.
func (a Action) stays(host string) bool {
	return a.AllowPrivate || slices.ContainsFunc(a.AllowHosts, func(h string) bool {
		allowed, err := netip.ParseAddr(strings.Trim(h, "[]"))
		if addr, isAddr := netip.ParseAddr(host); isAddr == nil && err == nil {
			return addr.Unmap() == allowed.Unmap()
		}
		return strings.EqualFold(strings.TrimSuffix(h, "."), strings.TrimSuffix(host, "."))
	})
}

func (a Action) secretFaults() []fault {
	if a.Unsigned {
		if a.Secret != (Secret{}) {
			return []fault{{"unsigned", "and a secret to sign with exclude each other: keep one"}}
		}
		return nil
	}
	if a.Secret.File == "" && a.Secret.Env == "" {
		return []fault{{"secret_file", "and secret_env are both missing: name the key that signs, or set unsigned if the other side cannot verify signatures"}}
	}
	if text := a.Secret.fault(); text != "" {
		return []fault{{"secret_file", text}}
	}
	return nil
}

func (s Secret) fault() string {
	switch {
	case s.File != "" && s.Env != "":
		return "and secret_env are both given: keep one"
	case s.File == "" && s.Env == "":
		return "and secret_env are both missing: give one"
	case s.Env != "" && !envPattern.MatchString(s.Env):
		return "or secret_env must say where the secret is, not the secret itself"
	case len(s.File) > maxURL || strings.ContainsRune(s.File, 0) || strings.HasPrefix(s.File, secretPrefix):
		return "must be the path of a file, not the secret itself"
	case len(s.KeyID) > maxKeyID || !isHeaderText(s.KeyID) || strings.HasPrefix(s.KeyID, secretPrefix):
		return fmt.Sprintf("needs a key_id of at most %d characters that names the key, and is not the key", maxKeyID)
	}
	return ""
}

func (a Action) headerFaults() []fault {
	var all []fault
	add := func(format string, args ...any) {
		all = append(all, fault{"headers", fmt.Sprintf(format, args...)})
	}
	for _, name := range a.headerNames() {
		value, plain := a.Headers[name]
		secret := a.SecretHeaders[name]
		switch {
		case isReserved(name):
			add("cannot have %s, which is made when the action is sent", name)
		case sameHeader(name, headerContentType) && !plain:
			add("cannot have a secret in %s", name)
		case !plain && (len(secret.Prefix) > 100 || !isHeaderText(secret.Prefix)):
			add("has %s, whose prefix must be at most 100 characters of printable ASCII", name)
		case !plain && secret.Secret.fault() != "":
			add("has %s, whose secret_file %s", name, secret.Secret.fault())
		case plain && looksSecret(name):
			add("has %s, which looks like a secret: give it as {secret_file: …} or {secret_env: …}", name)
		case plain && (len(value) > maxHeader || !isHeaderText(value)):
			add("has %s, which must be at most %d characters of printable ASCII", name, maxHeader)
		case plain:
			if _, err := parseTemplate(value); err != nil {
				add("has %s, which %v", name, err)
			}
		}
	}
	return all
}

// bodyFault also fills the template, to see whether what comes out is still
// JSON when it is said to be.
func (a Action) bodyFault() string {
	if len(a.Body) > maxBody {
		return fmt.Sprintf("must have at most %d bytes", maxBody)
	}
	parts, err := parseTemplate(a.Body)
	if err != nil {
		return err.Error()
	}
	contentType := a.contentType()
	if strings.Contains(contentType, "{{") {
		return "cannot be written by a Content-Type with variables"
	}
	if _, known := writerFor(contentType); !known && slices.ContainsFunc(parts, func(p part) bool { return p.variable != "" }) {
		return "can have variables only where it is known how they are written: in JSON, a form, XML, HTML or text/plain"
	}
	if a.Body == "" || !isJSON(contentType) {
		return ""
	}
	// An x is nowhere part of JSON but within a string, and of no escape there:
	// where it can stand, every value can.
	if filled := expand(parts, nil, func(string) string { return "x" }, nil); !json.Valid([]byte(filled)) {
		return "is not valid JSON when its variables are filled in: put quotes round each, as in \"{{service}}\", or give another Content-Type"
	}
	return ""
}
