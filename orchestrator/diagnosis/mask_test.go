package diagnosis

import (
	"strings"
	"testing"
)

// TestMask is the list of what is masked before anything leaves.
func TestMask(t *testing.T) {
	for _, tc := range []struct{ what, secret, text string }{
		{"e-mail", "ann.lee+x@shop.example.com", "order of ann.lee+x@shop.example.com failed"},
		{"e-mail, encoded", "ann%40shop.example", "GET /users/ann%40shop.example"},
		{"e-mail, full width", "ann＠shop.example", "of ann＠shop.example"},
		{"IPv4", "203.0.113.77", "from 203.0.113.77 port 443"},
		{"IPv4 with port", "10.0.0.12", "dial tcp 10.0.0.12:5432: refused"},
		{"IPv4 network", "10.1.2.0", "route 10.1.2.0/24 gone"},
		{"IPv6", "2001:db8::17", "from 2001:db8::17"},
		{"IPv6 with port", "2001:db8::17", "dial tcp [2001:db8::17]:443"},
		{"IPv6 with zone", "fe80::1%eth0", "from fe80::1%eth0"},
		{"IPv4 range", "10.0.0.9", "from 10.0.0.1-10.0.0.9"},
		{"IPv4 in a path", "192.0.2.44", "GET /hosts/192.0.2.44/logs"},
		{"IPv4 after a sign", "192.0.2.44", "peer=192.0.2.44_443"},
		{"IPv4, end of a sentence", "192.0.2.44", "lost 192.0.2.44."},
		{"IPv4 in a host's name", "10-0-12-7", "ip-10-0-12-7.ec2.internal is gone"},
		{"IPv4 glued to letters", "192.0.2.44", "GET /x192.0.2.44y"},
		{"IPv4 in IPv6", "10.0.0.12", "from ::ffff:10.0.0.12"},
		{"IPv6 range", "2001:db8::2", "2001:db8::1-2001:db8::2"},
		{"IPv6 in a path", "2001:db8::17", "GET /hosts/2001:db8::17/logs"},
		{"IPv6, encoded", "2001%3Adb8%3A%3A17", "GET /hosts/2001%3Adb8%3A%3A17/logs"},
		{"IPv4, with something invisible", "192.0.2.44", "from 192.0.\u200b2.44"},
		{"e-mail, with something invisible", "ann", "of ann\u200b@shop.example"},
		{"card, with something invisible", "4111111111111111", "card 4111\u200b111111111111"},
		{"card with points", "4111.1111.1111.1111", "card 4111.1111.1111.1111"},
		{"card in a path", "4111111111111111", "GET /cards/4111111111111111/limit"},
		{"card in a form", "4111+1111+1111+1111", "n=4111+1111+1111+1111"},
		{"credentials of another scheme", "abc123xyz", "Authorization: Token abc123xyz"},
		{"credentials with parts", "abc123xyz", "Authorization: ApiKey id abc123xyz, and so on"},
		{"cookies", "dark7", "Cookie: a=b; theme=dark7"},
		{"phrase in quotes", "correct horse", `password: "correct horse battery"`},
		{"short name", "hunter2", "pwd=hunter2"},
		{"key", "hunter2", "key: hunter2"},
		{"card", "4111111111111111", "card 4111111111111111 declined"},
		{"card with spaces", "4111 1111 1111 1111", "card 4111 1111 1111 1111 declined"},
		{"card with dashes", "5500-0055-5555-5559", "pay 5500-0055-5555-5559"},
		{"card of 15", "378282246310005", "amex 378282246310005"},
		{"card with a wrong digit", "4111111111111112", "card 4111111111111112"},
		{"card and when it ends", "4111 1111 1111 1111", "pay 4111 1111 1111 1111 12/28"},
		{"card and its code", "4111111111111111", "pay 4111111111111111 123"},
		{"card after a date", "4111111111111111", "at 2026-11-22 4111111111111111 was declined"},
		{"card of 15 after a number", "378282246310005", "order 20177 378282246310005"},
		{"bearer token", "abcDEF123456", "Authorization: Bearer abcDEF123456"},
		{"basic credentials", "dXNlcjpwYXNz", "authorization basic dXNlcjpwYXNz"},
		{"JWT", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "GET /x?t=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"},
		{"GitHub token", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "push with ghp_16C7e42F292c6912E7710c838347Ae178B4a"},
		{"GitHub fine token", "github_pat_11ABCDEFG0aaaaaaaaaaaa_bbbbbbbb", "github_pat_11ABCDEFG0aaaaaaaaaaaa_bbbbbbbb"},
		{"GitLab token", "glpat-abcdefghij1234567890", "use glpat-abcdefghij1234567890"},
		{"Slack token", "xoxb-123456789012-abcdefghij", "xoxb-123456789012-abcdefghij"},
		{"model key", "sk-ant-api03-abcdefghijklmnop", "key sk-ant-api03-abcdefghijklmnop"},
		{"Stripe key", "sk_live_abcdefghijklmnopqrst", "sk_live_abcdefghijklmnopqrst leaked"},
		{"AWS key", "AKIAIOSFODNN7EXAMPLE", "as AKIAIOSFODNN7EXAMPLE"},
		{"AWS secret", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
		{"webhook secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
		{"password in an address", "hunter2", "postgres://app:hunter2@db/shop"},
		{"password after its name", "hunter2", "login with password=hunter2 failed"},
		{"password in JSON", "hunter2", `{"password": "hunter2"}`},
		{"password in JSON in JSON", "hunter2", `{"error":"{\"password\":\"hunter2\"}"}`},
		{"token, encoded", "abc123", "GET /login?next=%2Fx%3Ftoken%3Dabc123"},
		{"password on a command line", "hunter2", "ran deploy --password hunter2 --dry-run"},
		{"token on a command line", "abc", "--token abc"},
		{"AWS secret without its name", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "leaked wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
		{"key in a query", "zzz999", "GET /x?api_key=zzz999&y=1"},
		{"session cookie", "s3ss10n", "Cookie: sid=s3ss10n"},
		{"private key", "MIIEvQIBADANBg", "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----"},
		{"private key, cut", "MIIEvQIBADANBg", "-----BEGIN RSA PRIVATE KEY-----\nMIIEvQIBADANBg"},
		{"long hexadecimal", "9f86d081884c7d659a2feaa0c55ad015", "GET /reset/9f86d081884c7d659a2feaa0c55ad015"},
		{"long random", "dGhpcyBpcyBhIHNlY3JldCB2YWx1ZQ9x", "t dGhpcyBpcyBhIHNlY3JldCB2YWx1ZQ9x"},
	} {
		got := foreign(tc.text, 400)
		if strings.Contains(got, tc.secret) || !strings.Contains(got, "‹") {
			t.Errorf("%s: %q became %q", tc.what, tc.text, got)
		}
		// As it is sent: inert, and cut at any length.
		for limit := 8; limit < len(tc.text)+8; limit++ {
			if strings.Contains(foreign(tc.text, limit), tc.secret) {
				t.Errorf("%s: cut at %d it shows: %q", tc.what, limit, foreign(tc.text, limit))
			}
		}
		if again := Mask(got); again != got {
			t.Errorf("%s: masking %q again gives %q", tc.what, got, again)
		}
	}
}

func TestMaskLeavesFigures(t *testing.T) {
	for _, s := range []string{
		"GET /products/{id}", "POST /webhooks/payment", "P95 1788 ms is at or above the warning threshold of 1000 ms (2666 samples)",
		"495.8 standard deviations above the mean of 57 healthy ticks (mean 34.2 ms, σ 3.55 ms)", "at 2026-03-04T09:05:15Z", "release 1.2.3 of checkout-service",
		"host api.internal not found", "12 of 60 requests of the last tick failed, 50 % or more", "touches database, migration: add index on orders",
		"upstream_certificate_expired", "connection refused", "v2.14.0-rc.1", "12 2026-11-22 09:05:15 60 30 5", "16 to 19 requests", "the certificate has expired or is not yet valid",
	} {
		if got := Mask(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
}

func FuzzMask(f *testing.F) {
	f.Add("a@b 1.2.3.4 ::1 4111 1111 1111 1111 password=x")
	f.Fuzz(func(t *testing.T, s string) {
		if got := foreign(s, 100); len(got) > 100+3 {
			t.Errorf("%d bytes: %q", len(got), got)
		}
	})
}
