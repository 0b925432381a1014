package witness

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Limits of a policy. A note has at most 100 signatures, so more witnesses
// could not all be counted.
const (
	maxPolicySize = 1 << 20
	maxLogs       = 1000
	maxWitnesses  = 64
	maxGroups     = 1000
)

// PolicyError is what is wrong with a policy, and where.
type PolicyError struct {
	Line    int // from 1; 0 when it concerns the policy as a whole
	Problem string
}

func (e *PolicyError) Error() string {
	if e.Line == 0 {
		return "witness policy: " + e.Problem
	}
	return fmt.Sprintf("witness policy, line %d: %s", e.Line, e.Problem)
}

// ParsePolicy reads a policy file. It is strict: whatever the format does not
// allow, and every key that is not Ed25519, is a [*PolicyError].
func ParsePolicy(text []byte) (*Policy, error) {
	if len(text) > maxPolicySize {
		return nil, &PolicyError{0, fmt.Sprintf("it is longer than %d bytes", maxPolicySize)}
	}
	p := &policyParser{names: map[string]bool{}, keys: map[string]string{}, member: map[string]string{}}
	for number := 1; len(text) > 0; number++ {
		line, rest, ended := bytes.Cut(text, []byte("\n"))
		text = rest
		err := p.line(line)
		if err == nil && !ended {
			err = errors.New("the last line does not end in a newline: the file may be cut short")
		}
		if err != nil {
			return nil, &PolicyError{number, err.Error()}
		}
	}
	if p.policy.Quorum == "" {
		return nil, &PolicyError{0, `there is no quorum line: "quorum <name>" says which witness or group must have cosigned, "quorum none" that none must`}
	}
	return &p.policy, nil
}

// policyParser has read the lines above the present one.
type policyParser struct {
	policy Policy
	names  map[string]bool   // witnesses and groups defined so far
	keys   map[string]string // public key → who has it
	member map[string]string // name → the group it is a member of
}

func (p *policyParser) line(line []byte) error {
	for _, b := range line {
		switch {
		case b == '\r':
			return errors.New("it ends in a carriage return: save the file with Unix line ends")
		case b < ' ' && b != '\t' || b == 0x7f:
			return fmt.Errorf("the control character 0x%02x is not allowed", b)
		}
	}
	fields := strings.FieldsFunc(string(line), func(r rune) bool { return r == ' ' || r == '\t' })
	if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
		return nil
	}
	switch fields[0] {
	case "log":
		return p.log(fields[1:])
	case "witness":
		return p.witness(fields[1:])
	case "group":
		return p.group(fields[1:])
	case "quorum":
		return p.quorum(fields[1:])
	}
	return fmt.Errorf("%q is none of log, witness, group, quorum", fields[0])
}

func (p *policyParser) log(fields []string) error {
	if len(fields) < 1 || len(fields) > 2 {
		return errors.New("a log is written: log <vkey> [<url>]")
	}
	if len(p.policy.Logs) == maxLogs {
		return fmt.Errorf("there are more than %d logs", maxLogs)
	}
	k, err := parseKey(fields[0])
	if err != nil {
		return err
	}
	if k.kind != typeEd25519 {
		return fmt.Errorf("the key of the log %s has signature type 0x%02x: a log's must be 0x%02x (Ed25519)", k.name, k.kind, typeEd25519)
	}
	if err := p.own(k, "the log "+k.name); err != nil {
		return err
	}
	p.policy.Logs = append(p.policy.Logs, Log{VKey: fields[0]})
	return nil
}

func (p *policyParser) witness(fields []string) error {
	if len(fields) < 2 || len(fields) > 3 {
		return errors.New("a witness is written: witness <name> <vkey> [<url>]")
	}
	if len(p.policy.Witnesses) == maxWitnesses {
		return fmt.Errorf("there are more than %d witnesses", maxWitnesses)
	}
	if err := p.define(fields[0]); err != nil {
		return err
	}
	v, err := NewVerifier(fields[1])
	if err != nil {
		return err
	}
	if err := p.own(v.(cosignatureKey).key, "the witness "+fields[0]); err != nil {
		return err
	}
	p.policy.Witnesses = append(p.policy.Witnesses, Witness{Name: fields[0], VKey: fields[1], URL: optional(fields, 2)})
	p.policy.keys = append(p.policy.keys, v)
	return nil
}

func (p *policyParser) group(fields []string) error {
	if len(fields) < 3 {
		return errors.New("a group is written: group <name> all|any|<number> <member>…")
	}
	if len(p.policy.groups) == maxGroups {
		return fmt.Errorf("there are more than %d groups", maxGroups)
	}
	g := group{name: fields[0], members: fields[2:]}
	for _, m := range g.members {
		if m == NoQuorum {
			return errors.New(`"none" cannot be a member of a group`)
		}
		if !p.names[m] {
			return fmt.Errorf("no witness or group %q is defined above", m)
		}
		if other, ok := p.member[m]; ok {
			return fmt.Errorf("%q is already a member of the group %q: it can be a member once", m, other)
		}
		p.member[m] = g.name
	}
	if err := p.define(g.name); err != nil {
		return err
	}
	switch fields[1] {
	case "any":
		g.least = 1
	case "all":
		g.least = len(g.members)
	default:
		n, err := strconv.Atoi(fields[1])
		if err != nil || strconv.Itoa(n) != fields[1] || n < 1 || n > len(g.members) {
			return fmt.Errorf("the threshold %q of the group %q must be all, any, or a number from 1 to %d", fields[1], g.name, len(g.members))
		}
		g.least = n
	}
	p.policy.groups = append(p.policy.groups, g)
	return nil
}

func (p *policyParser) quorum(fields []string) error {
	switch {
	case len(fields) != 1:
		return errors.New("the quorum is written: quorum <name>")
	case p.policy.Quorum != "":
		return errors.New("there is a second quorum line")
	}
	if !p.names[fields[0]] && fields[0] != NoQuorum {
		return fmt.Errorf("no witness or group %q is defined above", fields[0])
	}
	p.policy.Quorum = fields[0]
	return nil
}

// define takes a name for a witness or a group.
func (p *policyParser) define(name string) error {
	if name == NoQuorum {
		return errors.New(`"none" cannot be defined: it is the quorum that takes no witness`)
	}
	if p.names[name] {
		return fmt.Errorf("%q is defined twice", name)
	}
	p.names[name] = true
	return nil
}

// own refuses a public key that the policy has already: nobody may count
// twice, and a log is no witness of itself.
func (p *policyParser) own(k key, who string) error {
	if other, ok := p.keys[string(k.public)]; ok {
		return fmt.Errorf("%s has the same public key as %s", who, other)
	}
	p.keys[string(k.public)] = who
	return nil
}

func optional(fields []string, i int) string {
	if i < len(fields) {
		return fields[i]
	}
	return ""
}
