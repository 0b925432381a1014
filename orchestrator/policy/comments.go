package policy

// comments say what each key means, for the document that is shown and for
// the documentation. The keys of lists' items have none where the list's says
// enough.
var comments = map[string]string{
	"version": "The name of this document. Change it with every change: the digest tells when you did not.",

	"health":                          "The gates over traffic: the window is the last minute, a tick the last five seconds.",
	"health.gates":                    "on counts; shadow is shown in shadow_alerts and counts neither in score nor in status; off is not asked.",
	"health.gates.absolute_threshold": "P95 and error rate of the window against fixed limits.",
	"health.gates.adaptive_threshold": "P95 of the window against limits learned from the baseline.",
	"health.gates.z_score":            "P95 of the tick against the baseline's mean and standard deviation.",
	"health.gates.rate_of_change":     "P95 and error rate of one tick against the tick before.",
	"health.gates.measurement":        "Requests that were seen and could not be measured.",
	"health.p95_ms":                   "Limits for the window's P95, in milliseconds.",
	"health.p95_ms.warning":           "At or above this it warns.",
	"health.p95_ms.critical":          "At or above this it is critical. Requests that all wait this long are a hang.",
	"health.error_rate":               "Limits for the share of the window's requests that failed.",
	"health.error_rate.warning":       "At or above this it warns.",
	"health.error_rate.critical":      "At or above this it is critical.",
	"health.min_samples":              "Latencies the window must hold for a latency gate to fire.",
	"health.min_errors":               "Errors below which there is no error rate to speak of.",
	"health.min_tick_samples":         "Latencies a tick must hold to be compared with the baseline, and to enter it.",
	"health.z_threshold":              "Standard deviations above the mean that give an anomaly score of 1, which warns; 2 is critical.",
	"health.z_ticks":                  "Ticks in a row that must be anomalies for one to count, by the least of them.",
	"health.min_baseline_ticks":       "Healthy ticks the baseline needs before anything is compared with it.",
	"health.max_baseline_ticks":       "Healthy ticks it remembers: 720 are an hour.",
	"health.min_effect_share":         "A slowdown is an anomaly only from this share of the mean on …",
	"health.min_effect_ms":            "… and from this many milliseconds on.",
	"health.adaptive_sigmas":          "Learned limits: mean + m warns and mean + 2m is critical, where m is the greatest of this\nmany standard deviations, min_effect_share of the mean, and min_effect_ms.",
	"health.rate_p95":                 "Factor by which a tick's P95 must exceed that of the tick before …",
	"health.rate_p95_floor_ms":        "… and by how many milliseconds, at least.",
	"health.rate_errors":              "Factor by which a tick's error rate must exceed that of the tick before …",
	"health.rate_errors_floor":        "… and the least error rate it must have.",
	"health.rate_max_age":             "Age of the tick before above which nothing is compared with it.",
	"health.unmeasured_share":         "Share of unmeasured requests above which the measurement is doubted.",
	"health.trend_scores":             "Scores that the trend looks back over.",
	"health.trend_slope":              "Points a step that make it improving or degrading.",

	"failures":              "consecutive_failures: is a target UP or DOWN?",
	"failures.mode":         "on, shadow or off. UP and DOWN are told apart in any mode.",
	"failures.after":        "Failures in a row that make a target DOWN; the first success makes it UP.",
	"failures.error_rate":   "Share of a tick's requests that must fail for the upstream's check to fail …",
	"failures.min_requests": "… of at least so many requests.",

	"burn_rate":           "burn_rate: how fast the error budget is spent.",
	"burn_rate.mode":      "on, shadow or off.",
	"burn_rate.objective": "Share of requests that should succeed; the rest is the budget.",
	"burn_rate.min_bad":   "Failed requests that the short window must hold.",
	"burn_rate.windows":   "Each fires when both its windows burn the budget factor times too fast, or faster. A critical\none opens an incident, a warning one warns.",

	"incident":                    "When an incident opens, is validated and recovers.",
	"incident.open_below":         "It opens when the score is below this, a target is DOWN, or a critical burn rate fires.",
	"incident.validate_after":     "It is validated when it still holds after this long.",
	"incident.recover_above":      "It recovers when the score is above this …",
	"incident.recover_error_rate": "… and the window's error rate below this, with no target DOWN …",
	"incident.recover_after":      "… for this long.",
	"incident.max_open":           "Age of an open incident above which the audit asks for its end.",

	"flap":         "A target, or the service as a whole, that keeps going up and down.",
	"flap.changes": "Changes of state that make it flapping …",
	"flap.within":  "… within this long.",
	"flap.quiet":   "It is steady again after this long without a change.",

	"upstream":          "The check of the upstream while no request is answered.",
	"upstream.enabled":  "Whether it is asked at all.",
	"upstream.path":     "Asked with GET; any answer below 500 is a success.",
	"upstream.interval": "Time between two checks.",
	"upstream.timeout":  "Time for the answer.",

	"checks": "Further targets, asked over HTTP. An item has name and url, and may have method (GET), status\n(codes that are a success; 200 to 299 when empty), body_contains, interval (30s) and timeout (5s).",

	"changes":        "Commits, deployments and other changes that are shown with an incident.",
	"changes.before": "How long before its start they may lie.",
}
