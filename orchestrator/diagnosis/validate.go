package diagnosis

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Bounds of an answer that a model gives.
const (
	maxAnswer = 16 << 10 // bytes of its JSON
	maxPhrase = 600      // bytes of a text; longer ones are cut
	maxCited  = 24
)

// ReadAnswer reads a model's answer and checks it against the evidence: its
// members and no others, a cause of the list, facts that exist, an action of the
// catalogue or none, a confidence between 0 and 1. The texts are rendered inert.
// The error says what is wrong with it.
func ReadAnswer(text string, e *Evidence) (Answer, error) {
	if len(text) > maxAnswer {
		return Answer{}, fmt.Errorf("the answer has %d bytes, and %d are the most", len(text), maxAnswer)
	}
	var given struct {
		Cause      *Cause    `json:"cause"`
		Hypothesis *string   `json:"hypothesis"`
		Facts      *[]string `json:"facts"`
		CheckFirst *string   `json:"check_first"`
		Action     *string   `json:"action"`
		Confidence *float64  `json:"confidence"`
	}
	d := json.NewDecoder(bytes.NewReader([]byte(unfenced(text))))
	d.DisallowUnknownFields()
	if err := d.Decode(&given); err != nil {
		return Answer{}, fmt.Errorf("the answer is not the JSON object that was asked for: %s", Inert(err.Error(), maxText))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Answer{}, errors.New("something follows the JSON object of the answer")
	}
	switch {
	case given.Cause == nil || given.Hypothesis == nil || given.Facts == nil || given.CheckFirst == nil || given.Confidence == nil:
		return Answer{}, errors.New("the answer lacks a member: cause, hypothesis, facts, check_first and confidence must be there")
	case !given.Cause.Valid():
		return Answer{}, fmt.Errorf("the cause %q is none of the list", Inert(string(*given.Cause), 60))
	case math.IsNaN(*given.Confidence) || *given.Confidence < 0 || *given.Confidence > 1:
		return Answer{}, fmt.Errorf("the confidence %v does not lie between 0 and 1", *given.Confidence)
	}
	a := Answer{
		Cause: *given.Cause, Hypothesis: foreign(*given.Hypothesis, maxPhrase), CheckFirst: foreign(*given.CheckFirst, maxPhrase),
		Facts: []string{}, Confidence: *given.Confidence,
	}
	for _, id := range *given.Facts {
		if !e.Has(id) {
			return Answer{}, fmt.Errorf("the fact %q does not exist", Inert(id, 20))
		}
		if !slices.Contains(a.Facts, id) {
			a.Facts = append(a.Facts, id)
		}
	}
	switch {
	case len(a.Facts) > maxCited:
		return Answer{}, fmt.Errorf("the answer cites %d facts, and %d are the most", len(a.Facts), maxCited)
	case a.Cause != Unknown && len(a.Facts) == 0:
		return Answer{}, errors.New("the answer names a cause and cites no fact")
	case a.Cause != Unknown && a.Hypothesis == "":
		return Answer{}, errors.New("the answer names a cause and says nothing of it")
	}
	if given.Action != nil && *given.Action != "" {
		i := slices.Index(cleaned(e.Actions), *given.Action)
		if i < 0 {
			return Answer{}, fmt.Errorf("the action %q is none of the catalogue", Inert(*given.Action, 60))
		}
		a.Action = e.Actions[i]
	}
	return a, nil
}

// unfenced is the text without a fence of Markdown around it, which some models
// put there in spite of what they are asked for.
func unfenced(s string) string {
	s = strings.TrimSpace(s)
	if rest, ok := strings.CutPrefix(s, "```"); ok {
		rest = strings.TrimPrefix(rest, "json")
		if body, ok := strings.CutSuffix(rest, "```"); ok {
			return strings.TrimSpace(body)
		}
	}
	return s
}
