package histogram

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestRoute(t *testing.T) {
	tests := []struct{ method, target, want string }{
		{"GET", "/users/42?expand=orders", "GET /users/{id}"},
		{"GET", "/users/42#top", "GET /users/{id}"},
		{"GET", "/?", "GET /"},
		{"GET", "http://api.example.com/users/42?x=/y", "GET /users/{id}"},
		{"GET", "HTTP://api.example.com", "GET /"},
		{"GET", "http://api.example.com?x=y", "GET /"},
		{"OPTIONS", "*", "OPTIONS *"},
		{"CONNECT", "api.example.com:443", "other"},
		{"GET", "", "other"},
		{"GET", "?x=y", "other"},
		{"GET", "users", "other"},
		{"GET", "://users", "other"},
		{"GET", "users/http://x/", "other"},
		{"get", "/", "OTHER /"},
		{"BREW", "/pots/1", "OTHER /pots/{id}"},
		{"", "/", "OTHER /"},
		{strings.Repeat("X", 1000), "/", "OTHER /"},
		{"GET", "/" + strings.Repeat("9", 30_000), "GET /{id}"},
		{"GET", strings.Repeat("/x", 15_000), "GET " + strings.Repeat("/x", 12) + "/{path...}"},
		{"GET", "/a\r\nb", "GET /{id}"},
	}
	r, err := NewRecorder(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		route := r.Route([]byte(tt.method), []byte(tt.target))
		if got := r.RouteName(route); got != tt.want {
			t.Errorf("%.20q %.60q is %q, want %q", tt.method, tt.target, got, tt.want)
		}
		if again := r.Route([]byte(tt.method), []byte(tt.target)); again != route {
			t.Errorf("%.20q %.60q is route %d, then %d", tt.method, tt.target, route, again)
		}
	}
}

func TestRouteNameUnknown(t *testing.T) {
	r, err := NewRecorder(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, route := range []Route{0, 1, 65535} {
		if got := r.RouteName(route); got != "other" {
			t.Errorf("route %d is %q", route, got)
		}
	}
}

func TestRoutesAreBounded(t *testing.T) {
	templates, err := NewTemplates([]string{"GET /mine", "/any"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRecorder(Config{MaxRoutes: 10, Templates: templates})
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[Route]bool)
	for i := range 1000 {
		seen[r.Route([]byte("GET"), fmt.Appendf(nil, "/word%c%c", 'a'+i%26, 'a'+i/26%26))] = true
	}
	if len(seen) != 10 || !seen[0] {
		t.Errorf("%d routes", len(seen))
	}
	if got := r.RouteName(r.Route([]byte("GET"), []byte("/mine"))); got != "GET /mine" {
		t.Errorf("a pattern lost its place to paths that came first: %q", got)
	}
	put, path := []byte("PUT"), []byte("/any")
	if got := r.Route(put, path); got != 0 {
		t.Errorf("route %d in a full table", got)
	}
	if n := testing.AllocsPerRun(100, func() { r.Route(put, path) }); n != 0 {
		t.Errorf("a full table costs a pattern %v allocations a request", n)
	}
	if got := r.RouteName(r.Route([]byte("GET"), []byte("/wordaa"))); got != "GET /wordaa" {
		t.Errorf("the first path is %q", got)
	}
}

// A template and a collapsed path may have one name; then they are one route.
func TestRouteNamesAreUnique(t *testing.T) {
	templates, err := NewTemplates([]string{"GET /x/{id}.{ext}"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRecorder(Config{Templates: templates})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := r.Route([]byte("GET"), []byte("/x/1.pdf")), r.Route([]byte("GET"), []byte("/x/{id}.{ext}")); a != b {
		t.Errorf("routes %d %q and %d %q", a, r.RouteName(a), b, r.RouteName(b))
	}
	names := make(map[string]bool)
	for _, name := range *r.routes.names.Load() {
		if names[name] {
			t.Errorf("%q is there twice", name)
		}
		names[name] = true
	}
}

func TestRouteConcurrently(t *testing.T) {
	r, err := NewRecorder(Config{MaxRoutes: 50})
	if err != nil {
		t.Fatal(err)
	}
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for i := range 100 {
				want := fmt.Sprintf("GET /word%c%c", 'a'+i%10, 'a'+i/10)
				route := r.Route([]byte("GET"), []byte(want[4:]))
				if got := r.RouteName(route); got != want && route != 0 {
					t.Errorf("%s is %s", want, got)
				}
			}
		})
	}
	asking.Wait()
}

func FuzzRoute(f *testing.F) {
	f.Add([]byte("GET"), []byte("/users/42?x"))
	f.Add([]byte("PUT"), []byte("http://h/%41/b.c"))
	f.Add([]byte("\xff"), []byte("//a/../%"))
	templates, err := NewTemplates([]string{"/users/{id}", "/a/{x}-{y}.z", "/{rest...}"})
	if err != nil {
		f.Fatal(err)
	}
	plain, _ := NewRecorder(Config{})
	templated, _ := NewRecorder(Config{Templates: templates})
	f.Fuzz(func(t *testing.T, method, target []byte) {
		for _, r := range []*Recorder{plain, templated} {
			route := r.Route(method, target)
			if int(route) > 200 || len(r.RouteName(route)) > 300 {
				t.Errorf("route %d %q", route, r.RouteName(route))
			}
		}
	})
}
