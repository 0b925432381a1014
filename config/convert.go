package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"

	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/proxy"
)

// Proxy returns the proxy's part. The recorder, the logger and the health
// document are the caller's to add.
func (c Config) Proxy() proxy.Config {
	var trusted []netip.Prefix
	for _, s := range c.Forwarded.TrustedProxies {
		if p, err := parsePrefix(s); err == nil {
			trusted = append(trusted, p)
		}
	}
	return proxy.Config{
		Upstream:           c.Upstream.URL,
		UpstreamHost:       c.Upstream.Host,
		UpstreamCAFile:     c.Upstream.CAFile,
		UpstreamServerName: c.Upstream.ServerName,
		MaxUpstreamConns:   c.Upstream.MaxConnections,
		UpstreamIdle:       c.Upstream.IdleTimeout,
		CertFile:           c.Listen.CertFile,
		KeyFile:            c.Listen.KeyFile,
		TrustedProxies:     trusted,
		MaxHeaderBytes:     int(c.Limits.MaxHeaderBytes),
		MaxHeaderCount:     c.Limits.MaxHeaders,
		MaxBodyBytes:       int64(c.Limits.MaxBody),
		MaxClientConns:     c.Limits.MaxConnections,
		HeaderTimeout:      c.Timeouts.Header,
		IdleTimeout:        c.Timeouts.Idle,
		StallTimeout:       c.Timeouts.Stall,
		ConnectTimeout:     c.Timeouts.Connect,
		ResponseTimeout:    c.Timeouts.Response,
		TotalTimeout:       c.Timeouts.Total,
		HealthPath:         c.Health.Expose,
	}
}

// Histogram returns the recorder's part. It reads the OpenAPI file when one
// is named.
func (c Config) Histogram() (histogram.Config, error) {
	h := histogram.Config{Window: c.Measure.Window, MaxRoutes: c.Measure.MaxRoutes}
	var err error
	switch {
	case c.Measure.OpenAPI != "":
		if h.Templates, err = histogram.LoadOpenAPI(c.Measure.OpenAPI); err != nil {
			return h, fmt.Errorf("measure.openapi: %w", err)
		}
	case len(c.Measure.Routes) > 0:
		if h.Templates, err = histogram.NewTemplates(c.Measure.Routes); err != nil {
			return h, fmt.Errorf("measure.routes: %w", err)
		}
	}
	return h, nil
}

// ServiceName is the configured name, or the upstream's host and port.
func (c Config) ServiceName() string {
	if c.Service.Name != "" {
		return c.Service.Name
	}
	if u, err := url.Parse(c.Upstream.URL); err == nil && u.Host != "" {
		return u.Host
	}
	return "api"
}

// InstanceID is the configured name, or the host's.
func (c Config) InstanceID() string {
	if c.Service.Instance != "" {
		return c.Service.Instance
	}
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "unknown"
}

// LogLevel returns the level to log at.
func (c Config) LogLevel() slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Log.Level)); err != nil {
		return slog.LevelInfo
	}
	return level
}
