package histogram

import (
	"strings"
	"testing"
)

func TestTemplates(t *testing.T) {
	templates, err := NewTemplates([]string{
		"GET /users",
		"GET /users/",
		"GET /users/{id}",
		"POST /users/me",
		"/users/{id}/orders/{order}",
		"GET /users/me/orders/{order}",
		"/files/{path...}",
		"GET /files/readme",
		"/reports/{name}.pdf",
		"/reports/{name}.{format}",
		"/reports/{name}",
		"/between/{from}..{to}",
		"GET /books/{book}:archive",
		"/caf%C3%A9/{id}",
		"/caf\u00e9s",
		"/{tenant}/settings",
		"HEAD /head",
		"GET /head",
		"/",
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ method, path, want string }{
		{"GET", "/", "/"},
		{"GET", "/users", "/users"},
		{"GET", "/users/", "/users/"},
		{"GET", "/users/42", "/users/{id}"},
		{"GET", "/users/me", "/users/{id}"}, // the literal is for POST
		{"POST", "/users/me", "/users/me"},
		{"POST", "/users/42", ""},
		{"HEAD", "/users/42", "/users/{id}"},
		{"HEAD", "/head", "/head"},
		{"GET", "/users/42/orders/7", "/users/{id}/orders/{order}"},
		{"DELETE", "/users/me/orders/7", "/users/{id}/orders/{order}"},
		{"GET", "/users/me/orders/7", "/users/me/orders/{order}"},
		{"GET", "/users//orders/7", ""},
		{"GET", "/users/42/orders", ""},
		{"GET", "/users/42/orders/7/", ""},
		{"GET", "/files", ""},
		{"GET", "/files/", "/files/{path...}"},
		{"GET", "/files/a/b/c", "/files/{path...}"},
		{"GET", "/files/readme", "/files/readme"},
		{"PUT", "/files/readme", "/files/{path...}"},
		{"GET", "/files/readme/", "/files/{path...}"},
		{"GET", "/reports/may.pdf", "/reports/{name}.pdf"},
		{"GET", "/reports/may.csv", "/reports/{name}.{format}"},
		{"GET", "/reports/may", "/reports/{name}"},
		{"GET", "/reports/.pdf", "/reports/{name}"},
		{"GET", "/between/a..b", "/between/{from}..{to}"},
		{"GET", "/between/a..", ""},
		{"GET", "/between/..b", ""},
		{"GET", "/books/7:archive", "/books/{book}:archive"},
		{"GET", "/caf%c3%a9/7", "/caf%C3%A9/{id}"},
		{"GET", "/caf\u00e9/7", "/caf%C3%A9/{id}"},
		{"GET", "/caf%C3%A9s", "/caf\u00e9s"},
		{"GET", "/acme/settings", "/{tenant}/settings"},
		{"GET", "/users/settings", "/users/{id}"},
		{"PUT", "/users/settings", "/{tenant}/settings"},
		{"GET", "/nothing", ""},
		{"OPTIONS", "*", ""},
	}
	for _, tt := range tests {
		got := ""
		if i, ok := templates.match(methodIndex([]byte(tt.method)), []byte(tt.path)); ok {
			got = templates.list[i].path
		}
		if got != tt.want {
			t.Errorf("%s %s matches %q, want %q", tt.method, tt.path, got, tt.want)
		}
	}
}

func TestTemplatedRoutes(t *testing.T) {
	templates, err := NewTemplates([]string{"GET /users/{userId}", "/files/{path...}"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRecorder(Config{Templates: templates})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ method, target, want string }{
		{"GET", "/users/alice?x=y", "GET /users/{userId}"},
		{"HEAD", "/users/alice", "HEAD /users/{userId}"},
		{"PUT", "/users/42", "PUT /users/{id}"},
		{"PUT", "/files/a/b", "PUT /files/{path...}"},
		{"BREW", "/files/a/b", "OTHER /files/{path...}"},
		{"GET", "/elsewhere/42", "GET /elsewhere/{id}"},
	}
	for _, tt := range tests {
		if got := r.RouteName(r.Route([]byte(tt.method), []byte(tt.target))); got != tt.want {
			t.Errorf("%s %s is %q, want %q", tt.method, tt.target, got, tt.want)
		}
	}
}

func TestNewTemplatesRefuses(t *testing.T) {
	tests := []struct{ pattern, want string }{
		{"", "begin with a slash"},
		{"users", "begin with a slash"},
		{"GET users", "begin with a slash"},
		{"GET", "begin with a slash"},
		{"get /users", `"get" is not an HTTP method`},
		{"GET  /users/{}", "needs a name"},
		{"/users/:id", "write {id} instead of :id"},
		{"/users/*", "instead of *"},
		{"/users/{id", "a { without a }"},
		{"/users/id}", "a } without a {"},
		{"/users/{{id}}", "needs a name"},
		{"/users/{$}", "needs a name"},
		{"/{path...}/x", "must be the end"},
		{"/x{path...}", "a segment of its own"},
		{"/{...}", "needs a name"},
		{"/{a}/{a}", "twice"},
		{"/{a}{b}", "needs text between"},
		{"/users?x=y", "no ? or #"},
		{"GET /users/a b", "cannot be in one"},
		{"/users/%zz", "cannot be in one"},
		{"/users/\x00", "cannot be in one"},
		{"/" + strings.Repeat("x", 300), "longer than"},
	}
	for _, tt := range tests {
		_, err := NewTemplates([]string{"GET /fine", tt.pattern})
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "route pattern") {
			t.Errorf("%q: error %v, want %q", tt.pattern, err, tt.want)
		}
	}
	_, err := NewTemplates([]string{"GET /users/{id}", "POST /users/{name}", "GET /users/{name}"})
	if err == nil || !strings.Contains(err.Error(), `"GET /users/{name}": matches the same requests as "/users/{id}"`) {
		t.Errorf("ambiguous patterns: error %v", err)
	}
}

func FuzzTemplates(f *testing.F) {
	for _, seed := range []string{"GET /users/{id}", "/{a}-{b}/{c...}", "/x{y}z", "/%41", "/{"} {
		f.Add(seed, []byte("/users/42"))
	}
	f.Fuzz(func(t *testing.T, pattern string, path []byte) {
		templates, err := NewTemplates([]string{pattern, "/always/{here...}"})
		if err != nil || len(path) == 0 {
			return
		}
		templates.match(methodGet, path)
		// Without parameters a pattern matches itself.
		if own := templates.list[0].path; !strings.ContainsAny(own, "{}") {
			if i, ok := templates.match(max(templates.list[0].method, 0), []byte(own)); !ok || i != 0 {
				t.Errorf("%q does not match itself", pattern)
			}
		}
	})
}
