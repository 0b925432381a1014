package histogram

import (
	"bytes"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// Route is an index into a Recorder's route table. 0 is always "other": what is
// left when the table is full, and targets that have no path.
type Route uint16

// otherMethod stands for every method that is not in methods.
const otherMethod = "OTHER"

// methods are the ones that name routes, so that invented ones cannot fill the
// table. The first is not a method, to make 0 the index of every other.
var methods = [...]string{
	otherMethod, "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS",
	"CONNECT", "TRACE", "QUERY", "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE",
	"LOCK", "UNLOCK", "REPORT", "SEARCH", "PURGE",
}

const (
	methodGet  = 1
	methodHead = 2
)

// methodIndex is the index in methods.
func methodIndex(method []byte) int {
	for i, name := range methods[1:] {
		if string(method) == name {
			return i + 1
		}
	}
	return 0
}

// routes is a Recorder's route table: names are added and never taken away.
type routes struct {
	templates *Templates
	// templated is one more than the Route of each template and method, 0 before
	// it was asked for: templates.count() × len(methods). What did not fit in the
	// table is "other" for good, so that is remembered too.
	templated []atomic.Uint32
	// named has the Routes of collapsed paths; the maps are never changed.
	named [len(methods)]atomic.Pointer[map[string]Route]
	names atomic.Pointer[[]string]

	mu  sync.Mutex // held to add a name
	max int        // without "other"
}

func (r *routes) init(limit int, templates *Templates) {
	r.max = limit
	r.names.Store(&[]string{"other"})
	for i := range r.named {
		r.named[i].Store(new(map[string]Route))
	}
	if templates != nil {
		r.templates = templates
		r.templated = make([]atomic.Uint32, templates.count()*len(methods))
		// What the user named has its place, whatever is asked for first.
		for i, t := range templates.list {
			if t.method != anyMethod {
				r.addTemplated(i, t.method)
			}
		}
	}
}

// Route is the route of a request by its method and target, as they stand in
// the request line. The target's query does not matter. A route seen first is
// registered; a known one costs no allocation. Safe for concurrent use.
func (r *Recorder) Route(method, target []byte) Route {
	return r.routes.find(methodIndex(method), pathOf(target))
}

// RouteName is the route's method and template, such as "GET /users/{id}", at
// most 300 bytes of printable text. Unknown routes are "other".
func (r *Recorder) RouteName(route Route) string {
	names := *r.routes.names.Load()
	if int(route) >= len(names) {
		route = 0
	}
	return names[route]
}

func (r *routes) find(method int, path []byte) Route {
	if len(path) == 0 {
		return 0
	}
	if r.templates != nil {
		if i, ok := r.templates.match(method, path); ok {
			if known := r.templated[i*len(methods)+method].Load(); known != 0 {
				return Route(known - 1)
			}
			return r.addTemplated(i, method)
		}
	}
	var space [maxCollapsed]byte
	collapsed := Collapse(space[:0], path)
	if route, ok := (*r.named[method].Load())[string(collapsed)]; ok {
		return route
	}
	if len(*r.names.Load()) > r.max {
		return 0
	}
	return r.addNamed(method, string(collapsed))
}

func (r *routes) addTemplated(i, method int) Route {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := &r.templated[i*len(methods)+method]
	if known := known.Load(); known != 0 {
		return Route(known - 1)
	}
	route := r.register(methods[method] + " " + r.templates.list[i].path)
	known.Store(uint32(route) + 1)
	return route
}

func (r *routes) addNamed(method int, path string) Route {
	r.mu.Lock()
	defer r.mu.Unlock()
	named := *r.named[method].Load()
	if route, ok := named[path]; ok {
		return route
	}
	route := r.register(methods[method] + " " + path)
	if route == 0 {
		return 0
	}
	more := maps.Clone(named)
	if more == nil {
		more = make(map[string]Route)
	}
	more[path] = route
	r.named[method].Store(&more)
	return route
}

// register gives name a Route, 0 when the table is full. A name has one Route
// even if a template and a collapsed path agree on it. The caller holds mu.
func (r *routes) register(name string) Route {
	names := *r.names.Load()
	if i := slices.Index(names, name); i >= 0 {
		return Route(i)
	}
	if len(names) > r.max {
		return 0
	}
	// Readers of the old slice never look past its length.
	names = append(names, name)
	r.names.Store(&names)
	return Route(len(names) - 1)
}

// pathOf is the path of a request target: origin-form without its query,
// absolute-form without scheme and authority too, "*". It is empty for what
// has no path, such as authority-form.
func pathOf(target []byte) []byte {
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		target = target[:i]
	}
	if i := bytes.IndexByte(target, '#'); i >= 0 {
		target = target[:i]
	}
	if len(target) == 0 {
		return target
	}
	if target[0] == '/' || len(target) == 1 && target[0] == '*' {
		return target
	}
	i := bytes.Index(target, []byte("://"))
	if i <= 0 || bytes.IndexByte(target[:i], '/') >= 0 {
		return nil
	}
	authority := target[i+3:]
	if i := bytes.IndexByte(authority, '/'); i >= 0 {
		return authority[i:]
	}
	return []byte("/")
}
