package histogram

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestCollapse(t *testing.T) {
	tests := []struct{ path, want string }{
		// Words stay.
		{"", ""},
		{"/", "/"},
		{"*", "*"},
		{"//", "//"},
		{"/users", "/users"},
		{"/users/", "/users/"},
		{"/users/me/settings", "/users/me/settings"},
		{"/v1/users", "/v1/users"},
		{"/api/v2.1/items", "/api/v2.1/items"},
		{"/api/1.0/items", "/api/1.0/items"},
		{"/1.10.3/items", "/1.10.3/items"},
		{"/oauth2/token", "/oauth2/token"},
		{"/s3/sha256/base64/ipv6", "/s3/sha256/base64/ipv6"},
		{"/feed/facade/deadbeef", "/feed/facade/deadbeef"},
		{"/en-US/two-factor-authentication", "/en-US/two-factor-authentication"},
		{"/two-factor-authentication-2fa-setup", "/two-factor-authentication-2fa-setup"},
		{"/introducing-our-new-pricing-2024", "/introducing-our-new-pricing-2024"},
		{"/getUserAccountTransactionsByDate", "/getUserAccountTransactionsByDate"},
		{"/CreateOrderV2Request3DSecure", "/CreateOrderV2Request3DSecure"},
		{"/api-v2/v_1/version-2", "/api-v2/v_1/version-2"},
		{"/wp-content/themes/x_y", "/wp-content/themes/x_y"},
		{"/$metadata", "/$metadata"},
		{"/users:batchGet", "/users:batchGet"},
		{"/robots.txt", "/robots.txt"},
		{"/.well-known/openid-configuration", "/.well-known/openid-configuration"},
		{"/static/jquery-3.6.0.min.js", "/static/jquery-3.6.0.min.js"},
		{"/index.html", "/index.html"},

		// Decimal numbers.
		{"/users/42", "/users/{id}"},
		{"/users/0", "/users/{id}"},
		{"/users/42/orders/7", "/users/{id}/orders/{id}"},
		{"/users/18446744073709551616", "/users/{id}"},
		{"/at/-7", "/at/{id}"},
		{"/near/52.5200,13.4050", "/near/{id}"},
		{"/hosts/10.0.0.1", "/hosts/{id}"},
		{"/pages/1-50", "/pages/{id}"},
		{"/call/+4930123456", "/call/{id}"},
		{"/users/42/", "/users/{id}/"},

		// UUIDs and ULIDs.
		{"/o/550e8400-e29b-41d4-a716-446655440000", "/o/{id}"},
		{"/o/550E8400-E29B-41D4-A716-446655440000", "/o/{id}"},
		{"/o/550e8400e29b41d4a716446655440000", "/o/{id}"},
		{"/o/{550e8400-e29b-41d4-a716-446655440000}", "/o/{id}"},
		{"/o/urn:uuid:550e8400-e29b-41d4-a716-446655440000", "/o/{id}"},
		{"/o/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/o/{id}"},
		{"/o/01arz3ndektsv4rrffq69g5fav", "/o/{id}"},
		{"/o/7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "/o/{id}"},

		// Hexadecimal.
		{"/c/9f1c2d3e", "/c/{id}"},
		{"/c/DEADBEE1", "/c/{id}"},
		{"/c/507f1f77bcf86cd799439011", "/c/{id}"},
		{"/c/da39a3ee5e6b4b0d3255bfef95601890afd80709", "/c/{id}"},
		{"/c/abc123", "/c/abc123"},
		{"/block/0x1b4", "/block/{id}"},

		// Dates and times.
		{"/d/2026-11-21", "/d/{id}"},
		{"/d/2026-11", "/d/{id}"},
		{"/d/20261121", "/d/{id}"},
		{"/d/2026/11/21", "/d/{id}/{id}/{id}"},
		{"/d/2026-11-21T10:30:00Z", "/d/{id}"},
		{"/d/2026-11-21T10%3A30%3A00Z", "/d/{id}"},
		{"/d/20261121T103000Z", "/d/{id}"},
		{"/d/2026-W47", "/d/{id}"},
		{"/d/2026-Q3", "/d/{id}"},
		{"/d/10:30", "/d/{id}"},

		// Tokens.
		{"/t/V1StGXR8_Z5jdHi6B-myT", "/t/{id}"},           // nanoid
		{"/t/0ujtsYcgvSTl8PAuAdqWYSMnLOv", "/t/{id}"},     // KSUID
		{"/t/k3n5q8w2z7x1c9v4b6m0", "/t/{id}"},            // base 36
		{"/t/ch_3MmlLrLkdIwHu7ix0snN0B15", "/t/{id}"},     // Stripe
		{"/t/cus_NffrFeUfNV2Hib", "/t/{id}"},              // Stripe, short
		{"/t/user_01h455vb4pex5vsknk084sn02q", "/t/{id}"}, // TypeID
		{"/t/user_42", "/t/{id}"},
		{"/t/order:17", "/t/{id}"},
		{"/t/PROJ-123", "/t/{id}"},
		{"/t/order-100234", "/t/{id}"},
		{"/t/bob@example.com", "/t/{id}"},
		{"/t/bob%40example.com", "/t/bob%40example.com"},
		{"/t/id=42", "/t/{id}"},
		{"/t/" + strings.Repeat("x", 65), "/t/{id}"},

		// Parts of a segment.
		{"/img/42.png", "/img/{id}.png"},
		{"/img/550e8400-e29b-41d4-a716-446655440000.png", "/img/{id}.png"},
		{"/static/app.3f2a9b1c.js", "/static/app.{id}.js"},
		{"/static/main.8f3a2b1c.chunk.js", "/static/main.{id}.chunk.js"},
		{"/static/chunk-4f5a6b7c.js", "/static/{id}.js"},
		{"/books/42:archive", "/books/{id}:archive"},
		{"/Products(42)/Name", "/Products({id})/Name"},
		{"/login;jsessionid=0A1B2C", "/login"},
		{"/users/42;v=1", "/users/{id}"},

		// What would not make a name.
		{"/search/hello%20world", "/search/{id}"},
		{"/search/a%2Fb", "/search/{id}"},
		{"/search/%zz", "/search/{id}"},
		{"/search/%4", "/search/{id}"},
		{"/search/%00", "/search/{id}"},
		{"/search/%34%32", "/search/{id}"},
		{"/search/%FF%FE", "/search/{id}"},
		{"/search/\xff\xfe", "/search/{id}"},
		{"/search/a\x1b[31m", "/search/{id}"},
		{"/search/a\u202eb", "/search/{id}"},
		{"/caf\u00e9", "/caf\u00e9"},
		{"/caf%C3%A9", "/caf%C3%A9"},

		// Long paths.
		{strings.Repeat("/a", 12), strings.Repeat("/a", 12)},
		{strings.Repeat("/a", 5000), strings.Repeat("/a", 12) + "/{path...}"},
		{strings.Repeat("/", 5000), strings.Repeat("/", 12) + "/{path...}"},
		{strings.Repeat("/"+strings.Repeat("word", 15), 8), strings.Repeat("/"+strings.Repeat("word", 15), 4) + "/{path...}"},
		// Placeholders longer than what they stand for count with their own length.
		{strings.Repeat("/"+strings.Repeat("word", 15), 4) + "/7/x", strings.Repeat("/"+strings.Repeat("word", 15), 4) + "/{path...}"},
		{strings.Repeat("/"+strings.Repeat("word", 15), 3) + "/" + strings.Repeat("0x1.", 15) + "js/x", strings.Repeat("/"+strings.Repeat("word", 15), 3) + "/{path...}"},
	}
	for _, tt := range tests {
		got := string(Collapse(nil, []byte(tt.path)))
		if got != tt.want {
			t.Errorf("Collapse(%.80q) = %q, want %q", tt.path, got, tt.want)
		}
		if len(got) > maxCollapsed {
			t.Errorf("Collapse(%.80q) is %d bytes long", tt.path, len(got))
		}
	}
}

func TestCollapseAppends(t *testing.T) {
	if got := string(Collapse([]byte("GET "), []byte("/users/42"))); got != "GET /users/{id}" {
		t.Errorf("got %q", got)
	}
}

func FuzzCollapse(f *testing.F) {
	for _, seed := range []string{"/", "*", "/users/42", "/a%20b/%", "/x;y=z/(1)", "/\xff/{id}", "///", "/a.b.c.d", "/-_:", "/1.2.3:go"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, path []byte) {
		once := Collapse(nil, path)
		if len(once) > maxCollapsed {
			t.Errorf("%d bytes", len(once))
		}
		if !utf8.Valid(once) {
			t.Errorf("not UTF-8: %q", once)
		}
		for _, r := range string(once) {
			if !unicode.IsPrint(r) || r == ' ' {
				t.Errorf("not printable: %q", once)
			}
		}
	})
}
