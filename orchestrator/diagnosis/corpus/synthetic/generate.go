package synthetic

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"github.com/countersign-dev/countersign/orchestrator/change"
	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
	"github.com/countersign-dev/countersign/orchestrator/diagnosis/corpus"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// Names are the kinds of faults.
func Names() []string {
	var all []string
	for _, s := range scenarios {
		all = append(all, s.name)
	}
	return all
}

// attempts is how often parameters are drawn until an incident opens.
const attempts = 8

// Pair is an incident twice: when it has just opened, and half a minute later,
// when it is validated and people are asked.
type Pair struct{ Opened, Validated corpus.Recording }

// Generate makes recordings of a kind of fault with the parameters of a seed. The
// same seed gives the same recordings.
func Generate(name string, seed uint64) (Pair, error) {
	for _, one := range scenarios {
		if one.name != name {
			continue
		}
		for try := range uint64(attempts) {
			if r, ok, err := record(one, seed, try); ok || err != nil {
				return r, err
			}
		}
		return Pair{}, fmt.Errorf("%s with seed %d: no incident opens in %d attempts", name, seed, attempts)
	}
	return Pair{}, fmt.Errorf("there is no scenario %q", name)
}

// validation is how long after its opening an incident is looked at again.
const validation = 30

func record(one scenario, seed, try uint64) (Pair, bool, error) {
	rng := rand.New(rand.NewPCG(seed, try*1_000_003+uint64(len(one.name))))
	s := &scene{service: newService(rng), rng: rng, length: 180}
	s.fault.at = float64(260 + rng.IntN(60))
	one.draw(s)
	s.surround()
	end := s.fault.at + s.length
	s.run(end + validation)

	x := newSensor(s.service)
	if rng.IntN(2) == 0 {
		x.checks = s.checks
	}
	var pair Pair
	opened := 0.0
	for t := float64(tick); t <= end+validation; t += tick {
		o := x.step(t)
		opens := opened == 0 && t >= s.fault.at && o.decision.Breached
		if !opens && (opened == 0 || t != opened+validation) {
			continue
		}
		o.signals, o.changes = x.signals(), s.changes
		r, err := recordingOf(one, seed, s, o)
		if err != nil {
			return pair, false, err
		}
		if opened == 0 {
			opened = t
			r.Name, r.Expected = r.Name+"-opened", append(r.Expected, s.atFirst...)
			pair.Opened = r
			continue
		}
		pair.Validated = r
		return pair, true, nil
	}
	return pair, false, nil
}

func recordingOf(one scenario, seed uint64, s *scene, o observed) (corpus.Recording, error) {
	r := corpus.Recording{
		V: corpus.Version, Name: fmt.Sprintf("%s-%d", one.name, seed), Made: "generated",
		How:      fmt.Sprintf("model of %d routes at %.0f requests a second, fault %s, seed %d", len(s.routes), s.rate, one.name, seed),
		Expected: s.expected, Service: "model", Documents: map[string]json.RawMessage{}, Blobs: map[string][]byte{},
	}
	for name, v := range map[string]any{
		incident.DecisionFile: incident.Record{V: 1, Before: o.before, Input: o.input, Decision: o.decision},
		incident.RoutesFile:   health.RoutesOf(o.window), incident.ChangesFile: append([]change.Change{}, o.changes...),
		diagnosis.SignalsFile: o.signals,
	} {
		data, err := json.Marshal(v)
		if err != nil {
			return r, fmt.Errorf("%s: %w", name, err)
		}
		r.Documents[name] = data
	}
	data, err := o.window.Overall.Durations.EncodeV2()
	if err != nil {
		return r, err
	}
	r.Blobs[incident.WindowFile] = data
	return r, nil
}
