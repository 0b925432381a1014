// Package provider reads which language models a configuration has, and makes
// diagnosers of them. It opens nothing: what sends requests is handed in.
package provider

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
	"github.com/countersign-dev/countersign/orchestrator/diagnosis/anthropic"
	"github.com/countersign-dev/countersign/orchestrator/diagnosis/openai"
)

// Config is one model.
type Config struct {
	// ID names it in entries: 1 to 40 lower-case letters, digits and hyphens.
	ID string
	// Provider is the wire format, "anthropic" or "openai".
	Provider string
	// BaseURL is where it is; the provider's own address when empty.
	BaseURL string
	// Model is its name, as the provider lists it.
	Model string
	// KeyFile or KeyEnv say where its API key is; at most one is set.
	KeyFile, KeyEnv string
	// Lens is what it looks at first, "latency" or "network".
	Lens string
	// Timeout is for one request, HourlyCalls how many there are in any hour.
	Timeout     time.Duration
	HourlyCalls int
	// InputPrice and OutputPrice are in dollars for a million tokens; 0 is not known.
	InputPrice, OutputPrice float64
	// Structured asks for answers that are held to a JSON Schema.
	Structured bool
	// AllowPrivate lets it be at an address of a private network or of this machine.
	AllowPrivate bool
	// Where says where it was configured: FILE:LINE:COL.
	Where string
}

// The bounds of settings.
const (
	maxTimeout = time.Minute
	maxCalls   = 10_000
	maxPrice   = 10_000
	maxKey     = 4 << 10 // bytes of a file
)

// Place is where its requests go.
func (c Config) Place() string {
	switch {
	case c.BaseURL != "":
		return c.BaseURL
	case c.Provider == "anthropic":
		return anthropic.BaseURL
	}
	return openai.BaseURL
}

// Key reads the API key, empty when none is configured. The error says how to mend
// it, and never has the key in it.
func (c Config) Key(getenv func(string) string) (string, error) {
	switch {
	case c.KeyEnv != "":
		key := strings.TrimSpace(getenv(c.KeyEnv))
		if key == "" {
			return "", fmt.Errorf("the key of the model %q is not there: set the variable %s", c.ID, c.KeyEnv)
		}
		return key, nil
	case c.KeyFile != "":
		info, err := os.Stat(c.KeyFile)
		if err == nil && info.Size() > maxKey {
			return "", fmt.Errorf("the key of the model %q: %s has more than %d bytes, which no key has", c.ID, c.KeyFile, maxKey)
		}
		data, err := os.ReadFile(c.KeyFile)
		if err != nil {
			return "", fmt.Errorf("the key of the model %q cannot be read: %w", c.ID, err)
		}
		if key := strings.TrimSpace(string(data)); key != "" {
			return key, nil
		}
		return "", fmt.Errorf("the key of the model %q is not there: %s is empty", c.ID, c.KeyFile)
	}
	return "", nil
}

// Open makes the diagnoser. key is what Key returned.
func (c Config) Open(key string, d diagnosis.Doer, figuresOnly bool) (*diagnosis.Model, error) {
	var p diagnosis.Provider
	var err error
	if c.Provider == "anthropic" {
		p, err = anthropic.New(anthropic.Config{BaseURL: c.BaseURL, Model: c.Model, Key: key, Unstructured: !c.Structured})
	} else {
		p, err = openai.New(openai.Config{BaseURL: c.BaseURL, Model: c.Model, Key: key, Unstructured: !c.Structured})
	}
	if err != nil {
		return nil, fmt.Errorf("the model %q: %w", c.ID, err)
	}
	lens := diagnosis.LatencyLens
	if c.Lens == "network" {
		lens = diagnosis.NetworkLens
	}
	return diagnosis.NewModel(diagnosis.ModelConfig{
		ID: c.ID, Provider: p, Doer: d, Lens: lens, FiguresOnly: figuresOnly, Timeout: c.Timeout, HourlyCalls: c.HourlyCalls,
		MicroUSDPerInputToken: c.InputPrice, MicroUSDPerOutputToken: c.OutputPrice,
	})
}
