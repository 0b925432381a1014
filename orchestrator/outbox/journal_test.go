package outbox

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var sample = Receipt{ID: "eff-7-0123456789ab", Effect: 7, Effects: []uint64{7, 8}, Event: "incident", Contact: "ana", Channel: "chat",
	Outcome: Delivered, Reference: "m1", At: began, Attempts: 2, Tenant: acme, Service: "checkout", Incident: inc}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, path string) *journal {
	t.Helper()
	j, damaged, err := openJournal(path)
	must(t, err)
	if damaged != 0 {
		t.Fatalf("%d lines are damaged", damaged)
	}
	return j
}

func TestJournalSurvives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.sent")
	a, b, c := key{sample.ID, 0}, key{"eff-9-b", 0}, key{"eff-9-b", 1}
	j := open(t, path)
	must(t, j.begin(a))
	must(t, j.sent(sample))
	must(t, j.begin(b))
	must(t, j.failed(b))
	must(t, j.begin(c))
	must(t, j.begin(c))
	want := map[key]trace{a: {proof: &sample}, c: {doubts: 2}}
	for range 3 {
		if got := j.open(); !reflect.DeepEqual(got, want) {
			t.Fatalf("it says %+v, want %+v", got, want)
		}
		must(t, j.close())
		j = open(t, path)
	}
	must(t, j.recorded(a))
	must(t, j.recorded(c))
	must(t, j.close())
	j = open(t, path)
	if got := j.open(); len(got) != 0 {
		t.Errorf("what is recorded is still there: %+v", got)
	}
	must(t, j.close())
	if info, err := os.Stat(path); err != nil || info.Size() != 0 || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
}

func TestJournalCutAnywhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.sent")
	j := open(t, path)
	a, b := key{sample.ID, 0}, key{"eff-9-b", 0}
	var sizes []int
	var states []map[key]trace
	size := func() {
		info, err := os.Stat(path)
		must(t, err)
		sizes, states = append(sizes, int(info.Size())), append(states, j.open())
	}
	size()
	for _, do := range []func() error{
		func() error { return j.begin(a) }, func() error { return j.sent(sample) }, func() error { return j.begin(b) },
		func() error { return j.recorded(a) }, func() error { return j.failed(b) },
	} {
		must(t, do())
		size()
	}
	must(t, j.close())
	whole, err := os.ReadFile(path)
	must(t, err)
	for at := range len(whole) + 1 {
		must(t, os.WriteFile(path, whole[:at], 0o600))
		j := open(t, path)
		// A line is there once its last byte is; the newline may be missing.
		i, found := slices.BinarySearch(sizes, at+1)
		if !found {
			i--
		}
		if got := j.open(); !reflect.DeepEqual(got, states[i]) {
			t.Fatalf("cut at %d it says %+v, want %+v", at, got, states[i])
		}
		// What is appended next must not be spoilt by what was cut.
		must(t, j.begin(key{"next", 0}))
		must(t, j.close())
		again := open(t, path)
		if again.open()[key{"next", 0}].doubts != 1 {
			t.Fatalf("cut at %d the next line is lost", at)
		}
		must(t, again.close())
	}
}

func TestJournalDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.sent")
	j := open(t, path)
	must(t, j.begin(key{"a", 0}))
	must(t, j.begin(key{"b", 0}))
	must(t, j.close())
	data, err := os.ReadFile(path)
	must(t, err)
	data[bytes.Index(data, []byte(`"a"`))+1] = 'x'
	must(t, os.WriteFile(path, data, 0o600))
	j, damaged, err := openJournal(path)
	must(t, err)
	if got := j.open(); damaged != 1 || len(got) != 1 || got[key{"b", 0}].doubts != 1 {
		t.Errorf("%d damaged, %+v", damaged, got)
	}
	must(t, j.close())
}

func TestJournalIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.sent")
	j := open(t, path)
	r := sample
	r.Reference = strings.Repeat("x", 4000)
	must(t, j.begin(key{"kept", 0}))
	for range 200 {
		must(t, j.sent(r))
		must(t, j.recorded(r.key()))
	}
	must(t, j.close())
	info, err := os.Stat(path)
	must(t, err)
	if info.Size() > bulk {
		t.Errorf("it has grown to %d bytes", info.Size())
	}
	j = open(t, path)
	if got := j.open(); len(got) != 1 || got[key{"kept", 0}].doubts != 1 {
		t.Errorf("it says %+v", got)
	}
	must(t, j.close())
}

func TestJournalThatCannotBeWrittenIsWrittenAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.sent")
	j := open(t, path)
	must(t, j.f.Close())
	if err := j.begin(key{"a", 0}); err == nil || !strings.Contains(err.Error(), path) {
		t.Fatalf("writing to a closed file: %v", err)
	}
	must(t, j.begin(key{"b", 0}))
	must(t, j.close())
	j = open(t, path)
	if got := j.open(); len(got) != 2 {
		t.Errorf("it says %+v", got)
	}
	must(t, j.close())
}

func TestJournalThatCannotBeMade(t *testing.T) {
	if _, _, err := openJournal(filepath.Join(t.TempDir(), "no", "outbox.sent")); err == nil || !strings.Contains(err.Error(), "make it a file that this user can write") {
		t.Error(err)
	}
}

func FuzzJournal(f *testing.F) {
	for _, l := range []line{{Op: opTry, ID: "a"}, {Op: opSent, ID: sample.ID, Proof: proofOf(sample)}, {Op: opRecorded, ID: "a", Resent: 1}} {
		data, err := l.bytes()
		must(f, err)
		f.Add(data)
		f.Add(data[:len(data)-3])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		traces, damaged := readJournal(data)
		if damaged > bytes.Count(data, []byte("\n")) {
			t.Errorf("%d of %d lines are damaged", damaged, bytes.Count(data, []byte("\n")))
		}
		for k, tr := range traces {
			if tr == (trace{}) || tr.proof != nil && tr.proof.key() != k {
				t.Errorf("%v is %+v", k, tr)
			}
		}
		// Whatever was there, what comes after it is read.
		next, err := line{Op: opTry, ID: "next"}.bytes()
		must(t, err)
		after, _ := readJournal(append(append(slices.Clone(data), '\n'), next...))
		if after[key{"next", 0}].doubts == 0 {
			t.Error("a line after it is lost")
		}
	})
}
