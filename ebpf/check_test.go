package ebpf

import (
	"encoding/json"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	began := time.Now()
	text, err := json.MarshalIndent(Check(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s in %v", text, time.Since(began))
}
