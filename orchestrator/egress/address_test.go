package egress

import (
	"net/netip"
	"testing"
)

func TestClassify(t *testing.T) {
	for text, want := range map[string]reach{
		"8.8.8.8": public, "1.1.1.1": public, "2606:4700::1111": public, "64:ff9b::808:808": public, "2002:808:808::1": public,
		"::ffff:8.8.8.8": public, "172.32.0.1": public, "169.253.1.1": public, "100.128.0.1": public,
		"127.0.0.1": private, "127.255.255.254": private, "::1": private, "::ffff:127.0.0.1": private, "10.1.2.3": private,
		"172.16.0.1": private, "172.31.255.255": private, "192.168.1.1": private, "100.64.0.1": private, "fd12:3456::1": private,
		"64:ff9b::7f00:1": private, "64:ff9b::a00:1": private, "2002:7f00:1::": private, "2002:c0a8:101::5": private,
		"169.254.169.254": forbidden, "::ffff:169.254.169.254": forbidden, "64:ff9b::a9fe:a9fe": forbidden, "2002:a9fe:a9fe::": forbidden,
		"fd00:ec2::254": forbidden, "fd20:ce::254": forbidden, "168.63.129.16": forbidden, "100.100.100.200": forbidden, "192.0.0.192": forbidden,
		"fe80::1": forbidden, "fe80::1%eth0": forbidden, "fec0::1": forbidden, "0.0.0.0": forbidden, "0.1.2.3": forbidden,
		"::": forbidden, "::7f00:1": forbidden, "224.0.0.1": forbidden, "239.255.255.255": forbidden, "ff02::1": forbidden,
		"255.255.255.255": forbidden, "240.0.0.1": forbidden, "192.0.2.1": forbidden, "198.51.100.7": forbidden, "203.0.113.7": forbidden,
		"2001:db8::1": forbidden, "2001::1": forbidden, "3fff::1": forbidden, "198.18.0.1": forbidden, "100::1": forbidden,
		"5f00::1": forbidden, "64:ff9b:1::1": forbidden, "4000::1": forbidden,
	} {
		got, what := classify(netip.MustParseAddr(text))
		if got != want || (what == "") != (want == public) {
			t.Errorf("%s is %d (%q), want %d", text, got, what, want)
		}
	}
}

func TestAllowances(t *testing.T) {
	for _, c := range []struct {
		name, host, addr string
		allowed          allowance
		ok               bool
	}{
		{"public", "api.example", "8.8.8.8", allowance{}, true},
		{"private", "api.example", "10.0.0.1", allowance{}, false},
		{"private allowed", "api.example", "10.0.0.1", allowance{private: true}, true},
		{"its host allowed", "api.example", "10.0.0.1", allowance{hosts: []string{"API.example."}}, true},
		{"another host allowed", "api.example", "10.0.0.1", allowance{hosts: []string{"example"}}, false},
		{"its address allowed", "api.example", "10.0.0.1", allowance{hosts: []string{"10.0.0.1"}}, true},
		{"metadata, private allowed", "169.254.169.254", "169.254.169.254", allowance{private: true}, false},
		{"metadata by a name that is allowed", "api.example", "169.254.169.254", allowance{private: true, hosts: []string{"api.example"}}, false},
		{"metadata by its address", "169.254.169.254", "169.254.169.254", allowance{hosts: []string{"169.254.169.254"}}, true},
		{"mapped, its address allowed", "api.example", "::ffff:10.0.0.1", allowance{hosts: []string{"10.0.0.1"}}, true},
		{"the address in brackets", "fd12::1", "fd12::1", allowance{hosts: []string{"[FD12:0::1]"}}, true},
	} {
		if err := c.allowed.judge(c.host, netip.MustParseAddr(c.addr)); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestHostsAreJudgedBeforeTheyAreLookedUp(t *testing.T) {
	for host, want := range map[string][3]bool{ // with nothing allowed, private ones, and itself
		"api.example": {true, true, true}, "8.8.8.8": {true, true, true}, "2130706433": {true, true, true}, // a name, to be looked up
		"10.0.0.1": {false, true, true}, "[::1]": {false, true, true}, "LOCALHOST.": {false, true, true}, "x.localhost": {false, true, true},
		"169.254.169.254": {false, false, true}, "::": {false, false, true}, "0.0.0.0": {false, false, true}, "fe80::1%lo": {false, false, true},
	} {
		for i, o := range []DialOptions{{}, {AllowPrivate: true}, {AllowHosts: []string{host}}} {
			if err := o.Check(host); (err == nil) != want[i] {
				t.Errorf("%s with %+v: %v", host, o, err)
			}
		}
	}
}

func TestRefusalsSayWhatTheyMean(t *testing.T) {
	err := allowance{}.judge("hook.example", netip.MustParseAddr("10.0.0.1"))
	want := "the address 10.0.0.1 of hook.example is a private address and was not connected to: " +
		"name the host in allow_hosts, or set allow_private, if that is meant"
	if err.Error() != want {
		t.Errorf("%q", err.Error())
	}
	err = allowance{}.judge("169.254.169.254", netip.MustParseAddr("169.254.169.254"))
	want = "the address 169.254.169.254 is a link-local address and was not connected to: " +
		"name this very address in allow_hosts, if that is meant"
	if err.Error() != want {
		t.Errorf("%q", err.Error())
	}
}
