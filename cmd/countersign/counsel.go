package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/countersign-dev/countersign/config"
	"github.com/countersign-dev/countersign/orchestrator/approval"
	"github.com/countersign-dev/countersign/orchestrator/counsel"
	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
	"github.com/countersign-dev/countersign/orchestrator/egress"
)

// waitFor is how long messages wait for a diagnosis.
func waitFor(c config.Config) time.Duration {
	if c.Diagnosis.Mode == config.DiagnosisOff {
		return 0
	}
	return c.Diagnosis.Budget
}

// changed is called when the ledger has something new.
func (d *decisions) changed() {
	d.outbox.Wake()
	if d.counsel != nil {
		d.counsel.Wake()
	}
}

// addCounsel makes what explains incidents. A model whose key cannot be read is left
// out, which is logged: nothing depends on it.
func (d *decisions) addCounsel(c config.Config, log *slog.Logger) error {
	if c.Diagnosis.Mode == config.DiagnosisOff {
		return nil
	}
	var tenants []counsel.Tenant
	for _, t := range docketTenants(c) {
		tenants = append(tenants, counsel.Tenant{ID: t.ID, Seats: d.seats(c, t.ID, log), Actions: actionNames(c, t.ID)})
	}
	d.counsel = counsel.New(counsel.Config{Docket: d.docket, Tenants: tenants, Budget: c.Diagnosis.Budget, Log: log})
	return nil
}

// seats are the diagnosers of a tenant: the models, and the rules, which come first
// beside one model and stand in for either of two.
func (d *decisions) seats(c config.Config, tenant string, log *slog.Logger) []diagnosis.Diagnoser {
	var seats []diagnosis.Diagnoser
	if c.Diagnosis.Mode == config.DiagnosisModels {
		for _, m := range c.Models {
			key, err := m.Key(os.Getenv)
			var model *diagnosis.Model
			if err == nil {
				doer := d.gate.HTTP(tenant, egress.HTTPOptions{Timeout: m.Timeout, AllowPrivate: m.AllowPrivate})
				model, err = m.Open(key, doer, c.Diagnosis.Send == config.SendFigures)
			}
			if err != nil {
				log.Error("a model is not asked until the next start", "model", m.ID, "error", err)
				continue
			}
			seats = append(seats, model)
		}
	}
	if len(seats) < 2 {
		return append([]diagnosis.Diagnoser{diagnosis.Rules{}}, seats...)
	}
	return append(seats, diagnosis.Rules{})
}

// actionNames are those of the catalogue that are for a tenant.
func actionNames(c config.Config, tenant string) []string {
	var names []string
	for _, a := range c.Actions.For(tenant, tenant == c.Service.Tenant) {
		names = append(names, a.Name)
	}
	return names
}

// runCounsel explains incidents once there is a ledger to read.
func (d *decisions) runCounsel(ctx context.Context) error {
	if !d.awaitLedger(ctx) {
		return nil
	}
	return d.counsel.Run(ctx)
}

// showDiagnosis adds to an approval page what was diagnosed. Without it the page is
// as good.
func (d *decisions) showDiagnosis(tenant string, v *approval.View) {
	found, err := d.docket.Case(tenant, v.Incident)
	if err != nil {
		return
	}
	g, ok := found.Diagnosis()
	if !ok || g.Withheld {
		return
	}
	shown := &approval.Diagnosis{TellApart: g.TellApart, Earlier: g.Earlier}
	for _, t := range g.Theories {
		shown.Theories = append(shown.Theories, approval.Theory(t))
	}
	v.Diagnosis = shown
}
