package ebpf

import (
	"errors"
	"os"
	"strings"
	"testing"

	cebpf "github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// TestRefusalsAreDocumented looks up what is said when the host does not allow the
// probe in the table of docs/PROBE.md, where an ellipsis stands for what differs.
func TestRefusalsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/PROBE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "## When it does not work")
	section, _, _ = strings.Cut(section, "\n## ")
	var rows [][]string
	for line := range strings.Lines(section) {
		if cell, ok := strings.CutPrefix(line, "| "); ok {
			cell, _, _ = strings.Cut(cell, " |")
			rows = append(rows, strings.Split(cell, "…"))
		}
	}
	said := map[string]bool{}
	const bpf, all = 1 << unix.CAP_BPF, 1<<unix.CAP_BPF | 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW
	for _, a := range []Attach{TCX, Socket} {
		for _, effective := range []uint64{0, bpf, all} {
			what, _ := forbidden(a, effective)
			said[what] = true
		}
		for _, err := range []error{
			unix.ENOSYS, unix.EAFNOSUPPORT, &cebpf.VerifierError{Cause: unix.EACCES}, cebpf.ErrNotSupported, unix.ENOMEM, unix.EIO,
		} {
			var u *Unavailable
			if !errors.As(unavailable(a, err), &u) {
				t.Fatalf("%v is not said to be the host's", err)
			}
			said[u.What] = true
		}
	}
	for what := range said {
		if !documented(rows, what) {
			t.Errorf("%q is not explained", what)
		}
	}
}

// documented reports whether a row's words are in what is said, in their order.
func documented(rows [][]string, what string) bool {
	for _, row := range rows {
		rest, found := what, true
		for _, words := range row {
			if found {
				_, rest, found = strings.Cut(rest, strings.TrimSpace(words))
			}
		}
		if found {
			return true
		}
	}
	return false
}
