package change

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/plain"
)

// webhookName is what a webhook is called where it is refused.
const webhookName = "webhook"

// maxPush is how many commits of one push are kept, the newest.
const maxPush = 50

// GitHub answers POST /commits/webhook for a tenant whose webhook has this
// secret. Nothing of the body is looked at before its signature is verified;
// with an empty secret everything is refused. The events push, deployment,
// deployment_status and ping are known, others are ignored with 200.
//
// Payloads: https://docs.github.com/en/webhooks/webhook-events-and-payloads
func (rc *Receiver) GitHub(w http.ResponseWriter, r *http.Request, tenant, secret string) {
	rc.serve(w, r, tenant, webhookName, func(body []byte) (receipt, error) {
		if err := verifySignature(r.Header, body, secret); err != nil {
			return receipt{}, err
		}
		payload, err := webhookPayload(r, body)
		if err != nil {
			return receipt{}, err
		}
		event, delivery := r.Header.Get("X-GitHub-Event"), r.Header.Get("X-GitHub-Delivery")
		if event == "" {
			return receipt{}, wrong("the X-GitHub-Event header is missing")
		}
		if !deliveryID(delivery) {
			return receipt{}, wrong("the X-GitHub-Delivery header must have 1 to 64 letters, digits and hyphens")
		}
		changes, ignored, err := readWebhook(event, payload, tenant, rc.Branch, rc.now())
		if err != nil {
			return receipt{}, err
		}
		added, duplicate, err := rc.Store.AddDelivery(tenant, delivery, changes)
		if err != nil {
			return receipt{}, wrong("%v", err)
		}
		return receipt{Added: added, Duplicate: duplicate || len(changes) > 0 && added == 0, Ignored: ignored}, nil
	})
}

// webhookPayload is the JSON in either of the two content types that a
// webhook can be set to.
func webhookPayload(r *http.Request, body []byte) ([]byte, error) {
	media, err := mediaType(r)
	if err != nil {
		return nil, err
	}
	switch media {
	case "application/json":
		return body, nil
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil || len(form["payload"]) != 1 {
			return nil, wrong("a form-encoded webhook needs one field named payload")
		}
		return []byte(form.Get("payload")), nil
	}
	return nil, refuse(http.StatusUnsupportedMediaType, "a webhook is sent as application/json or application/x-www-form-urlencoded, not as %q", plain.Line(media, 80))
}

