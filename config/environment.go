package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/countersign-dev/countersign/strictyaml"
)

const envPrefix = "COUNTERSIGN_"

// UnknownVariables returns a warning for each variable in environ
// ("NAME=value") that looks like a misspelt setting. known are the variables
// that are read besides the settings'. Variables that resemble nothing are
// left alone: Kubernetes makes up many with a Service's name in front.
func UnknownVariables(environ, known []string) []string {
	var words []string
	for _, name := range known {
		words = append(words, strings.TrimPrefix(name, envPrefix))
	}
	for _, f := range fields {
		words = append(words, strings.TrimPrefix(f.Env(), envPrefix))
	}
	var warnings []string
	for _, e := range environ {
		name, _, _ := strings.Cut(e, "=")
		word, ours := strings.CutPrefix(name, envPrefix)
		if !ours || slices.Contains(words, word) {
			continue
		}
		if near, ok := strictyaml.Nearest(word, words); ok {
			warnings = append(warnings, fmt.Sprintf("%s is not a setting; did you mean %s%s?", name, envPrefix, near))
		}
	}
	return warnings
}

// serviceLink says that Kubernetes made the variable for a Service: NAME_PORT is
// where the Service NAME is, as in COUNTERSIGN_PORT=tcp://10.0.0.7:8080, and
// nothing that a user has set.
func serviceLink(name, value string) bool {
	return strings.HasSuffix(name, "_PORT") && (strings.HasPrefix(value, "tcp://") || strings.HasPrefix(value, "udp://") || strings.HasPrefix(value, "sctp://"))
}
