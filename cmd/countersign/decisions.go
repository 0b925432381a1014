package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/countersign-dev/countersign/config"
	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/orchestrator"
	"github.com/countersign-dev/countersign/orchestrator/api"
	"github.com/countersign-dev/countersign/orchestrator/change"
	"github.com/countersign-dev/countersign/orchestrator/check"
	"github.com/countersign-dev/countersign/orchestrator/counsel"
	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
	"github.com/countersign-dev/countersign/orchestrator/docket"
	"github.com/countersign-dev/countersign/orchestrator/egress"
	"github.com/countersign-dev/countersign/orchestrator/history"
	"github.com/countersign-dev/countersign/orchestrator/journal"
	"github.com/countersign-dev/countersign/orchestrator/outbox"
	"github.com/countersign-dev/countersign/orchestrator/policy"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
	"github.com/countersign-dev/countersign/orchestrator/report"
	"github.com/countersign-dev/countersign/orchestrator/tenant"
)

// Files and directories beside the ledger in the data directory.
const (
	windowsDir  = "windows"
	changesFile = "changes.jsonl"
)

// decisions are the parts of a sidecar that decide and record.
type decisions struct {
	policy  *policy.Policy
	docket  *docket.Docket
	journal *journal.Journal
	checks  *check.Prober
	history *history.Writer
	brain   *orchestrator.Orchestrator

	gate   *egress.Gate // the one way out
	outbox *outbox.Outbox
	public *public // nil when nobody can decide
	// counsel explains incidents, nil when nobody does.
	counsel *counsel.Counsel

	changes  *change.Store
	receiver *change.Receiver
	poller   *change.Poller // nil without a repository

	tenants []*tenant.Tenant
	own     api.Tenant
	others  []api.Tenant // as tenants are
}

func newDecisions(c config.Config, log *slog.Logger) (*decisions, error) {
	d := &decisions{}
	var err error
	if d.policy, err = c.LoadPolicy(os.Getenv); err != nil {
		return nil, err
	}
	d.gate = egress.New(egress.Options{Shadow: d.inShadow, Log: log})
	d.docket = docket.New(docket.Config{
		Tenants: docketTenants(c), Instance: c.InstanceID(), Policy: d.policy, Log: log, Changes: d.changesBefore,
		Actions: c.Actions, Contacts: askable(c), Execute: docket.Through(d.gate, recovery.Executor{}),
		Secondary: c.Approval.SecondaryAfter, Show: d.showChart, Changed: d.changed,
		Unrecorded: func(n docket.Notice) { d.outbox.Tell(n.Tenant, n.Service, n.Event, n.Text, n.At) },
	})
	options, err := c.LedgerOptions(os.Getenv)
	if err != nil {
		return nil, err
	}
	d.journal, err = journal.New(journal.Config{
		Ledger: options, Tenant: c.Service.Tenant, Service: c.ServiceName(), Instance: c.InstanceID(), Version: buildInfo().Version,
		Policy: d.policy.Identity(), Docket: d.docket, Log: log,
	})
	if err != nil {
		return nil, err
	}
	d.checks, err = check.New(check.Config{
		Checks: d.policy.Checks, UpstreamCheck: d.policy.Upstream, Log: log,
		Upstream: check.Upstream{URL: c.Upstream.URL, Host: c.Upstream.Host, CAFile: c.Upstream.CAFile, ServerName: c.Upstream.ServerName},
	})
	if err != nil {
		return nil, err
	}
	d.history = history.NewWriter(history.Config{Dir: filepath.Join(c.Ledger.Data, windowsDir), MaxBytes: int64(c.History.MaxSize), Log: log})
	if err := d.addChanges(c, log); err != nil {
		return nil, err
	}
	if err := d.addTenants(c, log); err != nil {
		return nil, err
	}
	if d.public, err = newPublic(c, d.docket, log); err != nil {
		return nil, err
	}
	warnOfActions(c, d.public != nil, log)
	if err := d.addCounsel(c, log); err != nil {
		return nil, err
	}
	return d, d.addOutbox(c, log)
}

func docketTenants(c config.Config) []docket.Tenant {
	list := []docket.Tenant{{ID: c.Service.Tenant, Service: c.ServiceName()}}
	for _, t := range c.Tenants {
		list = append(list, docket.Tenant{ID: t.ID, Service: t.Service})
	}
	return list
}

