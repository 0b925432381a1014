package change

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/plain"
)

// eventForm is a change of any kind, in our own words. In a CloudEvent it is
// the data.
type eventForm struct {
	ID      string   `json:"id"`
	Tenant  string   `json:"tenant_id"`
	Kind    string   `json:"kind"`
	Title   string   `json:"title"`
	Ref     string   `json:"ref"`
	Author  string   `json:"author"`
	At      string   `json:"at"`
	Added   int      `json:"added"`
	Removed int      `json:"removed"`
	Files   []string `json:"files"`
	URL     string   `json:"url"`
}

// Event answers POST /changes of an authenticated sender: one change in our
// own JSON (kind and title are required, then id, ref, author, at, added, removed, files, url), or
// CloudEvents 1.0 over HTTP in structured, binary or batched mode.
func (rc *Receiver) Event(w http.ResponseWriter, r *http.Request, tenant string) {
	rc.serve(w, r, tenant, "change", func(body []byte) (receipt, error) {
		changes, err := readEvents(r, body, tenant, rc.now())
		if err != nil {
			return receipt{}, err
		}
		return rc.addAll(changes)
	})
}

func readEvents(r *http.Request, body []byte, tenant string, now time.Time) ([]Change, error) {
	one := func(c Change, err error) ([]Change, error) {
		if err != nil {
			return nil, err
		}
		return []Change{c}, nil
	}
	// In binary mode the content type is the data's, and there may be no data.
	if r.Header.Get("Ce-Specversion") != "" && !strings.HasPrefix(strings.ToLower(r.Header.Get("Content-Type")), "application/cloudevents") {
		return one(binaryEvent(r.Header, body, tenant, now))
	}
	media, err := mediaType(r)
	if err != nil {
		return nil, err
	}
	switch media {
	case "application/json":
		var f eventForm
		if err := decode(body, &f, true); err != nil {
			return nil, err
		}
		return one(f.change(tenant, now))
	case "application/cloudevents+json":
		return one(structuredEvent(body, tenant, now))
	case "application/cloudevents-batch+json":
		return batchedEvents(body, tenant, now)
	}
	return nil, refuse(http.StatusUnsupportedMediaType, "a change is sent as application/json, application/cloudevents+json or application/cloudevents-batch+json, not as %q", plain.Line(media, 80))
}

func (f *eventForm) change(tenant string, now time.Time) (Change, error) {
	if f.Tenant != "" && f.Tenant != tenant {
		return Change{}, refuse(http.StatusForbidden, "the field \"tenant_id\" names another tenant than the request is for")
	}
	if !slices.Contains(kinds, f.Kind) {
		return Change{}, wrong("the field \"kind\" is one of %s, not %q", strings.Join(kinds, ", "), plain.Line(f.Kind, 40))
	}
	title := firstLine(f.Title)
	if title == "" {
		return Change{}, wrong("the field \"title\" is missing: say in a line what was changed")
	}
	at, err := givenTime("at", f.At, now)
	if err != nil {
		return Change{}, err
	}
	if f.Added < 0 || f.Removed < 0 {
		return Change{}, wrong("the fields \"added\" and \"removed\" are numbers of lines, 0 or more")
	}
	if f.URL != "" && link(f.URL) == "" {
		return Change{}, wrongURL("url")
	}
	if len(f.ID) > 1000 {
		return Change{}, wrong("the field \"id\" is at most 1,000 bytes long")
	}
	c := Change{
		Tenant: tenant, Source: "event", Kind: f.Kind, At: at, Ref: f.Ref, Title: title, Author: f.Author,
		Added: f.Added, Removed: f.Removed, Files: f.Files, URL: f.URL,
	}
	sha := strings.ToLower(f.Ref)
	switch {
	case f.Kind == "commit" && !isHex(sha, shortSHA, 64):
		return Change{}, wrong("the field \"ref\" of a commit is its hash: 7 to 64 hexadecimal digits")
	case f.Kind == "commit":
		c.ID, c.Ref = commitID(sha), short(sha)
	case f.ID != "":
		c.ID = eventID("id", f.Kind, f.ID)
	default:
		// Without an ID only the very same text of the very same time is a repetition.
		c.ID = eventID("text", f.Kind, title, f.Ref, f.Author, f.URL, strconv.FormatInt(at.UnixNano(), 10))
	}
	return c, nil
}
