package diagnosis

import (
	"context"
	"time"
)

// Diagnoser explains an incident. Diagnose must return when ctx ends, and is safe
// for concurrent use. It does not fail: what went wrong is a part of the opinion.
type Diagnoser interface {
	Name() string
	Diagnose(ctx context.Context, e *Evidence) Opinion
}

// Opinion is what became of asking a diagnoser.
type Opinion struct {
	Diagnoser string `json:"diagnoser"`
	Lens      Lens   `json:"lens,omitempty"`
	Model     string `json:"model,omitempty"`
	// Answer is nil when there is none; Problem says why, in a sentence. Both are
	// there when an invalid answer was put right by the second attempt.
	Answer  *Answer `json:"answer"`
	Problem string  `json:"problem,omitempty"`
	// PromptDigest is that of what was sent, empty when nothing was.
	PromptDigest string `json:"prompt_digest,omitempty"`
	// Attempts counts the requests that were sent, for rules and the like the questions.
	Attempts int           `json:"attempts"`
	Latency  time.Duration `json:"latency_ns"`
	Cost     Cost          `json:"cost,omitzero"`
}

// Cost is what the answers took.
type Cost struct {
	InputTokens  int `json:"input_tokens,omitempty"`
	OutputTokens int `json:"output_tokens,omitempty"`
	// MicroUSD is by the configured prices, 0 when there are none.
	MicroUSD int64 `json:"micro_usd,omitempty"`
}

func (c Cost) plus(o Cost) Cost {
	return Cost{c.InputTokens + o.InputTokens, c.OutputTokens + o.OutputTokens, c.MicroUSD + o.MicroUSD}
}

// Lens is what a model is told to look at most.
type Lens string

// The lenses.
const (
	LatencyLens Lens = "latency_and_database"
	NetworkLens Lens = "network_and_dependencies"
)
