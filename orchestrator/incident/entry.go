package incident

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Entry is one step as the ledger keeps it.
type Entry struct {
	V          int       `json:"v"`
	Kind       string    `json:"kind"`
	Time       time.Time `json:"time"`
	TenantID   string    `json:"tenant_id"`
	Service    string    `json:"service"`
	Instance   string    `json:"instance,omitempty"`
	IncidentID string    `json:"incident_id,omitempty"`
	Stage      Stage     `json:"stage,omitempty"`
	Actor      string    `json:"actor"`
	Decision   string    `json:"decision,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	// Confidence is a diagnosis's, null otherwise.
	Confidence    *float64       `json:"confidence"`
	PolicyVersion string         `json:"policy_version"`
	PolicyDigest  string         `json:"policy_digest"`
	ActionDigest  string         `json:"action_digest,omitempty"`
	Evidence      []Evidence     `json:"evidence,omitempty"`
	Metadata      map[string]any `json:"metadata,omitempty"`
}

// Evidence names a blob of the ledger.
type Evidence struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"` // hex
	Len    int    `json:"len"`
}

// Indexed is an entry and its number in the ledger.
type Indexed struct {
	Index uint64 `json:"index"`
	Entry Entry  `json:"entry"`
}

// Draft is an entry that is to be appended, with its blobs.
type Draft struct {
	Entry Entry
	Blobs [][]byte
}

const (
	entryVersion = 1
	// maxLeaf is what one entry has at most, in bytes.
	maxLeaf = math.MaxUint16
	// digestPrefix comes before the hexadecimal digits of a policy's digest.
	digestPrefix = "sha256:"
)

// ParseEntry reads a leaf of the ledger. It is false, without an error, for a
// leaf of a kind that is none of ours. An error says what is wrong with one
// that is; what holds only among entries is for [State.Apply].
//
// The leaf must be one that a ledger has taken: a JSON object no member of
// which is there twice. Members unknown to this version are ignored.
func ParseEntry(leaf []byte) (Entry, bool, error) {
	kind, ok := leadingKind(leaf)
	if !ok {
		// encoding/json matches the names of a struct in any case, and those of
		// a map exactly.
		var raw map[string]json.RawMessage
		if err := json.Unmarshal(leaf, &raw); err != nil {
			return Entry{}, false, fmt.Errorf("the entry is not a JSON object: %w", err)
		}
		if json.Unmarshal(raw["kind"], &kind) != nil {
			return Entry{}, false, nil
		}
	}
	if !isOurs(kind) {
		return Entry{}, false, nil
	}
	var e Entry
	if err := json.Unmarshal(leaf, &e); err != nil {
		return Entry{}, true, fmt.Errorf("the %s entry cannot be read: %w", clean(kind, maxName), err)
	}
	if name := miswritten(leaf); name != "" {
		return Entry{}, true, &IllegalError{
			Text: "a member of the entry is written in other letters than it has to be", Expected: strings.ToLower(name), Found: clean(name, maxName),
		}
	}
	return e, true, e.check()
}

