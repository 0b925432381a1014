package recovery

import (
	"context"
	"encoding/base64"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/countersign-dev/countersign/strictyaml"
)

var authorizedAt = time.Date(2026, 1, 2, 3, 4, 55, 0, time.UTC)

func someVars() Vars {
	return Vars{
		IncidentID: "inc-850da6-1767323095", Tenant: "acme", Service: "checkout", Approver: "ana", Requester: "ben",
		Reason: "P95 4001 ms", Cause: "a1b2c3d \"Fix query\"", Time: authorizedAt,
	}
}

// signingKey is the environment's KEY, in the form of Standard Webhooks.
var signingKey = secretPrefix + base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))

const bearer = "s3cr3t-bearer-token"

func environment(name string) string {
	return map[string]string{"KEY": signingKey, "TOKEN": bearer, "EMPTY": " ", "SHORT": "short", "LINES": "line-one\nline-two", "NOKEY": "whsec_!", "TINY": "whsec_YWJj"}[name]
}

// restart is an action that is in order.
func restart() Action {
	a := newAction()
	a.Name, a.Title, a.URL = "restart", "Restart checkout", "https://deploy.example/hooks/restart"
	a.Secret = Secret{Env: "KEY"}
	a.Headers = map[string]string{"X-Incident": "{{incident_id}} of {{service}}"}
	a.SecretHeaders = map[string]SecretHeader{"Authorization": {Prefix: "Bearer ", Secret: Secret{Env: "TOKEN"}}}
	a.Gates = []string{"absolute_threshold"}
	return a
}

// read parses the list below actions.
func read(text string) (Catalogue, string) {
	var c Catalogue
	problems := strictyaml.Read("f", []byte(text), func(r *strictyaml.Reader, root *yaml.Node) { c = ParseList(r, root) })
	return c, strictyaml.Lines(problems)
}

func mustRead(t *testing.T, text string) Catalogue {
	t.Helper()
	c, problems := read(text)
	if problems != "" {
		t.Fatal(problems)
	}
	return c
}

// waits is an executor that notes how long it would wait.
type waits struct {
	mu  sync.Mutex
	all []string
}

func (w *waits) executor() Executor {
	return Executor{
		Getenv: environment, Now: time.Now, Jitter: func(d time.Duration) time.Duration { return d },
		Wait: func(ctx context.Context, d time.Duration) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.all = append(w.all, d.String())
			return ctx.Err()
		},
	}
}

func (w *waits) String() string { return strings.Join(w.all, " ") }
