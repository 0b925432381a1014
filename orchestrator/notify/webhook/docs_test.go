package webhook

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocumentedMembers has the page name the members of data as they are sent,
// and in their order.
func TestDocumentedMembers(t *testing.T) {
	page, err := os.ReadFile("../../../docs/NOTIFICATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, row, ok := strings.Cut(string(page), "\n| `data` | ")
	if !ok {
		t.Fatal("the page has no row of data")
	}
	row, _, _ = strings.Cut(row, "\n")
	row = regexp.MustCompile(`\([^)]*\)|\{[^}]*\}`).ReplaceAllString(row, "") // what the values are
	var documented []string
	for _, m := range regexp.MustCompile("`([a-z0-9_]+)").FindAllStringSubmatch(row, -1) {
		documented = append(documented, m[1])
	}
	var sent []string
	for field := range reflect.TypeFor[data]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		sent = append(sent, name)
	}
	if !slices.Equal(documented, sent) {
		t.Errorf("the page has %q, and sent is %q", documented, sent)
	}
}
