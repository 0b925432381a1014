package change

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/countersign-dev/countersign/orchestrator/plain"
)

var (
	sources = []string{"github", "ci", "event", "poll"}
	kinds   = []string{"commit", "deployment", "flag", "migration", "config", "infrastructure", "image"}
)

// shortSHA is how many digits of a commit are shown, and the fewest by which
// one is recognized.
const shortSHA = 7

// commitID is the ID of a commit from wherever it is told of: its hash is
// the same everywhere.
func commitID(sha string) string { return "commit:" + sha }

// deploymentID is the ID of one step of a deployment.
func deploymentID(repo string, id int64, state string) string {
	return "deployment:" + strings.ToLower(repo) + ":" + strconv.FormatInt(id, 10) + ":" + state
}

// eventID is the ID of an event, from what tells it from others.
func eventID(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return "event:" + hex.EncodeToString(h.Sum(nil)[:16])
}

// same says whether two IDs are of one change: equal, or the same commit of
// which one is abbreviated.
func same(a, b string) bool {
	if a == b {
		return true
	}
	if len(a) == len(b) {
		return false
	}
	shaA, okA := strings.CutPrefix(a, "commit:")
	shaB, okB := strings.CutPrefix(b, "commit:")
	return okA && okB && (strings.HasPrefix(shaA, shaB) || strings.HasPrefix(shaB, shaA))
}

func short(sha string) string { return sha[:min(len(sha), shortSHA)] }

// tidy is c cleaned, bounded and flagged.
func tidy(c Change) (Change, error) {
	if c.ID == "" || c.Tenant == "" {
		return c, errors.New("a change needs an id and a tenant")
	}
	if len(c.ID) > maxID || c.ID != plain.Line(c.ID, maxID) {
		return c, fmt.Errorf("the id of a change is at most %d printable characters", maxID)
	}
	if sha, ok := strings.CutPrefix(c.ID, "commit:"); ok && !isHex(sha, shortSHA, 64) {
		return c, fmt.Errorf("%q is not the hash of a commit: it has 7 to 64 hexadecimal digits", plain.Cut(sha, maxRef))
	}
	if !slices.Contains(kinds, c.Kind) {
		return c, fmt.Errorf("there is no kind of change %q; it is one of %s", plain.Line(c.Kind, 40), strings.Join(kinds, ", "))
	}
	if !slices.Contains(sources, c.Source) {
		return c, fmt.Errorf("changes have no source %q; it is one of %s", plain.Line(c.Source, 40), strings.Join(sources, ", "))
	}
	c.ID, c.Tenant = strings.Clone(c.ID), strings.Clone(c.Tenant)
	c.Ref = plain.Line(c.Ref, maxRef)
	c.Title = plain.Line(c.Title, maxTitle)
	c.Author = plain.Line(c.Author, maxAuthor)
	c.URL = link(c.URL)
	c.Added, c.Removed = bounded(c.Added), bounded(c.Removed)
	c.Files = c.Files[:min(len(c.Files), maxLooked)]
	c.Touches = union(Touches(c.Files), c.Touches)
	c.Files = mainFiles(c.Files)
	return c, nil
}

func bounded(lines int) int { return max(0, min(lines, maxLines)) }

// mainFiles are at most maxFiles of files, first those for which a change is
// flagged.
func mainFiles(files []string) []string {
	var telling, others []string
	for _, f := range files {
		name := plain.Line(f, maxPath)
		switch {
		case name == "":
		case len(Touches([]string{f})) > 0:
			if len(telling) < maxFiles {
				telling = append(telling, name)
			}
		case len(others) < maxFiles:
			others = append(others, name)
		}
	}
	all := append(telling, others...)
	return slices.Clip(all[:min(len(all), maxFiles)])
}

// union is the flags of both, in their order.
func union(a, b []string) []string {
	var all []string
	for _, f := range flags {
		if slices.Contains(a, f) || slices.Contains(b, f) {
			all = append(all, f)
		}
	}
	return all
}

// learn takes from other, the same change told by somebody else, what c
// lacks, and says whether there was anything. When and by whom it was first
// told stays.
func (c *Change) learn(other Change) bool {
	before := *c
	if len(other.ID) > len(c.ID) {
		c.ID = other.ID
	}
	for _, field := range []struct{ have, other *string }{
		{&c.Ref, &other.Ref}, {&c.Title, &other.Title}, {&c.Author, &other.Author}, {&c.URL, &other.URL},
	} {
		if *field.have == "" {
			*field.have = *field.other
		}
	}
	if c.Added+c.Removed == 0 {
		c.Added, c.Removed = other.Added, other.Removed
	}
	if len(c.Files) == 0 {
		c.Files = slices.Clone(other.Files)
	}
	c.Touches = union(c.Touches, other.Touches)
	return c.ID != before.ID || c.Ref != before.Ref || c.Title != before.Title || c.Author != before.Author || c.URL != before.URL ||
		c.Added != before.Added || c.Removed != before.Removed ||
		len(c.Files) != len(before.Files) || len(c.Touches) != len(before.Touches)
}

// clone shares nothing with c that could be changed.
func (c Change) clone() Change {
	c.Files = slices.Clone(c.Files)
	c.Touches = slices.Clone(c.Touches)
	return c
}
