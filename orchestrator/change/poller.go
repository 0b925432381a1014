package change

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/plain"
)

// Bounds of one poll.
const (
	perPage   = 100
	maxPages  = 3 // of commits
	maxListed = 2000
	// The newest commits whose files are asked for.
	tokenDetails     = 20
	anonymousDetails = 5
	// minInterval is the shortest time between polls. Without a token GitHub
	// answers 60 requests an hour.
	minInterval       = 10 * time.Second
	tokenInterval     = time.Minute
	anonymousInterval = 5 * time.Minute
	// maxBackoff is the longest time between polls that fail, maxLimited that
	// of one that GitHub asked to wait.
	maxBackoff = 15 * time.Minute
	maxLimited = time.Hour
	// lookBack is less than Keep, so that nothing comes back that was forgotten.
	lookBack = Keep - 24*time.Hour
)

// PollerConfig says which repository is asked.
type PollerConfig struct {
	// Tenant is whose changes they are, Store keeps them. Required.
	Tenant string
	Store  *Store
	// Repo is "owner/name". Required.
	Repo string
	// Branch is the default branch when empty, or "*", which only pushes know.
	Branch string
	// API is the base URL, https://api.github.com when empty. For GitHub
	// Enterprise Server it is https://HOST/api/v3.
	API string
	// TokenFile holds the token, and is read at each poll; none when empty.
	TokenFile string
	// Interval is the time between polls, at least 10 s; when 0 a minute, and
	// 5 minutes without a token.
	Interval time.Duration
	// Log receives what an operator should know; slog.Default when nil.
	Log *slog.Logger
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// Wait returns after d, or with an error when ctx ends; a timer when nil.
	Wait func(ctx context.Context, d time.Duration) error
}

// Poller asks the GitHub API what changed, where no webhook can reach us:
// the commits of one branch and the deployments of the repository.
type Poller struct {
	cfg PollerConfig
	api *client

	// What follows is Run's own.
	commits     feed
	deployments feed
	polledAt    time.Time           // when the commits were last known
	listed      map[string]struct{} // commits that were listed before
	detailed    map[string]struct{} // of the newest, those whose files were asked for
	quietUntil  time.Time           // deployments may not be read, and are not asked for
	failures    int                 // in a row

	mu      sync.Mutex
	problem string
}

// feed is a list that is asked for again and again.
type feed struct{ url, etag string }