// leadingKind is the kind of a leaf that begins with it, as nearly all do: so
// that the many entries of others cost little.
func leadingKind(leaf []byte) (string, bool) {
	rest, ok := bytes.CutPrefix(leaf, []byte(`{"v":1,`))
	if !ok {
		rest, ok = bytes.CutPrefix(leaf, []byte(`{`))
	}
	rest, found := bytes.CutPrefix(rest, []byte(`"kind":"`))
	end := bytes.IndexAny(rest, `"\`)
	if !ok || !found || end < 0 || rest[end] != '"' {
		return "", false
	}
	return string(rest[:end]), true
}

// Leaf is the entry as the ledger keeps it: a JSON object of at most 65,535
// bytes. An entry that [ParseEntry] would not take is an error.
func (e Entry) Leaf() ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	leaf, err := marshal(e)
	if err != nil {
		return nil, fmt.Errorf("the %s entry cannot be written: %w", e.Kind, err)
	}
	if len(leaf) > maxLeaf {
		return nil, fmt.Errorf("the %s entry has %d bytes: at most %d are allowed", e.Kind, len(leaf), maxLeaf)
	}
	return leaf, nil
}

// marshal writes JSON that people read: without escapes for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// IllegalError is a step that must not be. Expected and Found say which there
// could have been and which there was; either may be empty.
type IllegalError struct{ Text, Expected, Found string }

func (e *IllegalError) Error() string {
	text := e.Text
	if e.Expected != "" {
		text += "; expected " + e.Expected
	}
	if e.Found != "" {
		text += "; found " + e.Found
	}
	return text
}

// check says what is wrong with an entry in itself.
func (e Entry) check() error {
	if e.V != entryVersion {
		return &IllegalError{"the entry has a version that this program does not know", fmt.Sprint(entryVersion), fmt.Sprint(e.V)}
	}
	allowed, known := actors[e.Kind]
	if !known {
		return &IllegalError{"the entry is of a kind that this program does not know", "", clean(fmt.Sprintf("%q", e.Kind), maxName)}
	}
	if e.Time.IsZero() {
		return fmt.Errorf("the %s entry has no time", e.Kind)
	}
	for _, name := range []struct{ member, value string }{
		{"tenant_id", e.TenantID}, {"service", e.Service},
	} {
		if name.value == "" || len(name.value) > maxName {
			return &IllegalError{fmt.Sprintf("the %s entry does not say whose it is", e.Kind), fmt.Sprintf("%s of 1 to %d bytes", name.member, maxName), fmt.Sprintf("%d bytes", len(name.value))}
		}
	}
	if !isAllowed(e.Actor, allowed) {
		return &IllegalError{fmt.Sprintf("the %s entry is by somebody who may not take this step", e.Kind), strings.Join(allowed, " or "), actorName(e.Actor)}
	}
	if !isDigest(e.PolicyDigest) {
		return &IllegalError{fmt.Sprintf("the %s entry names no policy", e.Kind), "policy_digest of sha256: and 64 hexadecimal digits", clean(fmt.Sprintf("%q", e.PolicyDigest), maxName)}
	}
	if err := e.checkStage(); err != nil {
		return err
	}
	return e.checkMetadata()
}

func isAllowed(actor string, allowed []string) bool {
	for _, a := range allowed {
		prefix, wild := strings.CutSuffix(a, "*")
		who, ok := strings.CutPrefix(actor, prefix)
		if wild && ok && strings.TrimSpace(who) != "" || a == actor && !wild {
			return true
		}
	}
	return false
}

func actorName(actor string) string {
	if actor == "" || strings.TrimSpace(actor) == humanPrefix || strings.TrimSpace(actor) == diagnosisPrefix {
		return "nobody"
	}
	return clean(actor, maxName)
}

func isDigest(digest string) bool {
	digits, ok := strings.CutPrefix(digest, digestPrefix)
	sum, err := hex.DecodeString(digits)
	return ok && err == nil && len(sum) == 32
}

// checkStage compares the stage and the incident with the kind.
func (e Entry) checkStage() error {
	ofIncident := strings.HasPrefix(e.Kind, "incident.") || strings.HasPrefix(e.Kind, "approval.") || e.Kind == KindDiagnosed
	if ofIncident || e.IncidentID != "" {
		if _, err := parseID(e.IncidentID); err != nil {
			return err
		}
	}
	if isStage(e.Kind) {
		if KindOf(e.Stage) != e.Kind {
			return &IllegalError{
				"the stage is not the one of the entry's kind",
				strings.ToUpper(strings.TrimPrefix(e.Kind, "incident.")), clean(fmt.Sprintf("%q", e.Stage), maxName),
			}
		}
		return nil
	}
	if e.Stage != "" && !e.Stage.known() {
		return &IllegalError{fmt.Sprintf("the %s entry has a stage that there is not", e.Kind), "", clean(fmt.Sprintf("%q", e.Stage), maxName)}
	}
	return nil
}

// checkMetadata looks for what the fold needs of each kind.
func (e Entry) checkMetadata() error {
	var ok bool
	want := ""
	switch e.Kind {
	case KindTargetDown, KindTargetUp, KindTargetFlapping, KindTargetSteady:
		want, ok = fmt.Sprintf("metadata.target of 1 to %d bytes", maxName), isName(e.text("target"))
	case KindMarked:
		want = `metadata.verdict "false_alarm" or "confirmed"`
		ok = e.text("verdict") == FalseAlarm || e.text("verdict") == Confirmed
	case KindJoined:
		want, ok = fmt.Sprintf("metadata.key of 1 to %d bytes", maxName), isName(e.text("key"))
	case KindShadowOn, KindShadowOff:
		want = `metadata.previous "on" or "off"`
		ok = e.text("previous") == "on" || e.text("previous") == "off"
	case KindEffectSuppressed:
		want, ok = "metadata.suppressed_action", e.text("suppressed_action") != ""
	case KindEffectDue:
		want, ok = "metadata.effect", e.text("effect") != ""
	case KindEffectReceipt:
		_, ok = e.effects()
		want = fmt.Sprintf("metadata.effect_indices, 1 to %d numbers of entries", maxEffects)
	case KindAsked, KindOffered, KindApproved, KindRefused, KindOf(Authorized), KindOf(Rejected):
		_, ok = e.Metadata[approvalMember].(map[string]any)
		want = "metadata.approval"
	case KindDiagnosed:
		_, ok = e.Metadata[diagnosisMember].(map[string]any)
		want = "metadata.diagnosis"
	case KindOf(Executed):
		want, ok = fmt.Sprintf("metadata.execution with a key of 1 to %d bytes", maxName), isName(e.execution().Key)
	default:
		return nil
	}
	if !ok {
		return &IllegalError{fmt.Sprintf("the %s entry lacks what it has to say", e.Kind), want, ""}
	}
	return nil
}

func isName(name string) bool { return name != "" && len(name) <= maxName }

// text is a string of the metadata, empty when there is none.
func (e Entry) text(name string) string {
	s, _ := e.Metadata[name].(string)
	return s
}

// errNoID is what is wrong with an incident's name.
var errNoID = errors.New("the incident's id is not of the form inc-<6 hexadecimal digits>-<unix seconds>")
