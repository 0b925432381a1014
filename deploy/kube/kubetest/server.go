// Package kubetest is an API server in memory, for tests: objects by their paths,
// with the versions, conflicts and refusals of the real one.
package kubetest

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/countersign-dev/countersign/deploy/kube"
)

// Token is the one that requests must bear.
const Token = "a-token-of-the-service-account"

// Server is safe for concurrent use. It ends with its test.
type Server struct {
	// Address says how a client reaches it.
	Address kube.Server

	mu      sync.Mutex
	objects map[string]map[string]any // by path
	version int
	refuse  func(method, path string) int
	before  func(method, path string)
	asked   []string
}

// Start starts a server that has no objects.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{objects: map[string]map[string]any{}}
	http := httptest.NewTLSServer(s)
	t.Cleanup(http.Close)
	dir := t.TempDir()
	s.Address = kube.Server{URL: http.URL, CAFile: filepath.Join(dir, "ca.crt"), TokenFile: filepath.Join(dir, "token")}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: http.Certificate().Raw})
	for file, text := range map[string][]byte{s.Address.CAFile: ca, s.Address.TokenFile: []byte(Token + "\n")} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// Client is a client of the server.
func (s *Server) Client(t testing.TB) *kube.Client {
	t.Helper()
	c, err := kube.New(s.Address)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Put makes or replaces the object at path, which is its JSON.
func (s *Server) Put(path, object string) {
	var o map[string]any
	if err := json.Unmarshal([]byte(object), &o); err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(path, o)
}

// Delete removes the object at path.
func (s *Server) Delete(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, path)
}