var repoName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+$`)

// NewPoller finds what an operator got wrong. It asks for nothing yet.
func NewPoller(cfg PollerConfig) (*Poller, error) {
	if cfg.Tenant == "" || cfg.Store == nil {
		return nil, errors.New("a poller needs a tenant and a store")
	}
	if len(cfg.Repo) > 140 || !repoName.MatchString(cfg.Repo) || strings.HasSuffix(cfg.Repo, "/.") || strings.HasSuffix(cfg.Repo, "/..") {
		return nil, fmt.Errorf("%q is no GitHub repository; write owner/name, such as acme/payments", cfg.Repo)
	}
	if cfg.Branch == "*" {
		cfg.Branch = ""
	}
	if len(cfg.Branch) > 255 || cfg.Branch != plain.Line(cfg.Branch, 255) {
		return nil, fmt.Errorf("%q is no name of a branch", cfg.Branch)
	}
	if cfg.Interval == 0 {
		cfg.Interval = tokenInterval
		if cfg.TokenFile == "" {
			cfg.Interval = anonymousInterval
		}
	}
	if cfg.Interval < minInterval {
		return nil, fmt.Errorf("GitHub cannot be asked every %s; the shortest interval is %s", cfg.Interval, minInterval)
	}
	if cfg.API == "" {
		cfg.API = "https://api.github.com"
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Wait == nil {
		cfg.Wait = wait
	}
	api, err := newClient(cfg.API, cfg.TokenFile, cfg.Now)
	if err != nil {
		return nil, err
	}
	return &Poller{cfg: cfg, api: api, listed: make(map[string]struct{})}, nil
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run polls until ctx ends, and then returns nil. Whatever goes wrong is
// logged once, shown by Problem, and tried again.
func (p *Poller) Run(ctx context.Context) error {
	defer p.api.close()
	for {
		pause := p.poll(ctx)
		if ctx.Err() != nil || p.cfg.Wait(ctx, pause) != nil {
			return nil
		}
	}
}

// Problem says why the last poll failed, empty when it did not. Safe for
// concurrent use.
func (p *Poller) Problem() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.problem
}

// poll asks once, and says when to ask again.
func (p *Poller) poll(ctx context.Context) time.Duration {
	err := p.pollCommits(ctx)
	if err == nil {
		err = p.pollDeployments(ctx)
	}
	if ctx.Err() != nil {
		return 0
	}
	p.report(err)
	if err == nil {
		p.failures = 0
		return max(p.cfg.Interval, min(p.api.exhausted(), maxLimited))
	}
	p.failures++
	backoff := min(p.cfg.Interval<<min(p.failures-1, 10), max(maxBackoff, p.cfg.Interval))
	if limited, ok := errors.AsType[*rateLimited](err); ok {
		return min(max(limited.wait, backoff), max(maxLimited, p.cfg.Interval))
	}
	return backoff
}

// report logs what is new: that it fails, that it fails otherwise, that it works again.
func (p *Poller) report(err error) {
	problem := ""
	if err != nil {
		problem = fmt.Sprintf("what changed in %s is not known: %v", p.cfg.Repo, err)
	}
	p.mu.Lock()
	before := p.problem
	p.problem = problem
	p.mu.Unlock()
	switch {
	case problem != "" && problem != before:
		p.cfg.Log.Warn("GitHub cannot be asked what changed", "repo", p.cfg.Repo, "error", err)
	case problem == "" && before != "":
		p.cfg.Log.Info("GitHub can be asked what changed again", "repo", p.cfg.Repo)
	}
}

func (p *Poller) pollCommits(ctx context.Context) error {
	now := p.cfg.Now()
	// A day's polls ask for the same, so that most are answered "not modified".
	query := url.Values{"per_page": {fmt.Sprint(perPage)}, "since": {now.Add(-lookBack).UTC().Truncate(24 * time.Hour).Format(time.RFC3339)}}
	if p.cfg.Branch != "" {
		query.Set("sha", p.cfg.Branch)
	}
	first := p.api.url(query, "repos", p.cfg.Repo, "commits")
	if p.commits.url != first {
		p.commits = feed{url: first}
	}
	var newest []listedCommit
	fresh := make(map[string]struct{})
	etag, next := "", first
	for page := 0; page < maxPages && next != ""; page++ {
		asked := ""
		if page == 0 {
			asked = p.commits.etag
		}
		isNew := 0
		got, err := p.api.list(ctx, next, asked, func(each func(any) error) error {
			var c listedCommit
			if err := each(&c); err != nil {
				return err
			}
			if !isHex(c.SHA, 40, 64) {
				return nil
			}
			if len(newest) < p.maxDetails() {
				newest = append(newest, c)
			}
			if _, known := p.listed[c.SHA]; !known {
				isNew++
				p.add(c, now)
			}
			fresh[c.SHA] = struct{}{}
			return nil
		})
		if err != nil {
			return err
		}
		if got.notModified {
			p.polledAt = now
			return nil
		}
		if page == 0 {
			etag = got.etag
		}
		if next = got.next; isNew == 0 {
			break
		}
	}
	if err := p.details(ctx, newest); err != nil {
		return err
	}
	p.remember(fresh)
	p.polledAt, p.commits.etag = now, etag
	return nil
}

// add keeps a commit that was not listed before. GitHub does not say when it
// was pushed: when it was made, or, if that was before the last poll, which
// did not list it, at that poll the earliest.
func (p *Poller) add(c listedCommit, now time.Time) {
	at := c.Commit.Committer.Date.Time
	if p.polledAt.IsZero() && (at.IsZero() || at.After(now.Add(maxAhead))) {
		return // it may be of any age
	}
	if at.Before(p.polledAt) {
		at = p.polledAt
	}
	p.keep(c.change(p.cfg.Tenant, pushedAt(at, now)))
}

func (p *Poller) keep(c Change) {
	if _, err := p.cfg.Store.Add(c); err != nil {
		p.cfg.Log.Debug("a change from GitHub was not kept", "repo", p.cfg.Repo, "error", err)
	}
}

// details asks for the files of the newest commits that lack them.
func (p *Poller) details(ctx context.Context, newest []listedCommit) error {
	known := make(map[string]struct{}, len(newest))
	for _, c := range newest {
		if _, asked := p.detailed[c.SHA]; asked {
			known[c.SHA] = struct{}{}
		}
	}
	p.detailed = known
	for _, c := range newest {
		kept, lines := p.cfg.Store.lookup(p.cfg.Tenant, commitID(c.SHA))
		if _, asked := known[c.SHA]; asked || lines || !kept {
			continue
		}
		d, err := p.api.commit(ctx, p.cfg.Repo, c.SHA)
		if failed, ok := errors.AsType[*failedAnswer](err); ok && failed.status < 500 {
			known[c.SHA] = struct{}{} // this one has none to give
			continue
		}
		if err != nil {
			return err
		}
		full := c.change(p.cfg.Tenant, p.cfg.Now())
		full.Added, full.Removed, full.Files, full.Touches = d.added, d.removed, d.files, d.touches
		p.keep(full)
		known[c.SHA] = struct{}{}
	}
	return nil
}

// maxDetails is less where the requests of an hour are few.
func (p *Poller) maxDetails() int {
	if p.cfg.TokenFile == "" {
		return anonymousDetails
	}
	return tokenDetails
}

func (p *Poller) remember(fresh map[string]struct{}) {
	if len(p.listed)+len(fresh) > maxListed {
		p.listed = fresh
		return
	}
	for sha := range fresh {
		p.listed[sha] = struct{}{}
	}
}

func (p *Poller) pollDeployments(ctx context.Context) error {
	now := p.cfg.Now()
	if now.Before(p.quietUntil) {
		return nil
	}
	p.deployments.url = p.api.url(url.Values{"per_page": {"30"}}, "repos", p.cfg.Repo, "deployments")
	got, err := p.api.list(ctx, p.deployments.url, p.deployments.etag, func(each func(any) error) error {
		var d deployment
		if err := each(&d); err != nil {
			return err
		}
		if d.ID > 0 && !d.CreatedAt.IsZero() {
			p.keep(d.change(p.cfg.Tenant, "poll", p.cfg.Repo, now))
		}
		return nil
	})
	if failed, ok := errors.AsType[*failedAnswer](err); ok && (failed.status == 403 || failed.status == 404) {
		// A token may be good for commits only.
		p.quietUntil = now.Add(maxLimited)
		p.cfg.Log.Info("GitHub does not show the deployments; commits are known all the same", "repo", p.cfg.Repo, "error", err)
		return nil
	}
	if err == nil && !got.notModified {
		p.deployments.etag = got.etag
	}
	return err
}
