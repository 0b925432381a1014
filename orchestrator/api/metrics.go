package api

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/journal"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("countersign_"+name, help, labels, nil)
}

var (
	descRequests   = desc("http_requests_total", "Requests measured, by how they ended. Streams are included.", "route", "outcome")
	descStreams    = desc("http_streams_total", "Requests answered by a stream or an upgraded connection.", "route")
	descDuration   = desc("http_request_duration_seconds", "Time from the request fully received to the last byte of the response. Streams have none.", "route")
	descTTFB       = desc("http_request_ttfb_seconds", "Time from the request fully received to the first byte of the response.", "route")
	descInFlight   = desc("http_requests_in_flight", "Requests being served.")
	descSeen       = desc("http_requests_seen_total", "Requests that ended: measured ones and unmeasured ones.")
	descUnmeasured = desc("http_requests_unmeasured_total", "Requests seen that have no latency, by the reason why.", "reason")
	descOverhead   = desc("proxy_overhead_seconds", "Time the proxy itself adds to a request, of a sample of requests.")

	descClientConns   = desc("proxy_client_connections", "Open client connections.")
	descAccepted      = desc("proxy_client_connections_accepted_total", "Client connections accepted.")
	descUpstreamConns = desc("proxy_upstream_connections", "Open upstream connections.", "state")
	descErrors        = desc("proxy_errors_total", "Answers the proxy made up itself and exchanges it broke off, by the name in Countersign-Error.", "reason")
	descRetries       = desc("proxy_retries_total", "Requests sent again because a reused upstream connection was stale.")

	descScore     = desc("health_score", "Health score, 0 to 100, 100 is best.")
	descStatus    = desc("health_status", "1 for the present status of the health document.", "status")
	descP95       = desc("health_p95_seconds", "P95 of the request duration over the health document's window. Absent when nothing was measured.")
	descErrorRate = desc("health_error_ratio", "Share of requests that failed over the health document's window. Absent when nothing was measured.")
	descAnomaly   = desc("health_anomaly_score", "Anomaly score: 1 warns, 2 is critical. Absent while it is undefined.")
	descDocument  = desc("health_document_timestamp_seconds", "When the health document was made, in unix time.")

	descLedgerUp        = desc("ledger_up", "1 while the ledger is open and takes entries. Absent when none is kept.")
	descLedgerEntries   = desc("ledger_entries", "Entries of the last acknowledged checkpoint. Absent while the ledger is not open.")
	descLedgerWitnessed = desc("ledger_witnessed_entries", "Entries of the last checkpoint that witnesses cosigned. Absent while there is none.")

	descIncident   = desc("incident_open", "1 while an incident of the own service is open.")
	descShadow     = desc("shadow_mode", "1 while Countersign only observes the own service.")
	descTarget     = desc("target_up", "1 for a target that is UP, 0 for one that is DOWN. Absent until that is known.", "target")
	descUnrecorded = desc("decisions_unrecorded", "1 while decisions cannot be recorded, or nothing is decided.")
	descGate       = desc("gate_firing", "1 for a gate that fires now: in mode on it counts, in mode shadow it is only watched.", "gate", "mode")

	descOutboxUp      = desc("outbox_up", "1 while the outbox can do its work.")
	descOutboxPending = desc("outbox_pending", "Messages that are due and not sent yet.")
	descOutboxDead    = desc("outbox_dead_letters", "Messages that were given up, and can be sent again by a person.")
	descOutboxOldest  = desc("outbox_oldest_seconds", "Age of the oldest message that is due and not sent. Absent when there is none.")
	descOutboxChannel = desc("outbox_channel_up", "1 for a channel whose circuit breaker is closed, 0 for one that is left alone at present. Absent until it was used.", "channel", "breaker")

	descBuild = desc("build_info", "Always 1; the labels identify the binary.", "version", "revision", "goversion")

	allDescs = append([]*prometheus.Desc{
		descRequests, descStreams, descDuration, descTTFB, descInFlight, descSeen, descUnmeasured, descOverhead,
		descClientConns, descAccepted, descUpstreamConns, descErrors, descRetries,
		descScore, descStatus, descP95, descErrorRate, descAnomaly, descDocument,
		descLedgerUp, descLedgerEntries, descLedgerWitnessed,
		descIncident, descShadow, descTarget, descUnrecorded, descGate,
		descOutboxUp, descOutboxPending, descOutboxDead, descOutboxOldest, descOutboxChannel, descBuild,
	}, sensorDescs...)
)

// collector reads everything at the moment of the scrape and keeps nothing.
type collector struct{ cfg Config }

func newCollector(cfg Config) collector { return collector{cfg} }

// Describe implements prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range allDescs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	c.collectTraffic(ch, c.cfg.Recorder.Totals())
	c.collectSensors(ch)
	collectHealth(ch, c.cfg.Orchestrator.Document())
	c.collectDecisions(ch)
	if c.cfg.Journal != nil {
		collectLedger(ch, c.cfg.Journal.Report())
	}
	c.collectOutbox(ch)
	b := c.cfg.Build
	ch <- gauge(descBuild, 1, label(b.Version), label(b.Revision), label(b.Go))
}

