package approval

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestDocumentedNumbers has the page and the program say the same.
func TestDocumentedNumbers(t *testing.T) {
	text, err := os.ReadFile("../../docs/APPROVALS.md")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.Join(strings.Fields(string(text)), " ")
	every := func(a allowance) string {
		if a.interval == time.Second {
			return "then one a second"
		}
		return fmt.Sprintf("then one in %d seconds", int(a.interval.Seconds()))
	}
	for _, want := range []string{
		fmt.Sprintf("%v wrong links in a row from one address (of IPv6: from its /64), %s", wrongAllowed.burst, every(wrongAllowed)),
		fmt.Sprintf("%v looks at a link, %s", lookAllowed.burst, every(lookAllowed)),
		fmt.Sprintf("%v decisions by a link, %s", decideAllowed.burst, every(decideAllowed)),
		fmt.Sprintf("A form has at most %d KiB", maxForm>>10),
		fmt.Sprintf("the listener %d connections", maxConns),
		fmt.Sprintf("at most %d times for a request", maxRefused),
		fmt.Sprintf("`iat`, `exp` | at most %d seconds apart", int(LinkLife.Seconds())),
		"For a day it still says what became of the request",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if lingers != 24*time.Hour {
		t.Errorf("an expired link says what became of the request for %s", lingers)
	}
}
