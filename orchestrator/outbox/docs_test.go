package outbox

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestDocumentedReceipt has the page name every member of a receipt, and every outcome.
func TestDocumentedReceipt(t *testing.T) {
	text, err := os.ReadFile("../../docs/OUTBOX.md")
	if err != nil {
		t.Fatal(err)
	}
	_, receipts, _ := strings.Cut(string(text), "## Receipts")
	names := []string{string(Delivered), string(Dead), string(Withdrawn), string(Requeued)}
	for field := range reflect.TypeFor[Receipt]().Fields() {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "-" {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if !strings.Contains(receipts, "`"+name+"`") {
			t.Errorf("%s is not on the page", name)
		}
	}
}

// TestDocumentedNumbers has the page and the program say the same.
func TestDocumentedNumbers(t *testing.T) {
	text, err := os.ReadFile("../../docs/OUTBOX.md")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.Join(strings.Fields(string(text)), " ")
	count := map[int]string{2: "twice", 3: "three", 5: "five"}
	r := Rules{}.withDefaults()
	for _, want := range []string{
		fmt.Sprintf("%.0f s after a decision was asked for", r.Voice.Seconds()),
		fmt.Sprintf("| %.0f s, %.0f s, … |", r.Secondary.Seconds(), 2*r.Secondary.Seconds()),
		fmt.Sprintf("is tried again after %.0f s, %.0f s, %.0f s, up to %.0f min", r.Base.Seconds(), 2*r.Base.Seconds(), 4*r.Base.Seconds(), r.Longest.Minutes()),
		"After " + count[r.Fallback] + " failures in a row it is the turn of the contact's next channel",
		fmt.Sprintf("a pause of more than %.0f s is passed over", r.Patience.Seconds()),
		fmt.Sprintf("After %s failures in a row a channel is left alone for %.0f s", count[r.Break], r.CoolDown.Seconds()),
		fmt.Sprintf("after %d attempts, or when it is older than %.0f hours", r.Attempts, r.Stale.Hours()),
		fmt.Sprintf("The newest %d are kept", maxDead),
		"Such an attempt is repeated, at most " + count[r.Unsure-1] + " by one channel",
		fmt.Sprintf("when it has more than %d KiB of anything else", bulk>>10),
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if !strings.Contains(page, "a `Retry-After` is kept, up to an hour") || r.Pause.Hours() != 1 {
		t.Errorf("a pause is at most %s, and the page says otherwise", r.Pause)
	}
	if !strings.Contains(page, "advances at most a minute") || maxStride.Minutes() != 1 {
		t.Errorf("the stopwatch advances at most %s, and the page says otherwise", maxStride)
	}
}
