package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// pageSize bounds what one answer of a list has.
const pageSize = "500"

// List hands the collection at path to each, page by page: every one is a list as the
// server encodes it, of at most 500 objects. An error of each ends it.
func (c *Client) List(ctx context.Context, path string, each func(page []byte) error) error {
	query := url.Values{"limit": {pageSize}}
	for {
		var page json.RawMessage
		if err := c.do(ctx, http.MethodGet, path, query, "", nil, &page); err != nil {
			return err
		}
		var list struct {
			Metadata struct {
				Continue string `json:"continue"`
			} `json:"metadata"`
		}
		if err := json.Unmarshal(page, &list); err != nil {
			return fmt.Errorf("the API server gave an answer to GET %s that is no list: %w", path, err)
		}
		if err := each(page); err != nil {
			return err
		}
		if list.Metadata.Continue == "" {
			return nil
		}
		query.Set("continue", list.Metadata.Continue)
	}
}

// Version is the version of an API server, such as 1.29.
type Version struct{ Major, Minor int }

// Less reports whether v is older than o.
func (v Version) Less(o Version) bool {
	return v.Major < o.Major || v.Major == o.Major && v.Minor < o.Minor
}

func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// Version asks the server for its version.
func (c *Client) Version(ctx context.Context) (Version, error) {
	var said struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := c.Get(ctx, "/version", &said); err != nil {
		return Version{}, err
	}
	var v Version
	// The fields major and minor may have a plus sign; this one never has before its second dot.
	if _, err := fmt.Sscanf(said.GitVersion, "v%d.%d.", &v.Major, &v.Minor); err != nil {
		return Version{}, fmt.Errorf("the API server says that its version is %q, which is not of the form v1.29.0", said.GitVersion)
	}
	return v, nil
}
