package change

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// listedCommit is a commit as GitHub's list has it.
type listedCommit struct {
	SHA     string `json:"sha"`
	HTMLURL string `json:"html_url"`
	Commit  struct {
		Message string `json:"message"`
		Author  struct {
			Name string `json:"name"`
		} `json:"author"`
		Committer struct {
			Date moment `json:"date"`
		} `json:"committer"`
	} `json:"commit"`
}

func (c *listedCommit) change(tenant string, at time.Time) Change {
	return Change{
		ID: commitID(c.SHA), Tenant: tenant, Source: "poll", Kind: "commit", At: at,
		Ref: short(c.SHA), Title: firstLine(c.Commit.Message), Author: c.Commit.Author.Name, URL: c.HTMLURL,
	}
}

// commitDetail is what only the answer to a single commit has.
type commitDetail struct {
	added, removed int
	files, touches []string
}

// commit asks for one commit's lines and files. Of one with too many files to
// be read whole, those that were read count.
func (c *client) commit(ctx context.Context, repo, sha string) (commitDetail, error) {
	var d commitDetail
	address := c.url(url.Values{"per_page": {strconv.Itoa(perPage)}}, "repos", repo, "commits", sha)
	err := c.get(ctx, address, "", func(resp *http.Response) error {
		body := &io.LimitedReader{R: resp.Body, N: maxAnswer}
		err := d.read(json.NewDecoder(body))
		if err != nil && body.N <= 0 {
			return nil
		}
		return notJSON(err)
	})
	d.touches = Touches(d.files)
	d.files = mainFiles(d.files)
	return d, err
}

// read goes through the answer member by member.
func (d *commitDetail) read(dec *json.Decoder) error {
	t, err := dec.Token()
	if err == nil && t != json.Delim('{') {
		err = errors.New("it is no object")
	}
	if err != nil {
		return err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		switch name {
		case "stats":
			var stats struct{ Additions, Deletions int }
			if err := dec.Decode(&stats); err != nil {
				return err
			}
			d.added, d.removed = stats.Additions, stats.Deletions
		case "files":
			if err := d.readFiles(dec); err != nil {
				return err
			}
		default:
			if err := dec.Decode(new(json.RawMessage)); err != nil {
				return err
			}
		}
	}
	_, err = dec.Token()
	return err
}

func (d *commitDetail) readFiles(dec *json.Decoder) error {
	return elements(dec, func() error {
		var f struct {
			Filename string `json:"filename"`
		}
		if err := dec.Decode(&f); err != nil {
			return err
		}
		if len(d.files) < maxLooked {
			d.files = append(d.files, f.Filename)
		}
		return nil
	})
}
