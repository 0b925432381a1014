package change

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// clock is a clock that stands until it is set.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// sha is the nth commit.
func sha(n int) string { return fmt.Sprintf("%08x%032x", n*2654435761%(1<<32), n) }

func commit(tenant string, n int, at time.Time) Change {
	return Change{
		ID: commitID(sha(n)), Tenant: tenant, Source: "github", Kind: "commit", At: at,
		Ref: short(sha(n)), Title: fmt.Sprintf("Commit %d", n), Author: "ana",
	}
}

func mustAdd(t *testing.T, s *Store, c Change) bool {
	t.Helper()
	added, err := s.Add(c)
	if err != nil {
		t.Fatalf("Add(%+v): %v", c, err)
	}
	return added
}

func titles(changes []Change) []string {
	all := []string{}
	for _, c := range changes {
		all = append(all, c.Title)
	}
	return all
}

func expect(t *testing.T, what string, got []Change, want ...string) {
	t.Helper()
	if want == nil {
		want = []string{}
	}
	if !reflect.DeepEqual(titles(got), want) {
		t.Errorf("%s: got %q, want %q", what, titles(got), want)
	}
}

func TestBefore(t *testing.T) {
	c := &clock{noon}
	s := Open("", c.now, quiet())
	for n, ago := range []time.Duration{11 * time.Minute, 10 * time.Minute, 3 * time.Minute, 0, -Skew, -Skew - time.Second, -4 * time.Minute} {
		mustAdd(t, s, commit("a", n, noon.Add(-ago)))
	}
	expect(t, "10 minutes before, and the skew after", s.Before("a", noon, 10*time.Minute), "Commit 4", "Commit 3", "Commit 2", "Commit 1")
	expect(t, "another tenant", s.Before("b", noon, 10*time.Minute))
	expect(t, "recent", s.Recent("a", 2), "Commit 6", "Commit 5")
	expect(t, "none asked for", s.Recent("a", 0))

	// Commits of one push have one time; the last of them is the newest.
	s = Open("", c.now, quiet())
	for n := range 60 {
		mustAdd(t, s, commit("a", n, noon))
	}
	got := s.Before("a", noon, time.Minute)
	if len(got) != maxBefore || got[0].Title != "Commit 59" || got[1].Title != "Commit 58" {
		t.Errorf("of one push: %q", titles(got))
	}
	// What is handed out is the caller's own.
	got[0].Title = "changed"
	expect(t, "after a caller changed its copy", s.Recent("a", 1), "Commit 59")
}

func TestBeforeTellsADeploymentOnce(t *testing.T) {
	c := &clock{noon}
	s := Open("", c.now, quiet())
	for i, state := range []string{"created", "in_progress", "success"} {
		mustAdd(t, s, Change{ID: deploymentID("Acme/Pay", 7, state), Tenant: "a", Source: "github", Kind: "deployment", Title: state, At: noon.Add(time.Duration(i-10) * time.Minute)})
	}
	mustAdd(t, s, Change{ID: deploymentID("acme/pay", 8, "created"), Tenant: "a", Source: "poll", Kind: "deployment", Title: "other", At: noon.Add(-9 * time.Minute)})
	expect(t, "both deployments", s.Before("a", noon, 10*time.Minute), "success", "other")
	expect(t, "while one is under way", s.Before("a", noon.Add(-10*time.Minute), 10*time.Minute), "created")
}

func TestAddKeepsTimesThatCanBe(t *testing.T) {
	c := &clock{noon}
	s := Open("", c.now, quiet())
	for n, tc := range []struct {
		at, want time.Time
		added    bool
	}{
		{time.Time{}, noon, true},
		{noon.Add(maxAhead), noon.Add(maxAhead), true},
		{noon.Add(maxAhead + time.Second), noon, true},
		{time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), noon, true},
		{noon.Add(-Keep), noon.Add(-Keep), true},
		{noon.Add(-Keep - time.Second), time.Time{}, false},
		{time.Unix(0, 0), time.Time{}, false},
		{noon.In(time.FixedZone("", 3600)), noon, true},
	} {
		if added := mustAdd(t, s, commit("a", n, tc.at)); added != tc.added {
			t.Errorf("%s: added %v", tc.at, added)
		}
		if i := s.shelf("a").find(commitID(sha(n))); tc.added && !s.shelf("a").changes[i].At.Equal(tc.want) {
			t.Errorf("%s is kept as %s", tc.at, s.shelf("a").changes[i].At)
		}
	}
}