func (d *decisions) changesBefore(tenant string, start time.Time) []change.Change {
	return d.changes.Before(tenant, start, time.Duration(d.policy.Changes.BeforeSeconds*float64(time.Second)))
}

// addChanges makes what hears of changes.
func (d *decisions) addChanges(c config.Config, log *slog.Logger) error {
	d.changes = change.Open(filepath.Join(c.Ledger.Data, changesFile), nil, log)
	d.receiver = &change.Receiver{Store: d.changes, Branch: c.Changes.GitHubBranch, Denied: d.docket.Denied, Log: log}
	if c.Changes.GitHubRepo == "" {
		return nil
	}
	var err error
	d.poller, err = change.NewPoller(change.PollerConfig{
		Tenant: c.Service.Tenant, Store: d.changes, Repo: c.Changes.GitHubRepo, Branch: c.Changes.GitHubBranch,
		API: c.Changes.GitHubAPI, TokenFile: c.Changes.GitHubTokenFile, Log: log,
	})
	return err
}

// addTenants makes what watches other services, and reads every secret.
func (d *decisions) addTenants(c config.Config, log *slog.Logger) error {
	secret, err := tenant.OwnSecret(c.Ledger.Data, c.Service.SecretFile, os.Getenv)
	if err = tolerable(err, log); err != nil {
		return err
	}
	webhook, err := c.ChangesSecret()
	if err != nil {
		return err
	}
	d.own = api.Tenant{ID: c.Service.Tenant, Secret: secret, WebhookSecret: webhook}
	for _, remote := range c.Tenants {
		sent, err := remote.Secret(os.Getenv)
		if err != nil {
			return err
		}
		access, err := remote.AccessSecret(c.Ledger.Data, os.Getenv)
		if err = tolerable(err, log); err != nil {
			return err
		}
		t, err := tenant.New(tenant.Options{
			Config: remote, Secret: sent, Policy: d.policy, Docket: d.docket, Instance: c.InstanceID(),
			Ledger: d.journal.Head, History: d.history, Restore: d.restore(c, remote.ID, log), Log: log,
		})
		if err != nil {
			return err
		}
		d.tenants = append(d.tenants, t)
		d.others = append(d.others, api.Tenant{ID: remote.ID, Secret: access, Health: t.JSON})
	}
	return nil
}

// tolerable leaves an error of reading a secret that an operator must mend. A
// disk that does not take a new one is none: traffic comes first.
func tolerable(err error, log *slog.Logger) error {
	if !errors.Is(err, tenant.ErrUnkept) {
		return err
	}
	log.Error("no order is taken by the admin API until the next start", "error", err)
	return nil
}

// restore gives what an earlier process measured of a tenant.
func (d *decisions) restore(c config.Config, tenant string, log *slog.Logger) func() policy.State {
	return func() policy.State {
		s, err := history.Restore(filepath.Join(c.Ledger.Data, windowsDir), tenant, d.policy, time.Now())
		if err != nil {
			log.Warn("not all that was measured before could be read", "tenant", tenant, "error", err)
		}
		return s
	}
}

func (d *decisions) addBrain(c config.Config, r *histogram.Recorder, counters func() diagnosis.Counters, log *slog.Logger) (err error) {
	d.brain, err = orchestrator.New(orchestrator.Config{
		Recorder: r, Tenant: c.Service.Tenant, Service: c.ServiceName(), Instance: c.InstanceID(),
		Policy: d.policy, Checks: d.checks, Docket: d.docket, History: d.history, Counters: counters,
		Restore: d.restore(c, c.Service.Tenant, log), Ledger: d.journal.Head, Log: log,
	})
	return err
}

// shadowReport is the report on a tenant, made from the ledger.
func (s *sidecar) shadowReport(ctx context.Context, tenant string, from, to time.Time) (api.Report, error) {
	head, entries, err := s.journal.Entries(ctx)
	if err != nil {
		return nil, err
	}
	r, err := report.Build(entries, report.Options{
		Tenant: tenant, From: from, To: to, At: time.Now(), Head: head,
		VerifyCommand: "countersign ledger verify http://" + s.adminListener.Addr().String() + "/ledger/ --vkey " + s.journal.Report().Key,
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}
