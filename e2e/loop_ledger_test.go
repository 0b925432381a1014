//go:build slow

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/demo"
)

// TestFullDiskIsToldOf fills the disk under a live sidecar: people are told once that
// their service is in trouble and that nothing can be decided; nothing runs. When there
// is room again the incident is recorded, asked about and mended.
func TestFullDiskIsToldOf(t *testing.T) {
	t.Parallel()
	v := newVolume(t, 192*mib)
	l := startLoop(t, "", func(l *loop, _ func(string, string) string) string {
		l.data = filepath.Join(v.dir, "data")
		return fmt.Sprintf(crashConfig, l.public, l.receiver, l.inbox.URL(), l.secret, true)
	})
	l.live(t)
	before := len(l.entries(t, ""))
	v.fill("ballast")
	l.set(t, demo.Faults{ErrorRate: 0.2})
	eventuallyWithin(t, time.Minute, "people should be told", func() bool { return strings.Contains(l.page(), "nothing can be approved or run") })
	l.ticks(t, 5)
	if page := l.page(); strings.Count(page, "<article>") != 1 || len(l.received()) != 0 || len(l.incidents(t)) != 0 {
		t.Errorf("%d requests, incidents %v, and people see\n%s", len(l.received()), l.incidents(t), page)
	}
	v.give("ballast")
	eventuallyWithin(t, time.Minute, "people should be asked", func() bool { return len(l.links(t)) == 1 })
	l.mustTap(t, "confirm", form(t, l.links(t)[0]), 200, "Approved")
	l.awaitStage(t, time.Minute, "RESOLVED")
	if n := len(l.received()); n != 1 || len(l.entries(t, "")) <= before {
		t.Errorf("it was sent %d times", n)
	}
	eventually(t, "all should have a receipt", l.settled)
	if sent, err := os.ReadFile(filepath.Join(l.data, "outbox.sent")); err != nil || strings.Contains(string(sent), "beside") {
		t.Errorf("what is on no record is kept: %s, %v", sent, err)
	}
	l.mustReplay(t, l.incidents(t)[0].ID)
}
