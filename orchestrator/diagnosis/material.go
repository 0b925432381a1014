package diagnosis

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/orchestrator/change"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// The names of the evidence of an incident that is read here.
const (
	decisionFile = "decision.json"
	windowFile   = "window.hdr"
	routesFile   = "routes.json"
	changesFile  = "changes.json"
	// SignalsFile is the name that [Signals] have as evidence.
	SignalsFile = "signals.json"
)

// Material is what an incident records of its detection, and what is known
// besides. All of it but Input may be missing.
type Material struct {
	Service, IncidentID string
	// Before, Input and Decision are the policy's.
	Before   policy.State
	Input    policy.Input
	Decision policy.Decision
	// Window are the durations of the measured window, Routes its figures by route.
	Window *histogram.Counts
	Routes []health.Route
	// Changes came before the incident, newest first.
	Changes []change.Change
	Signals *Signals
	// Earlier incidents have the same signature, newest first: [Memory.Like] finds them.
	Earlier []Earlier
	// Actions are the names of the catalogue.
	Actions []string
}

// maxFile bounds each file that Read takes, in bytes.
const maxFile = 1 << 20

// Read makes the material of the evidence that an incident has recorded. file
// returns the content of one, nil when there is none; only decision.json must be
// there. The content may come from anywhere.
func Read(file func(name string) []byte) (Material, error) {
	var m Material
	var record struct {
		Before   policy.State    `json:"before"`
		Input    policy.Input    `json:"input"`
		Decision policy.Decision `json:"decision"`
	}
	data := file(decisionFile)
	if data == nil {
		return m, fmt.Errorf("there is no %s: without the decision there is nothing to diagnose", decisionFile)
	}
	if err := decode(decisionFile, data, &record); err != nil {
		return m, err
	}
	m.Before, m.Input, m.Decision = record.Before, record.Input, record.Decision
	for _, part := range []struct {
		name string
		into any
	}{{routesFile, &m.Routes}, {changesFile, &m.Changes}, {SignalsFile, &m.Signals}} {
		if data := file(part.name); data != nil {
			if err := decode(part.name, data, part.into); err != nil {
				return m, err
			}
		}
	}
	if data := file(windowFile); data != nil {
		counts, err := histogram.DecodeV2(data)
		if err != nil {
			return m, fmt.Errorf("%s cannot be read: %w", windowFile, err)
		}
		m.Window = counts
	}
	return m, nil
}

func decode(name string, data []byte, into any) error {
	if len(data) > maxFile {
		return fmt.Errorf("%s has %d bytes, and %d are the most", name, len(data), maxFile)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s cannot be read: %w", name, err)
	}
	return nil
}

// begin is when the incident was detected.
func (m *Material) begin() time.Time { return m.Input.Time }
