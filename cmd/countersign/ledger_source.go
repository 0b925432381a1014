package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/ledger/verify"
	"github.com/countersign-dev/countersign/orchestrator/api"
	"github.com/countersign-dev/countersign/orchestrator/tenant"
	"github.com/countersign-dev/countersign/roots"
)

// openLog opens the log that a command reads: a bundle or URL that is named,
// else the store or the running sidecar's.
func openLog(ctx context.Context, c *cli.Context, named string) (verify.Source, io.Closer, error) {
	where, err := chosen(c, storeFlagName, adminFlagName)
	switch {
	case err != nil:
		return nil, nil, err
	case named != "" && c.String(where) != "" && onCommandLine(c, where):
		return nil, nil, usageError{fmt.Sprintf("both %s and --%s are given: which one is meant?", named, where)}
	case named != "":
		src, closer, err := openSource(ctx, c, named)
		if s, ok := errors.AsType[*verify.SourceError](err); ok {
			err = exitError{int(s.Code), s}
		}
		return src, closer, err
	case where == storeFlagName:
		s, err := openStore(ctx, c, c.String(where))
		if err != nil {
			return nil, nil, err
		}
		return s, s, nil
	}
	src, err := openAdmin(ctx, c)
	return src, io.NopCloser(nil), err
}

// openSource opens a bundle or a URL. A secret goes to a URL only when it was
// named for it.
func openSource(ctx context.Context, c *cli.Context, where string) (verify.Source, io.Closer, error) {
	u, err := url.Parse(where)
	if err == nil && u.Scheme == "https" {
		roots.Load()
	}
	if !onCommandLine(c, secretFileFlagName) || err != nil || u.Host == "" {
		return verify.OpenSource(ctx, where)
	}
	secret, err := adminSecret(c)
	if err != nil {
		return nil, nil, err
	}
	src, err := verify.NewHTTP(where, &http.Client{Transport: api.WithSecret(ledgerTransport(), u, secret)})
	return src, io.NopCloser(nil), err
}

// ledgerTransport is for a ledger that is near: no HTTP_PROXY.
func ledgerTransport() *http.Transport {
	return &http.Transport{MaxIdleConnsPerHost: 16, ResponseHeaderTimeout: 30 * time.Second}
}

// chosen is the one of several flags that says where the log is: one on the
// command line before one in the environment, and --admin, which has a default,
// when there is none.
func chosen(c *cli.Context, flags ...string) (string, error) {
	var given, set []string
	for _, name := range flags {
		if onCommandLine(c, name) {
			given = append(given, name)
		}
		if c.String(name) != "" && name != adminFlagName {
			set = append(set, name)
		}
	}
	if len(given) > 1 {
		return "", usageError{fmt.Sprintf("both --%s and --%s are given: which one is meant?", given[0], given[1])}
	}
	return append(append(given, set...), adminFlagName)[0], nil
}

// onCommandLine says whether a flag's value is not that of the environment.
func onCommandLine(c *cli.Context, name string) bool {
	return c.IsSet(name) && c.String(name) != os.Getenv(locations[name])
}

// adminTimeout is how long the admin API may take to say that it is there.
const adminTimeout = 5 * time.Second

// openAdmin is the ledger that the sidecar with the admin API at --admin serves.
func openAdmin(ctx context.Context, c *cli.Context) (verify.Source, error) {
	address := c.String(adminFlagName)
	if _, err := api.NewClient(address); err != nil {
		return nil, usageError{err.Error()}
	}
	base := address
	if !strings.Contains(base, "://") {
		if strings.HasPrefix(base, ":") {
			base = "127.0.0.1" + base
		}
		base = "http://" + base
	}
	base = strings.TrimSuffix(base, "/")
	secret, err := adminSecret(c)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: ledgerTransport()}
	if u, err := url.Parse(base); err == nil {
		client.Transport = api.WithSecret(client.Transport, u, secret)
	}
	if err := knock(ctx, client, base); err != nil {
		return nil, readError(fetchError{err})
	}
	return verify.NewHTTP(base+"/ledger", client)
}

// knock makes sure that there is a ledger, to say in one line why not.
func knock(ctx context.Context, client *http.Client, base string) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/ledger/checkpoint", nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("nothing listens at %s: is countersign running, and is this its admin address?", base)
	}
	if err != nil {
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err
		}
		return fmt.Errorf("cannot reach the admin API at %s: %w", base, err)
	}
	defer func() { _ = res.Body.Close() }()
	switch res.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("the sidecar at %s watches other services too, so that its ledger needs the secret of its own: name the file with it by --%s (it is %s in the data directory)",
			base, secretFileFlagName, filepath.Base(tenant.StoredSecret("")))
	}
	var problem struct{ Error string }
	if json.NewDecoder(io.LimitReader(res.Body, maxSmall)).Decode(&problem) == nil && res.StatusCode == http.StatusServiceUnavailable {
		return fmt.Errorf("the sidecar at %s has no ledger to read at present: %s", base, problem.Error)
	}
	return fmt.Errorf("%s serves no ledger (%s): is it Countersign's admin address?", base, res.Status)
}
