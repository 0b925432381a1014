package ledger

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestBadgerLog(t *testing.T) {
	var out bytes.Buffer
	b := badgerLog{slog.New(slog.NewTextHandler(&out, nil))}
	b.Errorf("an error of %d\n", 7)
	b.Warningf("a warning")
	b.Infof("information")
	b.Debugf("details")
	text := out.String()
	for _, words := range []string{"level=ERROR", `message="an error of 7"`, "level=WARN"} {
		if !strings.Contains(text, words) {
			t.Errorf("%q is not in %s", words, text)
		}
	}
	if strings.Contains(text, "information") || strings.Contains(text, "details") {
		t.Errorf("what only a debugger wants is logged: %s", text)
	}
}
