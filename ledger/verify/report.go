package verify

import (
	"context"
	"errors"
	"fmt"
)

// A Code is a verdict, and the exit code of the command that gives it.
type Code int

const (
	Verified     Code = 0 // everything that was asked holds; how far that goes is the Tier
	Tampered     Code = 1 // something is there and is not what was signed
	Usage        Code = 2 // the question was wrong: no ledger, no key, a newer format
	Incomplete   Code = 3 // something that belongs to the log is absent
	Rollback     Code = 4 // the log contradicts a checkpoint of it that was kept
	Invalid      Code = 5 // all of it is as signed, but the entries break a rule
	AnchorAbsent Code = 6 // a required anchor or witness quorum is absent
	Internal     Code = 7 // interrupted, or out of disk
)

// verdicts are the codes in a word, and in a sentence.
var verdicts = [...]struct{ word, meaning string }{
	Verified:     {"VERIFIED", "all that was asked holds"},
	Tampered:     {"TAMPERED", "something is there that is not as it was signed"},
	Usage:        {"USAGE", "this could not be verified as it was asked for"},
	Incomplete:   {"INCOMPLETE", "something that belongs to the log is absent or cannot be read"},
	Rollback:     {"ROLLBACK", "the log contradicts an earlier checkpoint of it"},
	Invalid:      {"INVALID", "all entries are as they were signed, but they break a rule"},
	AnchorAbsent: {"ANCHOR_ABSENT", "the log is as it was signed, but an anchor or witnesses that were required are absent"},
	Internal:     {"INTERNAL", "the verification could not be completed, which says nothing of the log"},
}

// String is the verdict in a word: VERIFIED, TAMPERED, USAGE, INCOMPLETE,
// ROLLBACK, INVALID, ANCHOR_ABSENT or INTERNAL.
func (c Code) String() string {
	if c < 0 || int(c) >= len(verdicts) {
		return fmt.Sprintf("CODE-%d", int(c))
	}
	return verdicts[c].word
}

// Meaning is the verdict in a sentence, without a full stop.
func (c Code) Meaning() string {
	if c < 0 || int(c) >= len(verdicts) {
		return "unknown"
	}
	return verdicts[c].meaning
}

// A Tier says how far a proof goes.
type Tier string

const (
	// Unanchored: the log agrees with the checkpoint that came with it. Whoever
	// has its key could have written all of it anew.
	Unanchored Tier = "UNANCHORED"
	// Anchored: the log is also a continuation of a checkpoint that was kept, of
	// Report.AnchoredTo entries.
	Anchored Tier = "ANCHORED"
	// Witnessed: a quorum of witnesses has cosigned a checkpoint of the log, that
	// of Report.WitnessedTo entries; for later ones they do not vouch.
	Witnessed Tier = "WITNESSED"
)

// A Report is the outcome of a verification.
type Report struct {
	Code    Code   `json:"code"`
	Verdict string `json:"verdict"`        // the code in a word: VERIFIED, TAMPERED, …
	Tier    Tier   `json:"tier,omitempty"` // none unless all of the log is as it was signed

	Origin string `json:"origin,omitempty"` // the log's name
	Size   uint64 `json:"size"`             // entries that the checkpoint speaks of
	Root   string `json:"root,omitempty"`   // of the checkpoint, base64
	Signed bool   `json:"signed"`           // the checkpoint's signature holds, under Key

	Key       string `json:"key,omitempty"`       // the verifier key that signed the checkpoint
	OwnKey    bool   `json:"own_key"`             // no key was given: it is the one the log names itself
	GivenKey  string `json:"given_key,omitempty"` // the given key that Key follows from, where it is another
	Rotations int    `json:"rotations"`           // how often the log changed its key

	AnchoredTo  uint64   `json:"anchored_to"`         // size of the largest kept checkpoint that the log continues
	WitnessedTo uint64   `json:"witnessed_to"`        // size of the checkpoint with the witnesses' quorum
	Witnesses   []string `json:"witnesses,omitempty"` // names of those whose cosignatures hold

	Entries  uint64  `json:"entries"`         // entries checked
	Blobs    uint64  `json:"blobs"`           // distinct blobs checked
	ProvenTo uint64  `json:"proven_to"`       // entries [0, ProvenTo) are those that the checkpoint signs
	Index    *uint64 `json:"index,omitempty"` // of the one entry that a proof is about

	Problem *Problem `json:"problem,omitempty"` // the first one found, nil when verified
	Notes   []string `json:"notes,omitempty"`   // what a reader should know and is no problem
}

// A Problem is the first thing found that is not as it should be.
type Problem struct {
	Index    *uint64    `json:"index,omitempty"`    // of the entry, where it is one
	Range    *[2]uint64 `json:"range,omitempty"`    // first and last entry concerned, where it cannot be narrowed to one
	Resource string     `json:"resource,omitempty"` // path of the file
	Text     string     `json:"text"`
	Expected string     `json:"expected,omitempty"`
	Found    string     `json:"found,omitempty"`
}

// Failed is the report when the source or the proof could not even be opened.
func Failed(err error) *Report {
	r := &Report{}
	var s *SourceError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		r.finish(fail(Internal, "", "interrupted"))
	case errors.As(err, &s):
		r.finish(fail(s.Code, "", "%s", s))
	default:
		r.finish(fail(Internal, "", "%s", err))
	}
	return r
}

// finish sets the verdict, which follows from the problem found or from there
// being none.
func (r *Report) finish(f *failure) {
	if f != nil {
		r.Code, r.Problem = f.code, &f.Problem
	}
	r.Verdict = r.Code.String()
	switch r.Code {
	case Verified, Invalid, AnchorAbsent:
		r.Tier = r.reached()
	}
}

// reached is the tier of a log that is as it was signed.
func (r *Report) reached() Tier {
	switch {
	case !r.Signed:
		return ""
	case r.WitnessedTo > 0:
		return Witnessed
	case r.AnchoredTo > 0:
		return Anchored
	default:
		return Unanchored
	}
}
