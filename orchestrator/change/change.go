package change

import "time"

// Change is something that was changed: a commit, a deployment, a flag.
type Change struct {
	ID     string    `json:"id"`
	Tenant string    `json:"tenant_id"`
	Source string    `json:"source"` // "github", "ci", "event" or "poll"
	Kind   string    `json:"kind"`   // "commit", "deployment", "flag", "migration", "config", "infrastructure" or "image"
	At     time.Time `json:"at"`
	Ref    string    `json:"ref,omitempty"`
	Title  string    `json:"title"`
	Author string    `json:"author,omitempty"`
	// Added and Removed are lines, 0 when not known.
	Added   int      `json:"added,omitempty"`
	Removed int      `json:"removed,omitempty"`
	Files   []string `json:"files,omitempty"`
	Touches []string `json:"touches,omitempty"` // of "database", "query", "migration", "config"
	URL     string   `json:"url,omitempty"`
}
