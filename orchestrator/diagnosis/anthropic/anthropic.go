// Package anthropic speaks the Messages API of Anthropic: POST /v1/messages with
// the headers x-api-key and anthropic-version, and an answer held to a JSON Schema
// by output_config.format.
package anthropic

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
)

const (
	// BaseURL is where the API is.
	BaseURL = "https://api.anthropic.com"
	version = "2023-06-01"

	// maxTokens bounds an answer, and what a model thinks before it where that counts.
	maxTokens = 4096
)

// Config says which model is asked.
type Config struct {
	// BaseURL is [BaseURL] when empty, without /v1/messages.
	BaseURL string
	// Model is the model's id. Key is the API key.
	Model, Key string
	// Unstructured leaves output_config out, for models and servers that do not
	// know it. The answer is checked all the same.
	Unstructured bool
}

// Provider implements [diagnosis.Provider].
type Provider struct{ cfg Config }

// New makes a Provider, or says what is missing.
func New(cfg Config) (*Provider, error) {
	if cfg.Model == "" {
		return nil, errors.New("model is missing: name the model, as the provider lists it")
	}
	if cfg.Key == "" {
		return nil, errors.New("the API key is missing")
	}
	if cfg.BaseURL == "" {
		cfg.BaseURL = BaseURL
	}
	return &Provider{cfg}, nil
}

// Name implements [diagnosis.Provider].
func (p *Provider) Name() string { return "anthropic" }

// Model implements [diagnosis.Provider].
func (p *Provider) Model() string { return p.cfg.Model }

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

type outputConfig struct {
	Format format `json:"format"`
}

type format struct {
	Type   string          `json:"type"`
	Schema json.RawMessage `json:"schema"`
}

// Request implements [diagnosis.Provider].
func (p *Provider) Request(prompt diagnosis.Prompt) (diagnosis.Request, error) {
	body := struct {
		Model        string        `json:"model"`
		MaxTokens    int           `json:"max_tokens"`
		System       string        `json:"system"`
		Messages     []message     `json:"messages"`
		OutputConfig *outputConfig `json:"output_config,omitempty"`
	}{
		Model: p.cfg.Model, MaxTokens: maxTokens, System: prompt.System,
		Messages: []message{{Role: "user", Content: prompt.User}},
	}
	if !p.cfg.Unstructured {
		body.OutputConfig = &outputConfig{format{"json_schema", prompt.Schema}}
	}
	data, err := json.Marshal(body)
	if err != nil {
		return diagnosis.Request{}, err
	}
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set("X-Api-Key", p.cfg.Key)
	h.Set("Anthropic-Version", version)
	return diagnosis.Request{URL: strings.TrimRight(p.cfg.BaseURL, "/") + "/v1/messages", Header: h, Body: data}, nil
}

// Read implements [diagnosis.Provider].
func (p *Provider) Read(body []byte) (diagnosis.Reply, error) {
	var res struct {
		Type    string `json:"type"`
		Model   string `json:"model"`
		Content []struct {
			Type string `json:"type"`
			Text string `json:"text"`
		} `json:"content"`
		StopReason string `json:"stop_reason"`
		Usage      struct {
			Input  int `json:"input_tokens"`
			Output int `json:"output_tokens"`
		} `json:"usage"`
	}
	if err := json.Unmarshal(body, &res); err != nil {
		return diagnosis.Reply{}, errors.New("the response is not JSON of the Messages API")
	}
	r := diagnosis.Reply{Model: res.Model, InputTokens: res.Usage.Input, OutputTokens: res.Usage.Output}
	switch {
	case res.Type != "message":
		return r, fmt.Errorf("the response is of type %.40q, not a message", res.Type)
	case res.StopReason == "refusal":
		return r, errors.New("the model refuses to answer")
	case res.StopReason == "max_tokens":
		return r, fmt.Errorf("the answer is longer than the %d tokens allowed", maxTokens)
	}
	for _, c := range res.Content {
		if c.Type == "text" {
			r.Text += c.Text
		}
	}
	if r.Text == "" {
		return r, errors.New("the message has no text")
	}
	return r, nil
}

// Problem implements [diagnosis.Provider]: {"type":"error","error":{"type","message"}}.
func (p *Provider) Problem(body []byte) string {
	var res struct {
		Error struct {
			Type    string `json:"type"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &res) != nil || res.Error.Type == "" {
		return ""
	}
	return diagnosis.Inert(res.Error.Type+", "+res.Error.Message, 200)
}