// Get returns the JSON of the object at path, empty when there is none.
func (s *Server) Get(path string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[path]
	if !ok {
		return ""
	}
	text, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// Refuse has the requests answered by an error status for which code returns one;
// nil refuses none.
func (s *Server) Refuse(code func(method, path string) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = code
}

// Before has f called before a request is answered; it may call the server.
func (s *Server) Before(f func(method, path string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

// Asked are the requests so far, as "GET /version", and forgets them.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// store gives the object its next version. The caller holds the lock.
func (s *Server) store(path string, o map[string]any) {
	s.version++
	meta := child(o, "metadata")
	meta["resourceVersion"] = strconv.Itoa(s.version)
	o["metadata"] = meta
	s.objects[path] = o
}

// child is the object at a key, or a new one.
func child(o map[string]any, key string) map[string]any {
	if c, ok := o[key].(map[string]any); ok {
		return c
	}
	return map[string]any{}
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	before := s.before
	s.mu.Unlock()
	if before != nil {
		before(r.Method, r.URL.Path)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.Method+" "+r.URL.Path)
	if s.refuse != nil {
		if code := s.refuse(r.Method, r.URL.Path); code != 0 {
			fail(w, code, "refused by the test")
			return
		}
	}
	if r.Header.Get("Authorization") != "Bearer "+Token {
		fail(w, http.StatusUnauthorized, "Unauthorized")
		return
	}
	switch r.Method {
	case http.MethodGet:
		s.get(w, r)
	case http.MethodPost:
		s.post(w, r)
	case http.MethodPatch:
		s.patch(w, r)
	default:
		fail(w, http.StatusMethodNotAllowed, "the server does not allow this method on the requested resource")
	}
}

func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	if o, ok := s.objects[r.URL.Path]; ok {
		answer(w, http.StatusOK, o)
		return
	}
	if !isCollection(r.URL.Path) {
		fail(w, http.StatusNotFound, r.URL.Path+" not found")
		return
	}
	s.list(w, r, s.listed(r.URL.Path))
}

// isCollection tells paths such as /api/v1/namespaces/n/pods and /apis/apps/v1/deployments from
// those of objects, which have a name more.
func isCollection(path string) bool {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch parts[0] {
	case "api":
		return len(parts)%2 == 1
	case "apis":
		return len(parts)%2 == 0
	}
	return false
}

// listed are the paths of what a collection has; that of a namespaced kind may be
// asked for in all namespaces at once.
func (s *Server) listed(collection string) (paths []string) {
	all, kind := collection[:strings.LastIndex(collection, "/")+1], collection[strings.LastIndex(collection, "/")+1:]
	for path := range s.objects {
		dir := path[:strings.LastIndex(path, "/")]
		if dir == collection || strings.HasPrefix(dir, all+"namespaces/") && strings.HasSuffix(dir, "/"+kind) {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// list answers a page, whose continuation is the index of its end.
func (s *Server) list(w http.ResponseWriter, r *http.Request, paths []string) {
	begin, _ := strconv.Atoi(r.URL.Query().Get("continue"))
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	end := len(paths)
	meta := map[string]any{"resourceVersion": strconv.Itoa(s.version)}
	if limit > 0 && begin+limit < end {
		end = begin + limit
		meta["continue"] = strconv.Itoa(end)
	}
	items, kind := []any{}, ""
	for _, path := range paths[begin:end] {
		o := maps.Clone(s.objects[path])
		kind, _ = o["kind"].(string)
		delete(o, "kind")
		delete(o, "apiVersion")
		items = append(items, o)
	}
	answer(w, http.StatusOK, map[string]any{"kind": kind + "List", "apiVersion": "v1", "metadata": meta, "items": items})
}

func (s *Server) post(w http.ResponseWriter, r *http.Request) {
	o, ok := body(w, r, "application/json")
	if !ok {
		return
	}
	name, _ := child(o, "metadata")["name"].(string)
	path := r.URL.Path + "/" + name
	switch _, exists := s.objects[path]; {
	case name == "":
		fail(w, http.StatusUnprocessableEntity, "metadata.name: Required value")
	case exists:
		fail(w, http.StatusConflict, fmt.Sprintf("%q already exists", name))
	default:
		s.store(path, o)
		answer(w, http.StatusCreated, o)
	}
}

func (s *Server) patch(w http.ResponseWriter, r *http.Request) {
	p, ok := body(w, r, kube.Merge, kube.Strategic)
	if !ok {
		return
	}
	o, ok := s.objects[r.URL.Path]
	if !ok {
		fail(w, http.StatusNotFound, r.URL.Path+" not found")
		return
	}
	if v, named := child(p, "metadata")["resourceVersion"]; named && v != child(o, "metadata")["resourceVersion"] {
		fail(w, http.StatusConflict, "the object has been modified; please apply your changes to the latest version and try again")
		return
	}
	merged, _ := merge(o, p, r.Header.Get("Content-Type") == kube.Strategic).(map[string]any)
	s.store(r.URL.Path, merged)
	answer(w, http.StatusOK, merged)
}

// merge returns target with patch merged into it (RFC 7386). By a strategic merge,
// lists of objects with names are merged by these.
func merge(target, patch any, strategic bool) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	t, _ := target.(map[string]any)
	out := map[string]any{}
	maps.Copy(out, t)
	for key, value := range p {
		list, isList := value.([]any)
		old, wasList := out[key].([]any)
		switch {
		case value == nil:
			delete(out, key)
		case strategic && isList && wasList:
			out[key] = mergeNamed(old, list)
		default:
			out[key] = merge(out[key], value, strategic)
		}
	}
	return out
}

func mergeNamed(target, patch []any) []any {
	out := slices.Clone(target)
	for _, p := range patch {
		named := func(o any) bool { return o.(map[string]any)["name"] == p.(map[string]any)["name"] }
		if i := slices.IndexFunc(out, named); i >= 0 {
			out[i] = merge(out[i], p, true)
		} else {
			out = append(out, p)
		}
	}
	return out
}

// body reads the object that a request carries, or answers it.
func body(w http.ResponseWriter, r *http.Request, kinds ...string) (map[string]any, bool) {
	if !slices.Contains(kinds, r.Header.Get("Content-Type")) {
		fail(w, http.StatusUnsupportedMediaType, "the body of the request was in an unknown format - accepted media types include: "+strings.Join(kinds, ", "))
		return nil, false
	}
	text, err := io.ReadAll(r.Body)
	var o map[string]any
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return nil, false
	}
	return o, true
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

// fail answers with a Status.
func fail(w http.ResponseWriter, code int, message string) {
	answer(w, code, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message})
}
