package config

import (
	"math"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/approval"
)

// Field is one setting: where it stands in the file, what its flag and
// variable are called, and what it means.
type Field struct {
	// Key is the place in the YAML file, "section.name".
	Key string
	// Flag is the command line flag's name without dashes.
	Flag string
	// Usage says in one line what the setting does.
	Usage string
	// Reloadable says that a changed value takes effect on SIGHUP, without a
	// restart. Switching TLS on or off, by naming certificate files or none,
	// needs one all the same.
	Reloadable bool

	at    func(*Config) any
	check func(*Config) error
	copy  func(dst, src *Config)
}

// Env is the environment variable of the setting: COUNTERSIGN_ and the
// flag's name in capitals.
func (f Field) Env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(f.Flag, "-", "_"))
}

// Value returns what c holds, as a user would write it. Lists are joined
// with commas.
func (f Field) Value(c Config) string { return format(f.at(&c)) }

// IsBool says that the flag may be given without a value.
func (f Field) IsBool() bool {
	_, ok := f.at(new(Config)).(*bool)
	return ok
}

// IsList says that the flag may be given more than once.
func (f Field) IsList() bool {
	_, ok := f.at(new(Config)).(*[]string)
	return ok
}

// Check says whether the setting may have the value s. The error completes the
// sentence "KEY …"; what only settings together can be wrong about is for Load to find.
func (f Field) Check(s string) error {
	c := Default()
	return f.set(&c, s)
}

// set reads s into c and checks it.
func (f Field) set(c *Config, s string) error {
	if err := parse(f.at(c), s); err != nil {
		return err
	}
	return f.check(c)
}

func field[T any](key, flag, usage string, at func(*Config) *T, checks ...func(T) error) Field {
	return Field{
		Key: key, Flag: flag, Usage: usage,
		at: func(c *Config) any { return at(c) },
		check: func(c *Config) error {
			for _, check := range checks {
				if err := check(*at(c)); err != nil {
					return err
				}
			}
			return nil
		},
		copy: func(dst, src *Config) { *at(dst) = *at(src) },
	}
}

func reloadable(f Field) Field {
	f.Reloadable = true
	return f
}

// Fields returns every setting in the order of the file's sections. The
// caller may keep the slice.
func Fields() []Field { return append([]Field(nil), fields...) }

