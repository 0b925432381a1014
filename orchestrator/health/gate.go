package health

// Mode says whether a gate counts.
type Mode string

// The modes of a gate: On counts, Shadow is shown and does not count, Off is
// not asked.
const (
	On     Mode = "on"
	Shadow Mode = "shadow"
	Off    Mode = "off"
)

// Valid says whether m is one of the modes.
func (m Mode) Valid() bool { return m == On || m == Shadow || m == Off }

// Gate names the rule that raised an alert.
type Gate string

// The gates. The first five are of this package and look at traffic alone;
// the others are raised by those who know of targets, budgets and the ledger.
const (
	GateZScore       Gate = "z_score"
	GateAbsolute     Gate = "absolute_threshold"
	GateAdaptive     Gate = "adaptive_threshold"
	GateRateOfChange Gate = "rate_of_change"
	GateMeasurement  Gate = "measurement"

	GateFailures Gate = "consecutive_failures"
	GateBurnRate Gate = "burn_rate"
	// GateFlapping keeps an oscillating service in one incident.
	GateFlapping Gate = "flap_damping"
	// GateReported is what a remote service says of itself.
	GateReported Gate = "reported"
	// GateLedger is the state of the audit log.
	GateLedger Gate = "ledger"
)

// Gates are the modes of the gates over traffic.
type Gates struct {
	Absolute     Mode `json:"absolute_threshold"`
	Adaptive     Mode `json:"adaptive_threshold"`
	ZScore       Mode `json:"z_score"`
	RateOfChange Mode `json:"rate_of_change"`
	Measurement  Mode `json:"measurement"`
}

// mode is the mode of one of the gates of this package.
func (g Gates) mode(gate Gate) Mode {
	switch gate {
	case GateAbsolute:
		return g.Absolute
	case GateAdaptive:
		return g.Adaptive
	case GateZScore:
		return g.ZScore
	case GateRateOfChange:
		return g.RateOfChange
	case GateMeasurement:
		return g.Measurement
	}
	return Off
}
