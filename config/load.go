package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/countersign-dev/countersign/orchestrator/tenant"
)

// Source is the kind of place a value came from.
type Source uint8

// The sources, the weakest first.
const (
	FromDefault Source = iota
	FromFile
	FromEnvironment
	FromFlag
)

// Origin is where the value of a setting came from.
type Origin struct {
	Source Source
	// Name is the file, the variable or the flag without dashes.
	Name string
	// Line and Column count from 1 and are set for a file only.
	Line, Column int
}

// String is "default", FILE:LINE:COL, $VARIABLE or --flag.
func (o Origin) String() string {
	switch o.Source {
	case FromFile:
		return fmt.Sprintf("%s:%d:%d", o.Name, o.Line, o.Column)
	case FromEnvironment:
		return "$" + o.Name
	case FromFlag:
		return "--" + o.Name
	default:
		return "default"
	}
}

// Sources is where Load looks.
type Sources struct {
	// File is the YAML file; none when empty.
	File string
	// Getenv looks up a variable, as os.Getenv does. A variable set to
	// nothing counts as not set. Nil means no environment.
	Getenv func(name string) string
	// Flags holds the flags that were given, by name without dashes.
	Flags map[string]string
}

// Loaded is a configuration and where each of its values came from.
type Loaded struct {
	Config
	origins map[string]Origin
}

// Origin returns where the setting key ("listen.address") got its value.
func (l *Loaded) Origin(key string) Origin { return l.origins[key] }

// Load fills in a configuration. The error is a Problems when the sources
// could be read and what they say is wrong.
func Load(s Sources) (*Loaded, error) {
	l := &Loaded{Config: Default(), origins: map[string]Origin{}}
	var problems Problems
	if s.File != "" {
		data, err := os.ReadFile(s.File)
		if err != nil {
			return nil, fmt.Errorf("cannot read the configuration: %w", fileError(err))
		}
		problems = l.readYAML(s.File, data)
	}
	problems = append(problems, l.override(s)...)
	if len(problems) == 0 {
		problems = l.together()
	}
	if err := problems.asError(); err != nil {
		return nil, err
	}
	return l, nil
}

// Parse reads a configuration file's content alone, over the defaults. The
// error is a Problems whose places are in the file name.
func Parse(name string, data []byte) (*Loaded, error) {
	l := &Loaded{Config: Default(), origins: map[string]Origin{}}
	problems := l.readYAML(name, data)
	if len(problems) == 0 {
		problems = l.together()
	}
	if err := problems.asError(); err != nil {
		return nil, err
	}
	return l, nil
}

// fileError says what the user should know of a failed read: the file and
// the reason, without the system call.
func fileError(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", p.Path, p.Err)
	}
	return err
}

func (l *Loaded) override(s Sources) (problems Problems) {
	for _, f := range fields {
		if s.Getenv != nil {
			if v := s.Getenv(f.Env()); v != "" && !serviceLink(f.Env(), v) {
				problems = append(problems, l.set(f, v, Origin{Source: FromEnvironment, Name: f.Env()})...)
			}
		}
		if v, given := s.Flags[f.Flag]; given {
			problems = append(problems, l.set(f, v, Origin{Source: FromFlag, Name: f.Flag})...)
		}
	}
	return problems
}

func (l *Loaded) set(f Field, v string, from Origin) Problems {
	if err := f.set(&l.Config, v); err != nil {
		return Problems{{Where: from.String(), Text: fmt.Sprintf("%s %v", f.Key, err)}}
	}
	l.origins[f.Key] = from
	return nil
}

// together checks what no setting can be judged by alone. It is only asked
// when each is sound by itself.
func (l *Loaded) together() (problems Problems) {
	add := func(key, text string) {
		problems = append(problems, Problem{Where: l.Origin(key).String(), Text: text})
	}
	l.pairs(add)
	l.ports(add)
	l.sensor(add)
	problems = append(problems, tenant.CheckOwn(l.Tenants, l.Service.Tenant)...)
	problems = append(problems, l.checkLists()...)
	if l.Diagnosis.Mode == DiagnosisModels && len(l.Models) == 0 {
		add("diagnosis.mode", "diagnosis.mode is "+DiagnosisModels+" and there are no models: list one or two under models, or set it to "+DiagnosisRules)
	}
	if len(l.Measure.Routes) > 0 && l.Measure.OpenAPI != "" {
		add("measure.routes", "measure.routes and measure.openapi both name the routes: give one of them")
	}
	if u := l.Upstream.URL; u != "" && !strings.HasPrefix(u, "https://") {
		for _, key := range []string{"upstream.ca_file", "upstream.server_name"} {
			if f := fieldOf(key); f.Value(l.Config) != "" {
				add(key, key+" is for an https upstream, and "+u+" is not one")
			}
		}
	}
	return problems
}

// pairs checks settings that need each other.
func (l *Loaded) pairs(add func(key, text string)) {
	for _, section := range []string{"listen", "approval"} {
		cert, key := section+".cert_file", section+".key_file"
		for _, pair := range [][2]string{{cert, key}, {key, cert}} {
			if l.value(pair[0]) != "" && l.value(pair[1]) == "" {
				add(pair[0], pair[0]+" is given without "+pair[1]+": TLS needs both")
			}
		}
	}
	const listen, public = "approval.listen", "approval.public_url"
	switch {
	case l.Approval.Listen != "" && l.Approval.PublicURL == "":
		add(listen, listen+" is given without "+public+": links must begin with the URL under which people reach it")
	case l.Approval.Listen == "" && l.Approval.PublicURL != "":
		add(public, public+" is given without "+listen+": nothing would answer there")
	case l.Approval.Listen == "" && l.Approval.CertFile != "":
		add("approval.cert_file", "approval.cert_file is given without "+listen+": it is for that listener")
	}
}

// ports checks that no two listeners are given the same one.
func (l *Loaded) ports(add func(key, text string)) {
	keys := []string{"listen.address", "admin.address", "approval.listen"}
	for i, key := range keys {
		for _, other := range keys[:i] {
			if a := l.value(key); a != "" && a == l.value(other) && !strings.HasSuffix(a, ":0") {
				add(key, key+" is "+a+", as "+other+" is: give each a port of its own")
				break
			}
		}
	}
}

func (l *Loaded) value(key string) string { return fieldOf(key).Value(l.Config) }

func fieldOf(key string) Field {
	return fields[slices.IndexFunc(fields, func(f Field) bool { return f.Key == key })]
}
