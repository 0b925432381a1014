package machine

import (
	"strings"
	"testing"
	"time"
)

func TestHead(t *testing.T) {
	s := Begin()
	s.Versions = Versions(t.Context(), "../..", Question{"shell", []string{"sh", "-c", "echo 1.2; echo more"}}, Question{"absent", []string{"", "-v"}},
		Question{"broken", []string{"/nonexistent/program"}})
	s.End()
	if len(s.Versions) != 4 || s.Versions[2] != (Version{"shell", "1.2"}) || !strings.HasPrefix(s.Versions[3].Version, "does not say: ") {
		t.Errorf("the versions are %+v", s.Versions)
	}
	if s.Machine.Processors < 1 || s.Machine.MemoryMiB == 0 || s.Machine.Kernel == "" || s.Took <= 0 {
		t.Errorf("the machine is %+v, and it took %v", s.Machine, s.Took)
	}
	s.Began, s.Took = time.Unix(1e9, 0), 100*time.Second
	text := s.Head("Title", true)
	for _, want := range []string{"# Title\n", "A short run", "2001-09-09 01:46 UTC, in 2 min.", "| versions | commit: ", "; shell: 1.2; "} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	s.Took = 7 * time.Second
	if text := s.Head("Title", false); strings.Contains(text, "short run") || !strings.Contains(text, ", in 7 s.") {
		t.Errorf("a long run says\n%s", text)
	}
}

func TestStolen(t *testing.T) {
	if got := (ticks{200, 30}).stolenSince(ticks{100, 10}); got != 20 {
		t.Errorf("20 ticks of 100 are %v %%", got)
	}
	if got := (ticks{100, 10}).stolenSince(ticks{100, 10}); got != 0 {
		t.Errorf("of no time %v %% was stolen", got)
	}
}

func TestStayAwake(t *testing.T) {
	var s Setting
	stop, err := s.StayAwake(t.Context())
	if err != nil || s.Machine.KeptAwake {
		t.Errorf("a machine that is not virtual: kept awake %v, %v", s.Machine.KeptAwake, err)
	}
	stop()
}
