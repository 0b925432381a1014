package ebpf

import (
	"errors"

	"github.com/countersign-dev/countersign/histogram"
)

// Report is what this host allows. It is data for people and for JSON.
type Report struct {
	Kernel string `json:"kernel"` // release, as uname -r prints it
	// Attach is the hook that Auto would choose, empty when there is none.
	Attach Attach `json:"attach,omitempty"`
	Hooks  []Hook `json:"hooks"`
}

// Hook is one way to attach.
type Hook struct {
	Attach  Attach `json:"attach"`
	Allowed bool   `json:"allowed"`
	Reason  string `json:"reason,omitempty"` // what is missing, when it is not allowed
	Mend    string `json:"mend,omitempty"`   // what to do about it
}

// checkedPort is one that no API listens on: discard, RFC 863.
const checkedPort = 9

// Check does what Open would do, for each hook, and detaches at once. It leaves
// nothing behind.
func Check() Report {
	report := Report{Kernel: release()}
	for _, a := range []Attach{TCX, Socket} {
		h := Hook{Attach: a}
		err := try(a)
		var u *Unavailable
		switch {
		case err == nil:
			h.Allowed = true
			if report.Attach == "" {
				report.Attach = a
			}
		case errors.As(err, &u):
			h.Reason, h.Mend = u.What, u.Mend
		default:
			h.Reason, h.Mend = err.Error(), "report this"
		}
		report.Hooks = append(report.Hooks, h)
	}
	return report
}

func try(a Attach) error {
	recorder, err := histogram.NewRecorder(histogram.Config{})
	if err != nil {
		return err
	}
	p, err := Open(Config{Port: checkedPort, Attach: a, Recorder: recorder, MaxConnections: 64})
	if err != nil {
		return err
	}
	return p.Close()
}
