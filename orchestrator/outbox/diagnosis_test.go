package outbox

import (
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// diagnosed is the entry of a diagnosis of a stage's evidence.
func diagnosed(of incident.Stage, at time.Time) incident.Entry {
	e := entry(incident.KindDiagnosed, at)
	e.IncidentID, e.Actor = staged(incident.Detected, at).IncidentID, "diagnosis:rules"
	e.Metadata = map[string]any{"diagnosis": map[string]any{"of": string(of), "outcome": "none"}}
	return e
}

const budget = 8 * time.Second

func waiting(t *testing.T) *scene {
	s := newScene(t, ana)
	s.box.rules.Diagnosis = budget
	return s
}

func TestMessageWaitsForItsDiagnosis(t *testing.T) {
	for _, tt := range []struct {
		name string
		then func(*scene)
		sent bool
	}{
		{"none comes", func(*scene) {}, false},
		{"it comes", func(s *scene) { s.add(diagnosed(incident.Detected, s.now)) }, true},
		{"that of another incident comes", func(s *scene) {
			e := diagnosed(incident.Detected, s.now)
			e.IncidentID = "inc-000000-1"
			s.add(e)
		}, false},
		{"the incident ends", func(s *scene) { s.add(staged(incident.Recovered, s.now)) }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := waiting(t)
			opened(s)
			s.want()
			s.pass(budget / 2)
			s.want()
			tt.then(s)
			if !tt.sent {
				s.want()
				s.pass(budget/2 - time.Millisecond)
				s.want()
				s.pass(time.Millisecond)
			}
			s.accept(s.want("ana incident chat"))
			s.settle()
		})
	}
}

// What explains the detection does not explain the validation, which knows more.
func TestValidationWaitsForItsOwnDiagnosis(t *testing.T) {
	s := waiting(t)
	opened(s)
	s.add(diagnosed(incident.Detected, s.now))
	s.accept(s.want("ana incident chat"))
	s.settle()
	s.pass(time.Minute)
	validated(s)
	s.want()
	s.pass(time.Second)
	s.add(diagnosed(incident.Validated, s.now))
	s.accept(s.want("ana validated chat link"))
}

// Whoever reads the ledger anew waits only for what is left.
func TestWaitSurvivesARestart(t *testing.T) {
	s := waiting(t)
	opened(s)
	s.want()
	s.pass(5 * time.Second)
	before := s.box.state
	s.box = NewBox(s.box.contacts, Rules{Diagnosis: budget})
	s.box.state = before // the same entries, and nothing of what was remembered
	s.want()
	s.pass(3*time.Second - time.Millisecond)
	s.want()
	s.pass(time.Millisecond)
	s.want("ana incident chat")
}

// What comes later on the same subject does not overtake.
func TestNothingOvertakesWhatWaits(t *testing.T) {
	s := waiting(t)
	opened(s)
	s.pass(time.Second)
	s.add(staged(incident.Validated, s.now), due(incident.Notification, incident.EventValidated, incident.Validated, s.now))
	s.want()
	s.pass(budget - time.Second)
	s.accept(s.want("ana incident chat"))
	s.settle()
	s.want()
	s.pass(time.Second)
	s.want("ana validated chat")
}

func TestWithoutADiagnoserNothingWaits(t *testing.T) {
	s := newScene(t, ana)
	opened(s)
	s.want("ana incident chat")
}