func (c collector) collectTraffic(ch chan<- prometheus.Metric, t histogram.Totals) {
	for _, r := range byLabel(t.Routes) {
		for o, n := range r.Outcomes {
			ch <- counter(descRequests, n, r.Name, histogram.Outcome(o).String())
		}
		ch <- counter(descStreams, r.Streams, r.Name)
		ch <- histogramMetric(descDuration, r.Durations, requestBounds, c.cfg.StartedAt, r.Name)
		ch <- histogramMetric(descTTFB, r.TTFB, requestBounds, c.cfg.StartedAt, r.Name)
	}
	for reason, n := range t.Unmeasured {
		ch <- counter(descUnmeasured, n, histogram.Reason(reason).String())
	}
	ch <- counter(descSeen, t.Seen)
	ch <- gauge(descInFlight, float64(t.InFlight))
	if c.cfg.Stats != nil {
		ch <- histogramMetric(descOverhead, t.Overhead, overheadBounds, c.cfg.StartedAt)
	}
}

func (c collector) collectSensors(ch chan<- prometheus.Metric) {
	if c.cfg.Stats != nil {
		collectProxy(ch, c.cfg.Stats())
	}
	if c.cfg.Probe != nil {
		collectProbe(ch, c.cfg.Probe())
	}
	if c.cfg.Compared != nil {
		collectComparison(ch, compare(c.cfg.Recorder, c.cfg.Compared))
	}
}

func collectProxy(ch chan<- prometheus.Metric, s ProxyStats) {
	ch <- gauge(descClientConns, float64(s.ClientConns))
	ch <- counter(descAccepted, s.Accepted)
	ch <- gauge(descUpstreamConns, float64(s.UpstreamIdle), "idle")
	ch <- gauge(descUpstreamConns, float64(s.UpstreamConns-s.UpstreamIdle), "busy")
	ch <- counter(descRetries, s.Retries)
	for reason, n := range s.Errors {
		ch <- counter(descErrors, n, reason)
	}
}

func collectHealth(ch chan<- prometheus.Metric, d health.Document) {
	ch <- gauge(descScore, d.HealthScore.Score)
	for _, s := range []health.Status{health.OK, health.Warning, health.Critical} {
		ch <- gauge(descStatus, one(s == d.Status), string(s))
	}
	if p95 := d.Metrics.OverallP95MS; p95 != nil {
		ch <- gauge(descP95, *p95/1000)
	}
	if rate := d.Metrics.ErrorRate; rate != nil {
		ch <- gauge(descErrorRate, *rate)
	}
	if a := d.Metrics.AnomalyScore; a != nil {
		ch <- gauge(descAnomaly, *a)
	}
	ch <- gauge(descDocument, float64(d.Timestamp))
}

func collectLedger(ch chan<- prometheus.Metric, r journal.Report) {
	ch <- gauge(descLedgerUp, one(r.State == journal.Open))
	if r.Size > 0 {
		ch <- gauge(descLedgerEntries, float64(r.Size))
	}
	if r.WitnessedSize > 0 {
		ch <- gauge(descLedgerWitnessed, float64(r.WitnessedSize))
	}
}

func (c collector) collectDecisions(ch chan<- prometheus.Metric) {
	collectTargets(ch, c.cfg.Orchestrator.Targets())
	d := c.cfg.Orchestrator.Document()
	collectGates(ch, health.On, d.Alerts)
	collectGates(ch, health.Shadow, d.ShadowAlerts)
	if c.cfg.Docket == nil {
		return
	}
	v, ok := c.cfg.Docket.View(c.cfg.Own.ID)
	ch <- gauge(descIncident, one(v.Incident != nil))
	ch <- gauge(descShadow, one(v.Shadow || !ok))
	ch <- gauge(descUnrecorded, one(v.Problem != "" || !ok))
}

func collectTargets(ch chan<- prometheus.Metric, targets map[string]policy.Target) {
	for name, t := range targets {
		if t.State != policy.Unknown {
			ch <- gauge(descTarget, one(t.State == policy.Up), label(name))
		}
	}
}

func collectGates(ch chan<- prometheus.Metric, mode health.Mode, alerts []health.Alert) {
	firing := map[health.Gate]bool{}
	for _, a := range alerts {
		firing[a.TriggeredBy] = true
	}
	for _, g := range gates {
		ch <- gauge(descGate, one(firing[g]), string(g), string(mode))
	}
}

// gates are those that can fire.
var gates = []health.Gate{
	health.GateAbsolute, health.GateAdaptive, health.GateZScore, health.GateRateOfChange, health.GateMeasurement,
	health.GateFailures, health.GateBurnRate, health.GateFlapping, health.GateReported, health.GateLedger,
}

// one is 1 for yes.
func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func counter(d *prometheus.Desc, n uint64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}

func gauge(d *prometheus.Desc, v float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

// byLabel gives every route a name that can be a label, and merges routes that
// only differed by bytes no label can hold: the same series twice would fail
// the scrape.
func byLabel(routes []histogram.RouteTotals) []histogram.RouteTotals {
	out := make([]histogram.RouteTotals, 0, len(routes))
	at := make(map[string]int, len(routes))
	for _, r := range routes {
		r.Name = label(r.Name)
		i, seen := at[r.Name]
		if !seen {
			at[r.Name] = len(out)
			out = append(out, r)
			continue
		}
		out[i] = merged(out[i], r)
	}
	return out
}

func merged(a, b histogram.RouteTotals) histogram.RouteTotals {
	for o, n := range b.Outcomes {
		a.Outcomes[o] += n
	}
	a.Streams += b.Streams
	a.Durations, a.TTFB = a.Durations.Clone(), a.TTFB.Clone()
	a.Durations.Merge(b.Durations)
	a.TTFB.Merge(b.TTFB)
	return a
}

// label percent-encodes the bytes of s that are not UTF-8: a path may hold any.
func label(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 {
			fmt.Fprintf(&b, "%%%02X", s[0])
		} else {
			b.WriteString(s[:size])
		}
		s = s[size:]
	}
	return b.String()
}
