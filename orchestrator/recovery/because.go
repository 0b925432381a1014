package recovery

import "strings"

// gateWords say of what breaches, by its key or its gate, what is wrong.
var gateWords = map[string]string{
	"absolute_threshold/latency_spike":    "requests are slower than the fixed limit",
	"absolute_threshold/error_anomaly":    "more requests fail than the fixed limit allows",
	"absolute_threshold/requests_stalled": "requests wait and none is answered",
	"absolute_threshold":                  "requests are slower, or fail more often, than a fixed limit allows",
	"adaptive_threshold":                  "requests are slower than the limit that was learned from healthy times",
	"z_score":                             "requests are much slower than usual",
	"rate_of_change":                      "latency or errors rose steeply within a short time",
	"consecutive_failures":                "checks failed several times in a row",
	"burn_rate":                           "errors use up the error budget too fast",
	"flap_damping":                        "it keeps failing and recovering",
	"reported":                            "the service says of itself that it is ill",
}

// inWords says what breaches: that of its key, else of its gate, else its name.
func inWords(key string) string {
	key, _, _ = strings.Cut(key, ":")
	if words, ok := gateWords[key]; ok {
		return words
	}
	gate, _, _ := strings.Cut(key, "/")
	if words, ok := gateWords[gate]; ok {
		return words
	}
	return "the gate " + gate + " breaches"
}

// causeInWords says what was found likely. Causes are the kinds of what changed, but
// for the retry storm.
func causeInWords(cause string) string {
	switch cause {
	case CauseRetryStorm:
		return "this looks like a retry storm"
	case "infrastructure":
		return "the infrastructure was changed shortly before"
	case "image":
		return "a new image was rolled out shortly before"
	case "config":
		return "the configuration was changed shortly before"
	case "flag":
		return "a flag was switched shortly before"
	}
	return "there was a " + cause + " shortly before"
}