var fields = []Field{
	field("upstream.url", "upstream", "the API: http://host:port, https://host:port or unix:///path/to.sock",
		func(c *Config) *string { return &c.Upstream.URL }, upstreamURL),
	reloadable(field("upstream.host", "upstream-host", "replaces the client's Host header; empty keeps it",
		func(c *Config) *string { return &c.Upstream.Host }, headerValue)),
	field("upstream.ca_file", "upstream-ca", "PEM file of the authorities that may sign an https upstream's certificate; empty uses the system's",
		func(c *Config) *string { return &c.Upstream.CAFile }),
	field("upstream.server_name", "upstream-server-name", "name sent in SNI to an https upstream and verified in its certificate; empty uses the URL's host",
		func(c *Config) *string { return &c.Upstream.ServerName }, headerValue),
	field("upstream.max_connections", "upstream-max-connections", "most connections to the upstream; a request that finds all busy waits up to the connect timeout",
		func(c *Config) *int { return &c.Upstream.MaxConnections }, between(1, math.MaxInt32)),
	field("upstream.idle_timeout", "upstream-idle-timeout", "how long an unused upstream connection is kept; keep it below the upstream's own",
		func(c *Config) *time.Duration { return &c.Upstream.IdleTimeout }, above0),
	field("upstream.wait", "wait-upstream", "how long to wait at start until the upstream accepts connections, before giving up; 0 starts without looking",
		func(c *Config) *time.Duration { return &c.Upstream.Wait }, notNegative),

	field("sensor.kind", "sensor", "how traffic is seen: proxy (in its way), ebpf (beside it, in the kernel; nothing needs to be sent elsewhere), both (to compare them), or auto (ebpf where this host allows it, else proxy)",
		func(c *Config) *string { return &c.Sensor.Kind }, oneOf(SensorProxy, SensorEBPF, SensorBoth, SensorAuto)),
	field("sensor.port", "port", "TCP port on which the API itself serves HTTP/1.1 in this network namespace, for the eBPF probe; 0 is the upstream's port",
		func(c *Config) *int { return &c.Sensor.Port }, between(0, math.MaxUint16)),
	field("sensor.attach", "ebpf-attach", "where the probe hooks in: tcx (kernel 6.6 or newer, needs CAP_BPF and CAP_NET_ADMIN), socket (CAP_BPF and CAP_NET_RAW), or auto (tcx where it can, else socket)",
		func(c *Config) *string { return &c.Sensor.Attach }, oneOf("auto", "tcx", "socket")),

	field("listen.address", "listen", "HOST:PORT that clients send their traffic to; no host means every interface",
		func(c *Config) *string { return &c.Listen.Address }, address),
	reloadable(field("listen.cert_file", "tls-cert", "PEM certificate chain; with the key it makes the listener speak TLS, and is read again when it changes",
		func(c *Config) *string { return &c.Listen.CertFile })),
	reloadable(field("listen.key_file", "tls-key", "PEM private key of the certificate",
		func(c *Config) *string { return &c.Listen.KeyFile })),

	field("admin.address", "admin", "HOST:PORT of the admin API: /health/alerts, /status, /metrics, /healthz, /readyz",
		func(c *Config) *string { return &c.Admin.Address }, address),
	field("admin.allowed_hosts", "admin-allowed-hosts", "names besides localhost that a Host header may have on a loopback admin address",
		func(c *Config) *[]string { return &c.Admin.AllowedHosts }),

	field("service.name", "service", "name of the measured service; empty uses the upstream's host and port",
		func(c *Config) *string { return &c.Service.Name }),
	field("service.instance", "instance", "name of this instance; empty uses the host's name",
		func(c *Config) *string { return &c.Service.Instance }),
	field("service.tenant", "tenant", "id of the measured service in the ledger and the admin API, where several are watched: a-z, 0-9 and -",
		func(c *Config) *string { return &c.Service.Tenant }, tenantID),
	field("service.secret_file", "secret-file", "file with the secret that the admin API asks for before it changes anything; empty uses COUNTERSIGN_SECRET if set, else one made at the first start, in the data directory",
		func(c *Config) *string { return &c.Service.SecretFile }),

	field("log.format", "log-format", "text or json",
		func(c *Config) *string { return &c.Log.Format }, oneOf("text", "json")),
	reloadable(field("log.level", "log-level", "debug, info, warn or error",
		func(c *Config) *string { return &c.Log.Level }, oneOf("debug", "info", "warn", "error"))),

	reloadable(field("forwarded.trusted_proxies", "trusted-proxies", "networks whose X-Forwarded-* and Forwarded headers are kept and appended to; everybody else's are replaced",
		func(c *Config) *[]string { return &c.Forwarded.TrustedProxies }, prefixes)),

	field("limits.max_header_bytes", "max-header-bytes", "largest request or response head, 1KiB to 1MiB",
		func(c *Config) *Size { return &c.Limits.MaxHeaderBytes }, sizeBetween(1<<10, 1<<20)),
	reloadable(field("limits.max_headers", "max-headers", "most header lines of a request or response",
		func(c *Config) *int { return &c.Limits.MaxHeaders }, between(1, 10000))),
	reloadable(field("limits.max_body", "max-body", "largest request body; 0 is no limit",
		func(c *Config) *Size { return &c.Limits.MaxBody })),
	field("limits.max_connections", "max-connections", "most open client connections",
		func(c *Config) *int { return &c.Limits.MaxConnections }, between(1, math.MaxInt32)),

	reloadable(field("timeouts.header", "header-timeout", "time a client has to send a whole request head",
		func(c *Config) *time.Duration { return &c.Timeouts.Header }, above0)),
	reloadable(field("timeouts.idle", "idle-timeout", "how long a client connection may wait for its next request",
		func(c *Config) *time.Duration { return &c.Timeouts.Idle }, above0)),
	reloadable(field("timeouts.stall", "stall-timeout", "how long a client may go without sending a byte of its body, and how long either side may take to make room for the next piece of one, at most 64KiB",
		func(c *Config) *time.Duration { return &c.Timeouts.Stall }, above0)),
	field("timeouts.connect", "connect-timeout", "time to connect to the upstream, TLS included",
		func(c *Config) *time.Duration { return &c.Timeouts.Connect }, above0),
	reloadable(field("timeouts.response", "response-timeout", "time from the request sent to the head of the upstream's response",
		func(c *Config) *time.Duration { return &c.Timeouts.Response }, above0)),
	reloadable(field("timeouts.total", "total-timeout", "time for a whole exchange, streams and upgraded connections excepted; 0 is no limit",
		func(c *Config) *time.Duration { return &c.Timeouts.Total }, notNegative)),
	reloadable(field("timeouts.drain", "drain-timeout", "time that requests in flight have to finish after SIGTERM or SIGINT",
		func(c *Config) *time.Duration { return &c.Timeouts.Drain }, notNegative)),

	field("measure.enabled", "measure", "record requests; false only proxies them",
		func(c *Config) *bool { return &c.Measure.Enabled }),
	field("measure.window", "window", "how far back the figures look, whole seconds from 10s to 1h",
		func(c *Config) *time.Duration { return &c.Measure.Window }, window),
	field("measure.max_routes", "max-routes", "most routes told apart; requests to further ones count as other",
		func(c *Config) *int { return &c.Measure.MaxRoutes }, between(1, 1000)),
	field("measure.routes", "routes", "route templates such as \"GET /users/{id}\" or \"/files/{path...}\"; empty collapses ids by their look",
		func(c *Config) *[]string { return &c.Measure.Routes }, routePatterns),
	field("measure.openapi", "openapi", "OpenAPI 3 file whose paths are the route templates",
		func(c *Config) *string { return &c.Measure.OpenAPI }),

	field("health.expose", "expose-health", "path that answers the health document on the proxied port too; empty forwards every path",
		func(c *Config) *string { return &c.Health.Expose }, urlPath),

	field("policy.file", "policy", "YAML file with the policy that decides; empty uses the built-in one, which countersign policy show prints",
		func(c *Config) *string { return &c.Policy.File }),

	field("ledger.data", "data", "directory that holds the ledger and its key, the history and the admin API's secret; made at the first start",
		func(c *Config) *string { return &c.Ledger.Data }, notEmpty),
	field("ledger.anchor", "anchor", "directory for the last acknowledged checkpoint, best on another disk; empty keeps it in the data directory",
		func(c *Config) *string { return &c.Ledger.Anchor }),
	field("ledger.key_file", "ledger-key-file", "file with the key that signs the ledger; empty uses COUNTERSIGN_LEDGER_KEY if set, else a key made at the first start",
		func(c *Config) *string { return &c.Ledger.KeyFile }),
	field("ledger.origin", "ledger-origin", "name a new ledger gets, such as example.com/payments; empty uses countersign/ and the service's name. It never changes afterwards",
		func(c *Config) *string { return &c.Ledger.Origin }, originName),
	field("ledger.witness_policy", "witness-policy", "file naming the witnesses that cosign checkpoints, as c2sp.org/tlog-policy has it; empty asks none",
		func(c *Config) *string { return &c.Ledger.WitnessPolicy }),
	field("ledger.min_free", "ledger-min-free", "space the ledger's disk must keep free, 16MiB or more; below it nothing is appended, and traffic goes on",
		func(c *Config) *Size { return &c.Ledger.MinFree }, atLeast(16<<20)),

	field("history.max_size", "history-max-size", "most that the one-minute records of each service take up, 1MiB or more; they are kept for 30 days at most",
		func(c *Config) *Size { return &c.History.MaxSize }, atLeast(1<<20)),

	field("changes.secret_file", "changes-secret-file", "file with the secret that GitHub signs its webhooks with, so that GitHub need not have the one that opens the admin API; empty uses that one",
		func(c *Config) *string { return &c.Changes.SecretFile }),
	field("changes.github_repo", "github-repo", "OWNER/NAME of a repository whose commits and deployments are asked for; empty asks for none",
		func(c *Config) *string { return &c.Changes.GitHubRepo }, repository),
	field("changes.github_branch", "github-branch", "branch that is deployed; empty is the repository's default branch",
		func(c *Config) *string { return &c.Changes.GitHubBranch }),
	field("changes.github_token_file", "github-token-file", "file with a token that may read that repository; without it only public ones can be read",
		func(c *Config) *string { return &c.Changes.GitHubTokenFile }),
	field("changes.github_api", "github-api", "base URL of GitHub's REST API",
		func(c *Config) *string { return &c.Changes.GitHubAPI }, httpURL),

	field("approval.listen", "approval-listen", "HOST:PORT of the public listener, which answers the pages behind approval links and nothing else; empty opens none",
		func(c *Config) *string { return &c.Approval.Listen }, unless(address)),
	field("approval.public_url", "public-url", "URL under which people reach the public listener, such as https://approve.example.com; links begin with it",
		func(c *Config) *string { return &c.Approval.PublicURL }, unless(publicURL)),
	field("approval.cert_file", "approval-tls-cert", "PEM certificate chain; with the key it makes the public listener speak TLS, and is read again when it changes",
		func(c *Config) *string { return &c.Approval.CertFile }),
	field("approval.key_file", "approval-tls-key", "PEM private key of that certificate",
		func(c *Config) *string { return &c.Approval.KeyFile }),
	field("approval.voice_after", "voice-after", "time after which, when nobody has decided, the contacts' voice channels ring",
		func(c *Config) *time.Duration { return &c.Approval.VoiceAfter }, durationBetween(time.Second, approval.LinkLife-time.Second)),
	field("approval.secondary_after", "secondary-after", "time after which, when nobody has decided, the contacts of the next level of escalation are asked",
		func(c *Config) *time.Duration { return &c.Approval.SecondaryAfter }, durationBetween(time.Second, time.Hour)),

	field("diagnosis.mode", "diagnosis", "who explains incidents: off; rules, which need no key and no network; rules+models, which also asks the language models listed under models",
		func(c *Config) *string { return &c.Diagnosis.Mode }, oneOf(DiagnosisOff, DiagnosisRules, DiagnosisModels)),
	field("diagnosis.budget", "diagnosis-budget", "how long the message of an incident waits for its diagnosis, 1s to 30s; then it goes out with the figures alone",
		func(c *Config) *time.Duration { return &c.Diagnosis.Budget }, durationBetween(time.Second, 30*time.Second)),
	field("diagnosis.send", "diagnosis-send", "what models are sent: figures alone, or figures+texts: routes, titles of changes and reasons of failed checks as well, masked; countersign diagnosis preview prints all of it",
		func(c *Config) *string { return &c.Diagnosis.Send }, oneOf(SendFigures, SendTexts)),
}