func TestTheSameCommitIsOneChange(t *testing.T) {
	for name, order := range map[string][]string{"webhook first": {"github", "poll", "ci"}, "CI first": {"ci", "github", "poll"}, "poller first": {"poll", "ci", "github"}} {
		s := Open("", (&clock{noon}).now, quiet())
		told := map[string]Change{
			"github": {ID: commitID(sha(1)), Files: []string{"db/orders.sql"}, Title: "Fix it", Author: "ana"},
			"poll":   {ID: commitID(sha(1)), Title: "Fix it", Added: 12, Removed: 3, Files: []string{"db/orders.sql"}},
			"ci":     {ID: commitID(sha(1)[:9]), Title: "Fix it", URL: "https://ci.example/1"},
		}
		for i, source := range order {
			c := told[source]
			c.Tenant, c.Kind, c.Source, c.At = "a", "commit", source, noon.Add(time.Duration(i)*time.Second)
			if added := mustAdd(t, s, c); added != (i == 0) {
				t.Errorf("%s: the one from %s: added %v", name, source, added)
			}
		}
		got := s.Recent("a", 10)
		want := Change{ID: commitID(sha(1)), Tenant: "a", Source: order[0], Kind: "commit", At: noon, Title: "Fix it", Author: "ana",
			Added: 12, Removed: 3, Files: []string{"db/orders.sql"}, Touches: []string{"database"}, URL: "https://ci.example/1"}
		if len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			t.Errorf("%s: got  %+v\nwant %+v", name, got, want)
		}
	}
}

func TestAddRefusesWhatIsNoChange(t *testing.T) {
	s := Open("", (&clock{noon}).now, quiet())
	for name, spoil := range map[string]func(*Change){
		"no id":            func(c *Change) { c.ID = "" },
		"no tenant":        func(c *Change) { c.Tenant = "" },
		"a long id":        func(c *Change) { c.ID = strings.Repeat("x", maxID+1) },
		"a line break":     func(c *Change) { c.ID = "event:a\nb" },
		"a short hash":     func(c *Change) { c.ID = "commit:abc" },
		"no hash":          func(c *Change) { c.ID = "commit:main/../../etc" },
		"an upper-case id": func(c *Change) { c.ID = "commit:ABCDEF12" },
		"another kind":     func(c *Change) { c.Kind = "rumour" },
		"another source":   func(c *Change) { c.Source = "" },
	} {
		c := commit("a", 1, noon)
		spoil(&c)
		if added, err := s.Add(c); err == nil || added {
			t.Errorf("%s: added %v, error %v", name, added, err)
		}
	}
	if _, _, err := s.AddDelivery("a", "d", []Change{commit("b", 1, noon)}); err == nil {
		t.Error("a delivery for one tenant brought a change of another")
	}
}

func TestStoreIsBounded(t *testing.T) {
	c := &clock{noon}
	s := Open("", c.now, quiet())
	mustAdd(t, s, commit("other", 1, noon))
	for n := range MaxChanges + 100 {
		mustAdd(t, s, commit("a", n, noon.Add(time.Duration(n)*time.Second-Keep/2)))
	}
	got := s.Recent("a", MaxChanges*2)
	if len(got) != MaxChanges || got[len(got)-1].Title != "Commit 100" {
		t.Errorf("%d are kept, the oldest is %q", len(got), got[len(got)-1].Title)
	}
	if mustAdd(t, s, commit("a", 5, noon.Add(-Keep/2))) {
		t.Error("one older than all of a full store was added")
	}
	expect(t, "the other tenant", s.Recent("other", 5), "Commit 1")

	long := strings.Repeat("x", 10_000)
	for n := range 500 {
		big := commit("b", n, noon)
		big.Title, big.Author, big.Ref, big.Added = long, long, long, 1<<40
		for i := range 40 {
			big.Files = append(big.Files, fmt.Sprintf("%d/%s", i, long))
		}
		mustAdd(t, s, big)
	}
	sh := s.shelves["b"]
	total := 0
	for _, c := range sh.changes {
		total += size(c)
	}
	if total != sh.text || total > maxText || total < maxText/2 {
		t.Errorf("the largest changes take %d bytes, counted as %d", total, sh.text)
	}
	if c := s.Recent("b", 1)[0]; len([]rune(c.Title)) != maxTitle || len(c.Files) != maxFiles || c.Added != maxLines {
		t.Errorf("a large change is kept as %d characters, %d files, %d lines", len([]rune(c.Title)), len(c.Files), c.Added)
	}

	c.at = noon.Add(Keep + time.Second)
	expect(t, "after a week", s.Recent("other", 5))
	mustAdd(t, s, commit("other", 2, c.at))
	if n := len(s.shelves["other"].changes); n != 1 {
		t.Errorf("%d changes are in memory after a week", n)
	}
}

