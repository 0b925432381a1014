package policy

import (
	"fmt"
	"strings"

	"github.com/countersign-dev/countersign/strictyaml"
)

// envPrefix begins the name of every variable that overrides a value.
const envPrefix = "COUNTERSIGN_POLICY_"

func variable(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// Variables is the names of the variables that Override reads, in the order
// of the document.
func Variables() []string {
	var names []string
	for key := range Default().scalars() {
		names = append(names, variable(key))
	}
	return names
}

// Override sets each single value whose variable getenv knows; one set to
// nothing counts as not set. The error is a Problems, and p is then as it was.
func (p *Policy) Override(getenv func(name string) string) error {
	next := *p
	var problems Problems
	set := map[string]bool{}
	for key, e := range next.scalars() {
		text := getenv(variable(key))
		if text == "" {
			continue
		}
		set[key] = true
		if err := e.set(text); err != nil {
			problems = append(problems, strictyaml.Problem{Where: "$" + variable(key), Text: fmt.Sprintf("%s %v", key, err)})
		}
	}
	if len(problems) == 0 && len(set) > 0 {
		for _, f := range next.faults() {
			problems = append(problems, strictyaml.Problem{Where: blame(f.Key, set), Text: f.Error()})
		}
	}
	if err := problems.asError(); err != nil {
		return err
	}
	*p = next
	return nil
}

// blame names the variable that set a key, or one of its group.
func blame(key string, set map[string]bool) string {
	for k := range Default().scalars() {
		if set[k] && (k == key || strings.HasPrefix(k, key+".")) {
			return "$" + variable(k)
		}
	}
	section, _, _ := strings.Cut(key, ".")
	for k := range Default().scalars() {
		if set[k] && strings.HasPrefix(k, section+".") {
			return "$" + variable(k)
		}
	}
	return "the policy"
}
