package config

import (
	"fmt"
	"os"

	"github.com/countersign-dev/countersign/orchestrator/policy"
	"github.com/countersign-dev/countersign/orchestrator/tenant"
)

// LoadPolicy reads the policy that is named, or takes the built-in one, and
// applies the overrides that getenv has. Its error says what is wrong with the
// document, line by line.
func (c Config) LoadPolicy(getenv func(string) string) (*policy.Policy, error) {
	p := policy.Default()
	if c.Policy.File != "" {
		text, err := os.ReadFile(c.Policy.File)
		if err != nil {
			return nil, fmt.Errorf("policy.file cannot be read: %w", fileError(err))
		}
		if p, err = policy.Parse(c.Policy.File, text); err != nil {
			return nil, err
		}
	}
	if err := p.Override(getenv); err != nil {
		return nil, err
	}
	return p, nil
}

// ChangesSecret is what GitHub signs its webhooks with, empty when none is named.
func (c Config) ChangesSecret() (string, error) {
	if c.Changes.SecretFile == "" {
		return "", nil
	}
	s, err := tenant.ReadSecret(c.Changes.SecretFile)
	if err != nil {
		return "", fmt.Errorf("changes.secret_file: %w", err)
	}
	return s, nil
}