func TestStoreSurvivesARestart(t *testing.T) {
	c := &clock{noon}
	name := filepath.Join(t.TempDir(), "data", "changes.jsonl")
	s := Open(name, c.now, quiet())
	first := commit("a", 1, noon.Add(-time.Hour))
	mustAdd(t, s, first)
	first.Files, first.Added = []string{"migrations/1.py"}, 4
	mustAdd(t, s, first)
	mustAdd(t, s, commit("b", 2, noon))
	if added, duplicate, err := s.AddDelivery("a", "d-1", []Change{commit("a", 3, noon)}); added != 1 || duplicate || err != nil {
		t.Fatal(added, duplicate, err)
	}
	want := s.Recent("a", 10)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}

	s = Open(name, c.now, quiet())
	defer s.Close()
	if got := s.Recent("a", 10); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	expect(t, "the other tenant", s.Recent("b", 10), "Commit 2")
	if added, duplicate, err := s.AddDelivery("a", "d-1", []Change{commit("a", 4, noon)}); added != 0 || !duplicate || err != nil {
		t.Error("a delivery from before the restart was taken again:", added, duplicate, err)
	}
	if _, duplicate, _ := s.AddDelivery("b", "d-1", nil); duplicate {
		t.Error("a delivery to one tenant is a duplicate for another")
	}
}

func TestDamagedFiles(t *testing.T) {
	whole := func(n int) string {
		return fmt.Sprintf(`{"change":{"id":"commit:%s","tenant_id":"a","source":"ci","kind":"commit","at":"2026-03-02T11:00:0%dZ","title":"Commit %d"}}`+"\n", sha(n), n, n)
	}
	for name, tc := range map[string]struct {
		content string
		want    []string
		aside   bool
	}{
		"empty":                      {"", nil, false},
		"torn tail":                  {whole(1) + whole(2)[:40], []string{"Commit 1"}, false},
		"only the newline is torn":   {whole(1) + strings.TrimSuffix(whole(2), "\n"), []string{"Commit 2", "Commit 1"}, false},
		"zeros at the end":           {whole(1) + strings.Repeat("\x00", 5000), []string{"Commit 1"}, false},
		"a line that is none":        {whole(1) + "what is this\n" + whole(2), []string{"Commit 2", "Commit 1"}, true},
		"a line of another format":   {whole(1) + `{"change":{"id":"x","tenant_id":"a","kind":"dream"}}` + "\n", []string{"Commit 1"}, true},
		"a change without a time":    {whole(1) + `{"change":{"id":"x","tenant_id":"a","kind":"flag","source":"ci","title":"t"}}` + "\n", []string{"Commit 1"}, true},
		"an endless line":            {whole(1) + strings.Repeat("x", 3*maxLine) + "\n" + whole(2), []string{"Commit 2", "Commit 1"}, true},
		"a delivery of no tenant":    {whole(1) + `{"delivery":{"id":"x","at":"2026-03-02T11:00:00Z"}}` + "\n", []string{"Commit 1"}, true},
		"lines of a week ago":        {strings.ReplaceAll(whole(1), "2026-03-02", "2026-02-02") + whole(2), []string{"Commit 2"}, false},
		"the same line many times":   {strings.Repeat(whole(1), 500), []string{"Commit 1"}, false},
		"an empty line in the midst": {whole(1) + "\n" + whole(2), []string{"Commit 2", "Commit 1"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "changes.jsonl")
			if err := os.WriteFile(file, []byte(tc.content), 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				s := Open(file, (&clock{noon}).now, quiet())
				expect(t, "read", s.Recent("a", 10), tc.want...)
				mustAdd(t, s, commit("b", 9, noon))
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			s := Open(file, (&clock{noon}).now, quiet())
			expect(t, "added", s.Recent("b", 10), "Commit 9")
			aside, err := os.ReadFile(file + ".damaged-1")
			if tc.aside != (err == nil) || tc.aside && string(aside) != tc.content {
				t.Errorf("kept aside: %v", err)
			}
			if _, err := os.Stat(file + ".damaged-2"); err == nil {
				t.Error("the damage was found again in the file written anew")
			}
		})
	}
}

