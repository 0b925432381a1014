// Package crash ends the process in the middle of its work, as kill -9 does. It is
// no part of the product: the suite compiles it into a binary of its own.
package crash

import (
	"encoding/json"
	"os"
	"syscall"

	"github.com/countersign-dev/countersign/ledger"
)

// wanted is where the process ends.
var wanted = os.Getenv("CRASH_AT")

// At ends the process when this is the point.
func At(point string) {
	if point == wanted {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// Before and After end it around an append that brings the entry.
func Before(entries []ledger.Entry) { around("before:", entries) }
func After(entries []ledger.Entry)  { around("after:", entries) }

func around(when string, entries []ledger.Entry) {
	for _, e := range entries {
		var leaf struct {
			Kind     string
			Metadata struct{ Event string }
		}
		if json.Unmarshal(e.Leaf, &leaf) != nil {
			continue
		}
		At(when + leaf.Kind)
		At(when + leaf.Kind + "/" + leaf.Metadata.Event)
	}
}