// deliveryID says whether s can be the ID of a delivery: GitHub's are GUIDs.
func deliveryID(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// moment is a time that GitHub gives as a text or in seconds; zero when it is
// neither, as a wrong time is no reason to miss a change.
type moment struct{ time.Time }

func (m *moment) UnmarshalJSON(data []byte) error {
	m.Time = parseMoment(strings.Trim(string(data), `"`))
	return nil
}

func parseMoment(s string) time.Time {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t
	}
	var seconds int64
	for _, d := range s {
		if d < '0' || d > '9' || seconds > 1<<40 {
			return time.Time{}
		}
		seconds = seconds*10 + int64(d-'0')
	}
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

type repository struct {
	FullName      string `json:"full_name"`
	DefaultBranch string `json:"default_branch"`
	HTMLURL       string `json:"html_url"`
	PushedAt      moment `json:"pushed_at"`
}

type pushedCommit struct {
	ID      string `json:"id"`
	Message string `json:"message"`
	URL     string `json:"url"`
	Author  struct {
		Name     string `json:"name"`
		Username string `json:"username"`
	} `json:"author"`
	Added    []string `json:"added"`
	Removed  []string `json:"removed"`
	Modified []string `json:"modified"`
}

type pushEvent struct {
	Ref        string         `json:"ref"`
	Before     string         `json:"before"`
	After      string         `json:"after"`
	Created    bool           `json:"created"`
	Deleted    bool           `json:"deleted"`
	Forced     bool           `json:"forced"`
	Compare    string         `json:"compare"`
	Commits    []pushedCommit `json:"commits"`
	HeadCommit *pushedCommit  `json:"head_commit"`
	Repository repository     `json:"repository"`
	Pusher     struct {
		Name string `json:"name"`
	} `json:"pusher"`
}

type account struct {
	Login string `json:"login"`
}

type deployment struct {
	ID          int64   `json:"id"`
	SHA         string  `json:"sha"`
	Ref         string  `json:"ref"`
	Environment string  `json:"environment"`
	Description string  `json:"description"`
	Creator     account `json:"creator"`
	CreatedAt   moment  `json:"created_at"`
}

type deploymentEvent struct {
	Deployment deployment `json:"deployment"`
	Status     struct {
		State     string  `json:"state"`
		TargetURL string  `json:"target_url"`
		LogURL    string  `json:"log_url"`
		Creator   account `json:"creator"`
		CreatedAt moment  `json:"created_at"`
	} `json:"deployment_status"`
	Repository repository `json:"repository"`
}

// readWebhook makes changes of a payload, or says why there is none in it.
func readWebhook(event string, payload []byte, tenant, branch string, now time.Time) (changes []Change, ignored string, err error) {
	switch event {
	case "push":
		var e pushEvent
		if err := decode(payload, &e, false); err != nil {
			return nil, "", err
		}
		return e.changes(tenant, branch, now)
	case "deployment", "deployment_status":
		var e deploymentEvent
		if err := decode(payload, &e, false); err != nil {
			return nil, "", err
		}
		return e.changes(event, tenant, now)
	case "ping":
		return nil, "a ping changes nothing", nil
	}
	return nil, "only the events push, deployment and deployment_status are changes", nil
}

// changes are the commits of a push to the branch that counts, dated when
// they were pushed: a commit may have been made days before. They are listed
// oldest first, as GitHub does.
func (e *pushEvent) changes(tenant, branch string, now time.Time) ([]Change, string, error) {
	if e.Ref == "" {
		return nil, "", wrong("the field \"ref\" is missing: this is no push")
	}
	name, isBranch := strings.CutPrefix(e.Ref, "refs/heads/")
	if branch == "" {
		branch = e.Repository.DefaultBranch
	}
	switch {
	case !isBranch:
		return nil, "only pushes to a branch are changes, not to a tag", nil
	case e.Deleted:
		return nil, "the branch was deleted", nil
	case branch != "*" && branch != "" && name != branch:
		return nil, "only pushes to " + plain.Line(branch, maxAuthor) + " are changes", nil
	}
	at := pushedAt(e.Repository.PushedAt.Time, now)
	if len(e.Commits) == 0 {
		return e.moved(tenant, name, at)
	}
	var all []Change
	for _, c := range e.Commits[max(0, len(e.Commits)-maxPush):] {
		if !isHex(c.ID, 40, 64) {
			return nil, "", wrong("the field \"commits.id\" is not the hash of a commit")
		}
		all = append(all, c.change(tenant, at))
	}
	return all, "", nil
}

// moved is a push that brought no commit: a branch that was forced to another
// place, back to where it was before perhaps, is a change nevertheless.
func (e *pushEvent) moved(tenant, branch string, at time.Time) ([]Change, string, error) {
	if e.Created || !e.Forced || e.HeadCommit == nil {
		return nil, "the push has no commits", nil
	}
	if !isHex(e.HeadCommit.ID, 40, 64) {
		return nil, "", wrong("the field \"head_commit.id\" is not the hash of a commit")
	}
	c := e.HeadCommit.change(tenant, at)
	c.ID = eventID("push", strings.ToLower(e.Repository.FullName), e.Ref, e.Before, e.After, at.Format(time.RFC3339))
	c.Title = plain.Line(branch, maxAuthor) + " forced to: " + c.Title
	c.Author, c.URL = e.Pusher.Name, e.Compare
	return []Change{c}, "", nil
}

func (c *pushedCommit) change(tenant string, at time.Time) Change {
	author := c.Author.Name
	if author == "" {
		author = c.Author.Username
	}
	files := make([]string, 0, len(c.Added)+len(c.Modified)+len(c.Removed))
	files = append(append(append(files, c.Modified...), c.Added...), c.Removed...)
	return Change{
		ID: commitID(c.ID), Tenant: tenant, Source: "github", Kind: "commit", At: at,
		Ref: short(c.ID), Title: firstLine(c.Message), Author: author, Files: files, URL: c.URL,
	}
}

// changes is the one step of a deployment that the event tells of.
func (e *deploymentEvent) changes(event, tenant string, now time.Time) ([]Change, string, error) {
	d := e.Deployment
	if d.ID <= 0 || e.Repository.FullName == "" {
		return nil, "", wrong("the field \"deployment.id\" or \"repository.full_name\" is missing: this is no deployment")
	}
	c := d.change(tenant, "github", e.Repository.FullName, now)
	c.URL = e.Repository.HTMLURL
	if event == "deployment" {
		return []Change{c}, "", nil
	}
	state, known := deploymentSteps[e.Status.State]
	if !known {
		return nil, "of a deployment's states only in_progress, success, failure and error are changes", nil
	}
	c.ID = deploymentID(e.Repository.FullName, d.ID, e.Status.State)
	c.Title += ": " + state
	c.At = pushedAt(e.Status.CreatedAt.Time, now)
	for _, u := range []string{e.Status.LogURL, e.Status.TargetURL} {
		if link(u) != "" {
			c.URL = u
			break
		}
	}
	return []Change{c}, "", nil
}

// deploymentSteps are the states in which a deployment changes something, as
// they are told.
var deploymentSteps = map[string]string{
	"in_progress": "in progress", "success": "succeeded", "failure": "failed", "error": "failed",
}

// change is the creation of a deployment.
func (d *deployment) change(tenant, source, repo string, now time.Time) Change {
	title := "Deployment"
	if env := plain.Line(d.Environment, maxRef); env != "" {
		title += " to " + env
	}
	if what := firstLine(d.Description); what != "" {
		title += " (" + plain.Cut(what, maxTitle/2) + ")"
	}
	ref := d.Ref
	if isHex(d.SHA, 40, 64) {
		ref = short(d.SHA)
	}
	return Change{
		ID: deploymentID(repo, d.ID, "created"), Tenant: tenant, Source: source, Kind: "deployment",
		At: pushedAt(d.CreatedAt.Time, now), Ref: ref, Title: title, Author: d.Creator.Login,
	}
}

// pushedAt is what GitHub says, or now when it says nothing or what has not
// come yet.
func pushedAt(said, now time.Time) time.Time {
	if said.IsZero() || said.After(now) {
		return now
	}
	return said
}
