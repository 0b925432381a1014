package cost

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// names are those that a resolver knows; an address is its own.
type names map[string][]string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	known, ok := n[host]
	if !ok {
		return nil, errors.New("no such host")
	}
	var all []netip.Addr
	for _, a := range known {
		all = append(all, netip.MustParseAddr(a))
	}
	return all, nil
}

var someNames = names{
	"localhost": {"::1", "127.0.0.1"},
	"api.lan":   {"192.168.1.7"},
	"six.lan":   {"fd00::7"},
	"rebound":   {"127.0.0.1", "203.0.113.9"},
	"public":    {"203.0.113.9"},
	"mapped":    {"::ffff:203.0.113.9"},
	"empty":     {},
}

func TestResolve(t *testing.T) {
	for raw, want := range map[string]Target{
		"http://127.0.0.1:8000":      {Host: "127.0.0.1:8000", Path: "/", Addr: "127.0.0.1:8000"},
		"http://localhost/a%20b?c=d": {Host: "localhost", Path: "/a%20b?c=d", Addr: "127.0.0.1:80"},
		"http://api.lan:81/a#b":      {Host: "api.lan:81", Path: "/a", Addr: "192.168.1.7:81"},
		"http://six.lan:81/":         {Host: "six.lan:81", Path: "/", Addr: "[fd00::7]:81"},
		"http://[::1]:9/":            {Host: "[::1]:9", Path: "/", Addr: "[::1]:9"},
		"http://0.0.0.0:9/":          {Host: "0.0.0.0:9", Path: "/", Addr: "0.0.0.0:9"},
		"http://10.1.2.3":            {Host: "10.1.2.3", Path: "/", Addr: "10.1.2.3:80"},
		"http://169.254.1.1":         {Host: "169.254.1.1", Path: "/", Addr: "169.254.1.1:80"},
	} {
		want.URL = raw
		if got, err := Resolve(t.Context(), someNames, raw, false); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", raw, got, err, want)
		}
	}
}

func TestResolveRefuses(t *testing.T) {
	for raw, want := range map[string]string{
		"127.0.0.1:8000":       "is not the URL",
		"http://":              "is not the URL",
		"http://:80":           "is not the URL",
		"http://u:p@10.0.0.1":  "has a user in it",
		"https://10.0.0.1":     "only http",
		"http://nowhere":       "no such host",
		"http://empty":         "no address",
		"http://rebound":       "203.0.113.9",
		"http://mapped":        "203.0.113.9",
		"http://8.8.8.8":       "neither this machine",
		"http://100.64.0.1":    "neither this machine",
		"http://[2001:db8::1]": "neither this machine",
	} {
		if got, err := Resolve(t.Context(), someNames, raw, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v, want %q", raw, got, err, want)
		}
	}
	_, err := Resolve(t.Context(), someNames, "http://public", false)
	if public, ok := errors.AsType[PublicError](err); !ok || public.Host != "public" {
		t.Errorf("%v is no PublicError", err)
	}
	if got, err := Resolve(t.Context(), someNames, "http://public", true); err != nil || got.Addr != "203.0.113.9:80" {
		t.Errorf("permitted: %+v, %v", got, err)
	}
}
