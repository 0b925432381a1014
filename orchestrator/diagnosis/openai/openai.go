// Package openai speaks OpenAI's chat completions: POST /chat/completions below
// the base URL, with a bearer token, and an answer held to a JSON Schema by
// response_format. Local servers that are compatible speak it too.
package openai

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
	BaseURL = "https://api.openai.com/v1"

	// maxTokens bounds an answer, and what a model thinks before it where that counts.
	maxTokens = 4096
)

// Config says which model is asked.
type Config struct {
	// BaseURL is [BaseURL] when empty, without /chat/completions.
	BaseURL string
	// Model is the model's id. Key is the API key, empty for a server that wants none.
	Model, Key string
	// Unstructured is for servers that do not know response_format, nor that the bound
	// is called max_completion_tokens and no longer max_tokens. The answer is checked
	// all the same.
	Unstructured bool
}

// Provider implements [diagnosis.Provider].
type Provider struct{ cfg Config }

// New makes a Provider, or says what is missing.
func New(cfg Config) (*Provider, error) {
	if cfg.Model == "" {
		return nil, errors.New("model is missing: name the model, as the provider lists it")
	}
	if cfg.BaseURL == "" {
		cfg.BaseURL = BaseURL
		if cfg.Key == "" {
			return nil, errors.New("the API key is missing: only a server of one's own, at a base URL, can do without")
		}
	}
	return &Provider{cfg}, nil
}

// Name implements [diagnosis.Provider].
func (p *Provider) Name() string { return "openai" }

// Model implements [diagnosis.Provider].
func (p *Provider) Model() string { return p.cfg.Model }

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

type responseFormat struct {
	Type       string     `json:"type"`
	JSONSchema jsonSchema `json:"json_schema"`
}

type jsonSchema struct {
	Name   string          `json:"name"`
	Strict bool            `json:"strict"`
	Schema json.RawMessage `json:"schema"`
}

// Request implements [diagnosis.Provider].
func (p *Provider) Request(prompt diagnosis.Prompt) (diagnosis.Request, error) {
	body := struct {
		Model    string          `json:"model"`
		Messages []message       `json:"messages"`
		Limit    int             `json:"max_completion_tokens,omitempty"`
		OldLimit int             `json:"max_tokens,omitempty"`
		Format   *responseFormat `json:"response_format,omitempty"`
	}{
		Model:    p.cfg.Model,
		Messages: []message{{"system", prompt.System}, {"user", prompt.User}},
	}
	if p.cfg.Unstructured {
		body.OldLimit = maxTokens
	} else {
		body.Limit = maxTokens
		body.Format = &responseFormat{"json_schema", jsonSchema{"diagnosis", true, prompt.Schema}}
	}
	data, err := json.Marshal(body)
	if err != nil {
		return diagnosis.Request{}, err
	}
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	if p.cfg.Key != "" {
		h.Set("Authorization", "Bearer "+p.cfg.Key)
	}
	return diagnosis.Request{URL: strings.TrimRight(p.cfg.BaseURL, "/") + "/chat/completions", Header: h, Body: data}, nil
}

// Read implements [diagnosis.Provider].
func (p *Provider) Read(body []byte) (diagnosis.Reply, error) {
	var res struct {
		Model   string `json:"model"`
		Choices []struct {
			Message struct {
				Content *string `json:"content"`
				Refusal *string `json:"refusal"`
			} `json:"message"`
			FinishReason string `json:"finish_reason"`
		} `json:"choices"`
		Usage struct {
			Prompt     int `json:"prompt_tokens"`
			Completion int `json:"completion_tokens"`
		} `json:"usage"`
	}
	if err := json.Unmarshal(body, &res); err != nil {
		return diagnosis.Reply{}, errors.New("the response is not JSON of chat completions")
	}
	r := diagnosis.Reply{Model: res.Model, InputTokens: res.Usage.Prompt, OutputTokens: res.Usage.Completion}
	if len(res.Choices) == 0 {
		return r, errors.New("the response has no choice")
	}
	c := res.Choices[0]
	switch {
	case c.Message.Refusal != nil && *c.Message.Refusal != "":
		return r, errors.New("the model refuses to answer")
	case c.FinishReason == "length":
		return r, fmt.Errorf("the answer is longer than the %d tokens allowed", maxTokens)
	case c.FinishReason == "content_filter":
		return r, errors.New("the provider's filter has cut the answer")
	case c.Message.Content == nil || *c.Message.Content == "":
		return r, errors.New("the message has no text")
	}
	r.Text = *c.Message.Content
	return r, nil
}

// Problem implements [diagnosis.Provider]: {"error":{"message","type","code"}}.
func (p *Provider) Problem(body []byte) string {
	var res struct {
		Error struct {
			Message string `json:"message"`
			Type    string `json:"type"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &res) != nil || res.Error.Message == "" && res.Error.Type == "" {
		return ""
	}
	return diagnosis.Inert(strings.Trim(res.Error.Type+", "+res.Error.Message, ", "), 200)
}
