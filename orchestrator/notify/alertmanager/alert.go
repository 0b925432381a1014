package alertmanager

import (
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/plain"
)

// The names of the alerts.
const (
	nameIncident = "CountersignIncident"
	nameFailed   = "CountersignActionFailed"
	nameDown     = "CountersignTargetDown"
	nameFlapping = "CountersignTargetFlapping"
	nameTest     = "CountersignTest"
)

const (
	maxLabel      = 200
	maxAnnotation = 1000
	testHold      = 5 * time.Minute
)

// alert is a postableAlert.
type alert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt,omitzero"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

// alerts are what a message makes fire or end. An alert is known by its labels
// alone, so that nothing is in them that changes while it lasts.
func alerts(m notify.Message, severity string, hold time.Duration) []alert {
	at := m.At.UTC()
	fire := func(name string, hold time.Duration) alert { return newAlert(m, name, severity, at.Add(hold)) }
	end := func(name string) alert { return newAlert(m, name, severity, at) }
	switch m.Event {
	case notify.Recovered:
		return []alert{end(nameIncident)}
	case notify.Failed, notify.NotRun, notify.Unknown:
		return []alert{end(nameIncident), fire(nameFailed, hold)}
	case notify.TargetDown:
		return []alert{fire(nameDown, hold)}
	case notify.TargetUp:
		return []alert{end(nameDown), end(nameFlapping)}
	case notify.TargetFlapping:
		return []alert{fire(nameFlapping, hold)}
	case notify.Test:
		return []alert{fire(nameTest, testHold)}
	}
	return []alert{fire(nameIncident, hold)}
}

func newAlert(m notify.Message, name, severity string, ends time.Time) alert {
	if name == nameTest {
		severity = string(notify.Info)
	}
	a := alert{
		Labels: map[string]string{
			"alertname": name, "severity": severity, "source": "countersign",
			"service": plain.Line(m.Service, maxLabel), "tenant": plain.Line(m.Tenant, maxLabel),
		},
		Annotations: map[string]string{
			"summary": m.Subject(), "description": strings.Join(m.Body(), "\n"),
		},
		EndsAt: ends, GeneratorURL: m.Detail(),
	}
	switch name {
	case nameIncident, nameFailed:
		a.Labels["incident_id"] = plain.Line(m.IncidentID, maxLabel)
	case nameDown, nameFlapping:
		a.Labels["target"] = plain.Line(m.Target, maxLabel)
	}
	for key, value := range a.Labels {
		if value == "" { // Alertmanager takes an empty label for none
			delete(a.Labels, key)
		}
	}
	annotate := func(key, value string) {
		if value != "" {
			a.Annotations[key] = value
		}
	}
	if m.Decidable() {
		annotate("link", m.Link)
		annotate("link_until", m.Until())
	}
	if m.Promises() {
		annotate("approval", notify.Promise)
	}
	annotate("changes", notify.Line(strings.Join(m.Changes, "; "), maxAnnotation))
	annotate("ledger", m.Mark())
	a.StartsAt = starts(m, name, ends)
	return a
}

// starts is when an alert began: the trouble, except for what is told of only
// now. Alertmanager refuses a beginning after the end.
func starts(m notify.Message, name string, ends time.Time) time.Time {
	began := m.Began.UTC()
	if m.Began.IsZero() || name == nameFailed || name == nameTest {
		began = m.At.UTC()
	}
	if began.After(ends) {
		return ends
	}
	return began
}
