package api

import (
	"net/http"
	"slices"
	"strings"
)

// route is one resource: a path, whose segments in braces stand for any, and
// what answers each method.
type route struct {
	pattern  string
	segments []string
	// prefix routes have everything below the pattern too.
	prefix bool
	// name is an example of a prefix route, and else the pattern.
	name  string
	serve map[string]http.HandlerFunc
}

// routes are all resources, the plain paths before those with braces.
type routes []*route

func (rs *routes) add(method, pattern string, f http.HandlerFunc) {
	for _, rt := range *rs {
		if rt.pattern == pattern {
			rt.serve[method] = f
			return
		}
	}
	*rs = append(*rs, &route{
		pattern: pattern, segments: strings.Split(pattern, "/"), name: pattern,
		serve: map[string]http.HandlerFunc{method: f},
	})
	slices.SortStableFunc(*rs, func(a, b *route) int { return strings.Count(a.pattern, "{") - strings.Count(b.pattern, "{") })
}

func (rs *routes) get(pattern string, f http.HandlerFunc) { rs.add(http.MethodGet, pattern, f) }

func (rs *routes) below(prefix, example string, f http.HandlerFunc) {
	rs.get(prefix, f)
	for _, rt := range *rs {
		if rt.pattern == prefix {
			rt.prefix, rt.name = true, example
		}
	}
}

// match finds the route of a request, and notes the segments that its braces
// stand for as path values. It is nil when there is none.
func (rs routes) match(r *http.Request) *route {
	given := strings.Split(r.URL.Path, "/")
	for _, rt := range rs {
		if rt.prefix && strings.HasPrefix(r.URL.Path, rt.pattern) {
			return rt
		}
		if rt.holds(given) {
			for i, s := range rt.segments {
				if name, ok := variable(s); ok {
					r.SetPathValue(name, given[i])
				}
			}
			return rt
		}
	}
	return nil
}

func (rt *route) holds(given []string) bool {
	if len(given) != len(rt.segments) {
		return false
	}
	for i, s := range rt.segments {
		if _, any := variable(s); any {
			if given[i] == "" {
				return false
			}
		} else if given[i] != s {
			return false
		}
	}
	return true
}

func variable(segment string) (string, bool) {
	name, ok := strings.CutPrefix(segment, "{")
	return strings.TrimSuffix(name, "}"), ok
}

// method returns what answers a method, nil when nothing does. HEAD is a GET
// whose body the server leaves out.
func (rt *route) method(name string) http.HandlerFunc {
	if name == http.MethodHead {
		name = http.MethodGet
	}
	return rt.serve[name]
}

// allowed lists the methods as an Allow header does.
func (rt *route) allowed() []string {
	var list []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		if rt.serve[m] != nil {
			list = append(list, m)
		}
		if m == http.MethodGet && rt.serve[m] != nil {
			list = append(list, http.MethodHead)
		}
	}
	return list
}

func listed(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// names are what can be asked for, sorted.
func (rs routes) names() []string {
	var list []string
	for _, rt := range rs {
		list = append(list, rt.name)
	}
	slices.Sort(list)
	return list
}
