package incident

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/countersign-dev/countersign/orchestrator/change"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// Names of the evidence.
const (
	DecisionFile = "decision.json" // a Record: all that is needed to decide again
	WindowFile   = "window.hdr"    // the durations of the window, HdrHistogram V2 compressed
	RoutesFile   = "routes.json"   // []health.Route
	PolicyFile   = "policy.json"   // the policy in its canonical form
	ChangesFile  = "changes.json"  // []change.Change, newest first
	SignalsFile  = "signals.json"  // what the sensor showed before, for diagnosis
	DocumentFile = "document.json" // the health document of a remote service, as it came
	ActionFile   = "action.json"   // the proposed action in its canonical form
	RequestFile  = "request.json"  // what was sent, but for secrets
	// DiagnosisFile is every answer of a diagnosis, and the facts they rest on.
	DiagnosisFile = "diagnosis.json"
)

// What each blob has at most, in bytes. Together, and with the entries of one
// step, they fit into one call of a ledger, which takes about 600 KB.
const (
	maxDecision = 160 << 10
	maxWindow   = 64 << 10
	maxRoutes   = 48 << 10
	maxPolicy   = policy.MaxBytes
	maxChanges  = 32 << 10
	maxSignals  = 48 << 10
	maxDocument = 48 << 10
)

// How much of a list is kept.
const (
	keptRoutes  = 200
	keptChanges = 20
	keptFiles   = 20
)

// Record is one decision and what it was made of.
type Record struct {
	V        int             `json:"v"`
	Before   policy.State    `json:"before"`
	Input    policy.Input    `json:"input"`
	Decision policy.Decision `json:"decision"`
}

// exhibits collects the evidence of one entry.
type exhibits struct {
	list    []Evidence
	blobs   [][]byte
	omitted []any // names, and why
}

// add adds a blob, or notes that it is too large, with its sum.
func (x *exhibits) add(name string, data []byte, limit int) {
	sum := sha256.Sum256(data)
	if len(data) > limit {
		x.omit(name, fmt.Sprintf("its %d bytes, of the SHA-256 sum %x, are more than the %d that are kept", len(data), sum, limit))
		return
	}
	x.list = append(x.list, Evidence{Name: name, SHA256: hex.EncodeToString(sum[:]), Len: len(data)})
	x.blobs = append(x.blobs, data)
}

func (x *exhibits) addJSON(name string, v any, limit int) {
	data, err := marshal(v)
	if err != nil {
		x.omit(name, clean(err.Error(), maxPhrase))
		return
	}
	x.add(name, data, limit)
}

func (x *exhibits) omit(name, why string) { x.omitted = append(x.omitted, name+": "+why) }

// attach gives the evidence to an entry.
func (x *exhibits) attach(e Entry) Draft {
	e.Evidence = x.list
	if len(x.omitted) > 0 {
		e.Metadata["evidence_omitted"] = x.omitted
	}
	return Draft{Entry: e, Blobs: x.blobs}
}

// record is the decision alone.
func (o Observation) record() *exhibits {
	x := new(exhibits)
	x.addJSON(DecisionFile, Record{V: entryVersion, Before: o.Before, Input: o.Input, Decision: o.Decision}, maxDecision)
	x.add(PolicyFile, o.Policy.Canonical(), maxPolicy)
	return x
}

// addMeasured adds what else an observation shows.
func (o Observation) addMeasured(x *exhibits) {
	if o.Window != nil && o.Window.Overall.Durations != nil {
		data, err := o.Window.Overall.Durations.EncodeV2()
		if err != nil {
			x.omit(WindowFile, clean(err.Error(), maxPhrase))
		} else {
			x.add(WindowFile, data, maxWindow)
		}
	}
	if len(o.Routes) > 0 {
		addList(x, RoutesFile, boundedRoutes(o.Routes), maxRoutes)
	}
	if len(o.Signals) > 0 {
		x.add(SignalsFile, o.Signals, maxSignals)
	}
	if len(o.Document) > 0 {
		x.add(DocumentFile, o.Document, maxDocument)
	}
}

// clone is a copy that can be added to.
func (x exhibits) clone() *exhibits {
	x.list, x.blobs, x.omitted = slices.Clip(x.list), slices.Clip(x.blobs), slices.Clip(x.omitted)
	return &x
}

// addList adds the beginning of a list, as much of it as fits.
func addList[T any](x *exhibits, name string, list []T, limit int) {
	for {
		data, err := json.Marshal(list)
		if err != nil {
			x.omit(name, clean(err.Error(), maxPhrase))
			return
		}
		if len(data) <= limit {
			x.add(name, data, limit)
			return
		}
		list = list[:len(list)/2]
	}
}

func boundedRoutes(routes []health.Route) []health.Route {
	routes = append([]health.Route{}, routes[:min(len(routes), keptRoutes)]...)
	for i := range routes {
		routes[i].Route = clean(routes[i].Route, maxName)
	}
	return routes
}

func boundedChanges(changes []change.Change) []change.Change {
	changes = append([]change.Change{}, changes[:min(len(changes), keptChanges)]...)
	for i := range changes {
		c := &changes[i]
		for _, text := range []*string{&c.ID, &c.Tenant, &c.Source, &c.Kind, &c.Ref, &c.Author, &c.URL} {
			*text = clean(*text, maxName)
		}
		c.Title = clean(c.Title, maxPhrase)
		c.Files, c.Touches = cleanList(c.Files), cleanList(c.Touches)
	}
	return changes
}

func cleanList(list []string) []string {
	var out []string
	for _, text := range list[:min(len(list), keptFiles)] {
		out = append(out, clean(text, maxName))
	}
	return out
}
