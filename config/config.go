// Package config is the one document that says how a sidecar behaves, and
// the rules by which a file, the environment and flags fill it in.
//
// A value is taken from the flag when given, else from the environment
// variable, else from the YAML file, else from Default. Every setting can be
// given in all three ways; Fields lists them.
package config

import (
	"time"

	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
	"github.com/countersign-dev/countersign/orchestrator/diagnosis/provider"
	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
	"github.com/countersign-dev/countersign/orchestrator/tenant"
)

// Config holds every setting. The zero value is not useful: start from
// Default or Load.
type Config struct {
	Upstream  Upstream
	Sensor    Sensor
	Listen    Listen
	Admin     Admin
	Service   Service
	Log       Log
	Forwarded Forwarded
	Limits    Limits
	Timeouts  Timeouts
	Measure   Measure
	Health    Health
	Policy    Policy
	Ledger    Ledger
	History   History
	Changes   Changes
	Approval  Approval
	Diagnosis Diagnosis
	// What follows are lists, which only the file can have.
	Tenants  []tenant.Config
	Actions  recovery.Catalogue
	Channels []notify.Config
	Contacts []notify.Contact
	Models   []provider.Config
}

// Upstream says where the API is and how to reach it.
type Upstream struct {
	URL            string
	Host           string
	CAFile         string
	ServerName     string
	MaxConnections int
	IdleTimeout    time.Duration
	Wait           time.Duration
}

// Sensor says how traffic is seen.
type Sensor struct {
	// Kind is one of the Sensor constants.
	Kind string
	// Port is the API's own, for the probe; 0 is the upstream's.
	Port int
	// Attach is how the probe hooks in: auto, tcx or socket.
	Attach string
}

// The sensors: the proxy in the way of the traffic, the eBPF probe beside it,
// both at once to compare them, and the probe where it can work, else the proxy.
const (
	SensorProxy = "proxy"
	SensorEBPF  = "ebpf"
	SensorBoth  = "both"
	SensorAuto  = "auto"
)

// Listen is the proxied port.
type Listen struct {
	Address  string
	CertFile string
	KeyFile  string
}

// Admin is the port of the admin API.
type Admin struct {
	Address      string
	AllowedHosts []string
}

// Service names what is measured.
type Service struct {
	Name     string
	Instance string
	// Tenant is the service's id where several are watched.
	Tenant     string
	SecretFile string
}

// Log says how the sidecar logs.
type Log struct {
	Format string
	Level  string
}

// Forwarded says whose forwarding headers are believed.
type Forwarded struct {
	TrustedProxies []string
}

// Limits bound what a client may send.
type Limits struct {
	MaxHeaderBytes Size
	MaxHeaders     int
	MaxBody        Size
	MaxConnections int
}

// Timeouts bound how long each step of an exchange may take.
type Timeouts struct {
	Header   time.Duration
	Idle     time.Duration
	Stall    time.Duration
	Connect  time.Duration
	Response time.Duration
	Total    time.Duration
	Drain    time.Duration
}

// Measure says what is recorded.
type Measure struct {
	Enabled   bool
	Window    time.Duration
	MaxRoutes int
	Routes    []string
	OpenAPI   string
}

// Health says where the health document is answered besides the admin API.
type Health struct {
	Expose string
}

// Ledger says where the ledger is kept, and under whose name and key.
type Ledger struct {
	Data          string
	Anchor        string
	KeyFile       string
	Origin        string
	WitnessPolicy string
	MinFree       Size
}

// Policy says where the policy document is.
type Policy struct {
	File string
}

// History says how much of what was measured is kept.
type History struct {
	MaxSize Size
}

// Changes says where changes of the service are heard of.
type Changes struct {
	SecretFile      string
	GitHubRepo      string
	GitHubBranch    string
	GitHubTokenFile string
	GitHubAPI       string
}

// Approval is the public listener, where people decide.
type Approval struct {
	// Listen is its address; there is none when it is empty.
	Listen    string
	PublicURL string
	CertFile  string
	KeyFile   string
	// VoiceAfter and SecondaryAfter are how long nobody has decided when channels ring,
	// and when the contacts of the next level are asked.
	VoiceAfter, SecondaryAfter time.Duration
}

// Diagnosis says who explains incidents, and how long messages wait for it.
type Diagnosis struct {
	Mode   string
	Budget time.Duration
	Send   string
}

// The modes of diagnosis.
const (
	DiagnosisOff    = "off"
	DiagnosisRules  = "rules"
	DiagnosisModels = "rules+models"
)

// What models are sent.
const (
	SendFigures = "figures"
	SendTexts   = "figures+texts"
)

// Default returns the settings of a sidecar that was told nothing. Only the
// upstream has no default, which the probe can do without when it has a port.
func Default() Config {
	return Config{
		Upstream: Upstream{MaxConnections: 1024, IdleTimeout: 4 * time.Second, Wait: 10 * time.Second},
		Sensor:   Sensor{Kind: SensorProxy, Attach: "auto"},
		Listen:   Listen{Address: ":8080"},
		Service:  Service{Tenant: "local"},
		Admin:    Admin{Address: "127.0.0.1:9090"},
		Log:      Log{Format: "text", Level: "info"},
		Limits:   Limits{MaxHeaderBytes: 32 << 10, MaxHeaders: 128, MaxConnections: 65536},
		Timeouts: Timeouts{
			Header:   10 * time.Second,
			Idle:     75 * time.Second,
			Stall:    60 * time.Second,
			Connect:  5 * time.Second,
			Response: 60 * time.Second,
			Drain:    25 * time.Second,
		},
		Measure:   Measure{Enabled: true, Window: 60 * time.Second, MaxRoutes: 200},
		Ledger:    Ledger{Data: "countersign-data", MinFree: 64 << 20},
		History:   History{MaxSize: 192 << 20},
		Changes:   Changes{GitHubAPI: "https://api.github.com"},
		Approval:  Approval{VoiceAfter: 180 * time.Second, SecondaryAfter: 300 * time.Second},
		Diagnosis: Diagnosis{Mode: DiagnosisRules, Budget: diagnosis.DefaultBudget, Send: SendTexts},
	}
}