func TestUnreadableFileIsKeptAside(t *testing.T) {
	var log bytes.Buffer
	file := filepath.Join(t.TempDir(), "changes.jsonl")
	// A directory in its place cannot be read, by root neither.
	if err := os.MkdirAll(filepath.Join(file, "inside"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := Open(file, (&clock{noon}).now, slog.New(slog.NewTextHandler(&log, nil)))
	mustAdd(t, s, commit("a", 1, noon))
	if _, err := os.Stat(filepath.Join(file+".damaged-1", "inside")); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "begun anew") {
		t.Error(log.String())
	}
	s = Open(file, (&clock{noon}).now, quiet())
	expect(t, "kept in the new file", s.Recent("a", 1), "Commit 1")
}

func TestADiskAtFaultLosesNothing(t *testing.T) {
	c := &clock{noon}
	var log bytes.Buffer
	dir := t.TempDir()
	name := filepath.Join(dir, "data", "changes.jsonl")
	s := Open(name, c.now, slog.New(slog.NewTextHandler(&log, nil)))
	mustAdd(t, s, commit("a", 1, noon))

	// The file cannot be written any more, and nothing can be put in its place.
	s.file.f.Close()
	if err := os.Rename(filepath.Join(dir, "data"), filepath.Join(dir, "gone")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for n := 2; n < 5; n++ {
		mustAdd(t, s, commit("a", n, noon))
		c.at = c.at.Add(retryAfter)
	}
	expect(t, "in memory", s.Recent("a", 9), "Commit 4", "Commit 3", "Commit 2", "Commit 1")
	if n := strings.Count(log.String(), "in memory only"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, log.String())
	}

	if err := os.Remove(filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	mustAdd(t, s, commit("a", 5, noon))
	if !strings.Contains(log.String(), "on disk again") {
		t.Error(log.String())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = Open(name, c.now, quiet())
	expect(t, "after a restart", s.Recent("a", 9), "Commit 5", "Commit 4", "Commit 3", "Commit 2", "Commit 1")
}

func TestFileIsWrittenAnewWhenStale(t *testing.T) {
	c := &clock{noon}
	name := filepath.Join(t.TempDir(), "changes.jsonl")
	s := Open(name, c.now, quiet())
	defer s.Close()
	for n := range 1000 {
		mustAdd(t, s, commit("a", n, c.at))
		c.at = c.at.Add(Keep / 50)
	}
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(content, []byte("\n")); lines > 2*51+slack+1 {
		t.Errorf("%d lines for %d changes", lines, len(s.Recent("a", 1000)))
	}
	if _, err := os.Stat(name + ".new"); err == nil {
		t.Error("the file in the making was left behind")
	}
}

func TestStoreConcurrently(t *testing.T) {
	s := Open(filepath.Join(t.TempDir(), "changes.jsonl"), func() time.Time { return noon }, quiet())
	done := make(chan int)
	for g := range 4 {
		go func() {
			added := 0
			for n := range 200 {
				if ok, _ := s.Add(commit("a", n, noon)); ok {
					added++
				}
				if n%10 == g {
					_, _, _ = s.AddDelivery("a", fmt.Sprint("d", n), []Change{commit("b", n, noon)}[:0])
					s.Before("a", noon, time.Hour)
					s.Recent("b", 3)
				}
			}
			done <- added
		}()
	}
	if total := <-done + <-done + <-done + <-done; total != 200 {
		t.Errorf("200 commits were added %d times", total)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
