package docket

import (
	"context"
	"log/slog"

	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
)

// announce tells an operator, in a line, of an entry that has become part of
// the ledger. Orders are told of by those who take them.
func (d *Docket) announce(index uint64, e incident.Entry) {
	level, what := slog.LevelInfo, ""
	attrs := []slog.Attr{slog.String("tenant", e.TenantID)}
	add := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, value))
		}
	}
	target, _ := e.Metadata["target"].(string)
	switch e.Kind {
	case incident.KindOf(incident.Detected):
		level, what = slog.LevelWarn, "incident opened"
	case incident.KindJoined:
		level, what = slog.LevelWarn, "incident joined by another breach"
		key, _ := e.Metadata["key"].(string)
		add("breach", key)
	case incident.KindTargetDown:
		level, what = slog.LevelWarn, "target down"
		add("target", target)
	case incident.KindTargetUp:
		what = "target up"
		add("target", target)
	case incident.KindTargetFlapping:
		level, what = slog.LevelWarn, "target flapping"
		add("target", target)
	case incident.KindTargetSteady:
		what = "target steady"
		add("target", target)
	case incident.KindRequested:
		what = "action asked for"
		add("by", e.Actor)
	case incident.KindAsked:
		what = "people are asked"
	case incident.KindApproved:
		what = "action approved by one of several"
		add("by", e.Actor)
	case incident.KindRefused:
		level, what = slog.LevelWarn, "decision refused"
		add("by", e.Actor)
	case incident.KindDiagnosed:
		what = "incident diagnosed"
		add("by", e.Actor)
	case incident.KindCleared:
		what = "service healthy again after the incident"
	case incident.KindEffectReceipt:
		if effect, _ := e.Metadata["effect"].(string); effect != incident.Execution {
			return
		}
		what = "action run"
		if e.Decision != string(recovery.Accepted) {
			level = slog.LevelError
		}
		add("outcome", e.Decision)
	case incident.KindOf(e.Stage):
		what = "incident advanced"
		if e.Stage.Terminal() {
			what = "incident ended"
		}
	default:
		return
	}
	if e.Kind == incident.KindOf(incident.Authorized) || e.Kind == incident.KindOf(incident.Rejected) {
		add("by", e.Actor)
	}
	add("incident", e.IncidentID)
	add("stage", string(e.Stage))
	add("reason", e.Reason)
	attrs = append(attrs, slog.Uint64("entry", index))
	d.cfg.Log.LogAttrs(context.Background(), level, what, attrs...)
}

// resume tells of the incidents that an earlier process left open.
func (d *Docket) resume() {
	for _, k := range d.desks {
		if o := k.state.Open; o != nil && k.stopped == "" {
			d.cfg.Log.Warn("incident is still open", "tenant", k.tenant.ID, "incident", o.ID, "stage", o.Stage, "since", o.StartedAt)
		}
	}
}
