package change

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/plain"
)

// commitForm is what a CI sends of one commit.
type commitForm struct {
	SHA     string   `json:"sha"`
	Title   string   `json:"title"`
	Message string   `json:"message"`
	Author  string   `json:"author"`
	At      string   `json:"at"`
	Added   int      `json:"added"`
	Removed int      `json:"removed"`
	Files   []string `json:"files"`
	URL     string   `json:"url"`
}

// Commit answers POST /commits/{tenant} of an authenticated CI: one commit,
// as JSON or as a form, so that curl --data-urlencode is all that a pipeline
// needs. Fields: sha (7 to 64 hexadecimal digits, required), title or message,
// author, at (RFC 3339; the time of arrival when left out), added and removed (lines), files
// (a list; in a form one to a line), url.
func (rc *Receiver) Commit(w http.ResponseWriter, r *http.Request, tenant string) {
	rc.serve(w, r, tenant, "commit", func(body []byte) (receipt, error) {
		media, err := mediaType(r)
		if err != nil {
			return receipt{}, err
		}
		var f commitForm
		switch media {
		case "application/json":
			err = decode(body, &f, true)
		case "application/x-www-form-urlencoded":
			err = f.parse(body)
		default:
			err = refuse(http.StatusUnsupportedMediaType, "a commit is sent as application/json or application/x-www-form-urlencoded, not as %q", plain.Line(media, 80))
		}
		if err != nil {
			return receipt{}, err
		}
		c, err := f.change(tenant, rc.now())
		if err != nil {
			return receipt{}, err
		}
		return rc.addAll([]Change{c})
	})
}

// parse reads the fields from a form.
func (f *commitForm) parse(body []byte) error {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return wrong("the form cannot be read: %s", plain.Line(err.Error(), 120))
	}
	texts := map[string]*string{"sha": &f.SHA, "title": &f.Title, "message": &f.Message, "author": &f.Author, "at": &f.At, "url": &f.URL}
	numbers := map[string]*int{"added": &f.Added, "removed": &f.Removed}
	for name, values := range form {
		if name == "files" {
			for _, v := range values {
				f.Files = append(f.Files, strings.FieldsFunc(v, func(r rune) bool { return r == '\n' || r == '\r' })...)
			}
			continue
		}
		if len(values) != 1 {
			return wrong("the form has the field %q twice", plain.Line(name, 80))
		}
		if text := texts[name]; text != nil {
			*text = values[0]
		} else if number := numbers[name]; number == nil {
			return wrong("there is no field %q; there are sha, title, message, author, at, added, removed, files and url", plain.Line(name, 80))
		} else if s := strings.TrimSpace(values[0]); s != "" {
			if *number, err = strconv.Atoi(s); err != nil {
				return wrong("the field %q is a number of lines, not %q", name, plain.Line(s, 40))
			}
		}
	}
	return nil
}

func (f *commitForm) change(tenant string, now time.Time) (Change, error) {
	sha := strings.ToLower(strings.TrimSpace(f.SHA))
	if !isHex(sha, shortSHA, 64) {
		return Change{}, wrong("the field \"sha\" is the hash of the commit: 7 to 64 hexadecimal digits, such as git rev-parse HEAD prints")
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
	title := firstLine(f.Title)
	if title == "" {
		title = firstLine(f.Message)
	}
	return Change{
		ID: commitID(sha), Tenant: tenant, Source: "ci", Kind: "commit", At: at,
		Ref: short(sha), Title: title, Author: f.Author, Added: f.Added, Removed: f.Removed, Files: f.Files, URL: f.URL,
	}, nil
}

func wrongURL(field string) error {
	return wrong("the field %q is a web address, http or https, of at most %d characters and without a password", field, maxURL)
}

// givenTime is a time that the sender of a change chose. A wrong one is the
// sender's to mend: a change at a wrong time explains nothing.
func givenTime(field, s string, now time.Time) (time.Time, error) {
	if s == "" {
		return now, nil
	}
	at, err := time.Parse(time.RFC3339, s)
	switch {
	case err != nil:
		return at, wrong("the field %q is a time such as 2006-01-02T15:04:05Z (RFC 3339), not %q", field, plain.Line(s, 40))
	case at.After(now.Add(maxAhead)):
		return at, wrong("the field %q is more than %d minutes in the future, seen from here (%s); leave it out to have the time of arrival", field, int(maxAhead/time.Minute), now.UTC().Format(time.RFC3339))
	case at.Before(now.Add(-Keep)):
		return at, wrong("the field %q is more than 7 days ago, and changes are kept no longer", field)
	}
	return at, nil
}
