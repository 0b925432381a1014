package docket

import (
	"context"
	"log/slog"

	"github.com/countersign-dev/countersign/orchestrator/incident"
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
	case incident.KindOf(e.Stage):
		what = "incident advanced"
		if e.Stage.Terminal() {
			what = "incident ended"
		}
	default:
		return
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
