package notify

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/countersign-dev/countersign/orchestrator/egress"
)

// Trial is what came of trying a channel out.
type Trial struct {
	Channel string `json:"channel"`
	Kind    string `json:"kind"`
	Sent    bool   `json:"sent"`
	// Held says that nothing is known to be wrong: shadow mode held it back.
	Held      bool   `json:"held_back"`
	Reference string `json:"reference,omitempty"`
	Note      string `json:"note,omitempty"`
	Problem   string `json:"problem,omitempty"`
	Mend      string `json:"mend,omitempty"`
}

// Try sends a message over each channel, that of the same index, all at once, and
// returns what came of it in the same order. Each message gets an id of its own.
func Try(ctx context.Context, channels []Channel, messages []Message) []Trial {
	trials := make([]Trial, len(channels))
	var all sync.WaitGroup
	for i, c := range channels {
		all.Go(func() {
			own := messages[i]
			own.ID += "-" + c.Name()
			trials[i] = try(ctx, c, own)
		})
	}
	all.Wait()
	return trials
}

func try(ctx context.Context, c Channel, m Message) Trial {
	t := Trial{Channel: c.Name(), Kind: c.Kind()}
	receipt, err := c.Send(ctx, m)
	if err == nil {
		t.Sent, t.Reference, t.Note = true, receipt.Reference, receipt.Note
		return t
	}
	t.Problem = err.Error()
	if e, ok := errors.AsType[*Error](err); ok {
		t.Problem, t.Mend = e.Text, e.Mend
	}
	t.Held = errors.Is(err, egress.ErrShadow)
	return t
}

// String is the trial in a line.
func (t Trial) String() string {
	if t.Held {
		return fmt.Sprintf("%s (%s): %s", t.Channel, t.Kind, t.Problem)
	}
	if !t.Sent {
		s := fmt.Sprintf("%s (%s): FAILED: %s", t.Channel, t.Kind, t.Problem)
		if t.Mend != "" {
			s += "; " + t.Mend
		}
		return s
	}
	s := fmt.Sprintf("%s (%s): sent", t.Channel, t.Kind)
	if t.Reference != "" {
		s += " as " + t.Reference
	}
	if t.Note != "" {
		s += " (" + t.Note + ")"
	}
	return s
}
