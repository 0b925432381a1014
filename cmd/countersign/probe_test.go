package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/countersign-dev/countersign/ebpf"
)

func TestCheckedReport(t *testing.T) {
	r := ebpf.Report{Kernel: "6.1.0", Attach: ebpf.Socket, Hooks: []ebpf.Hook{
		{Attach: ebpf.TCX, Reason: "the kernel has no tcx", Mend: "run Linux 6.6 or newer"}, {Attach: ebpf.Socket, Allowed: true},
	}}
	want := `kernel 6.1.0
tcx      cannot work: the kernel has no tcx
         run Linux 6.6 or newer
socket   works
countersign run --sensor ebpf --port N attaches by socket
`
	if got := checked(r); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	r.Attach, r.Hooks = "", r.Hooks[:1]
	want = `kernel 6.1.0
tcx      cannot work: the kernel has no tcx
         run Linux 6.6 or newer
countersign run --sensor ebpf cannot work here; --sensor auto takes the proxy
`
	if got := checked(r); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestProbeCheckSaysWhatItFound holds on every host: whichever hooks work, the
// exit code and the report agree.
func TestProbeCheckSaysWhatItFound(t *testing.T) {
	var out, errs bytes.Buffer
	code := execute([]string{"countersign", "probe", "check", "--json"}, &out, &errs)
	var r ebpf.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s%s", err, &out, &errs)
	}
	if (code == 0) != (r.Attach != "") || errs.Len() > 0 || len(r.Hooks) != 2 || r.Kernel == "" {
		t.Errorf("exit %d with %s%s", code, &out, &errs)
	}
	for _, h := range r.Hooks {
		if h.Allowed != (h.Reason == "" && h.Mend == "") {
			t.Errorf("%+v: what cannot work needs a reason and a way to mend it", h)
		}
	}
}
