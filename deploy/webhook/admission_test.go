package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	admissionv1 "k8s.io/api/admission/v1"
	k8sjson "sigs.k8s.io/json"

	"github.com/countersign-dev/countersign/deploy/inject"
	"github.com/countersign-dev/countersign/deploy/kube"
	"github.com/countersign-dev/countersign/deploy/kube/kubetest"
)

// answering is a webhook whose cluster has native sidecars, and its handler on a server.
type answering struct {
	*Webhook
	admission *admission
	url       string
	log       *strings.Builder
}

func answer(t testing.TB, client *kube.Client) answering {
	t.Helper()
	native := true
	log := new(strings.Builder)
	// The clock stands still, so that durations are the same in every run.
	w, err := New(Config{
		Defaults: inject.Defaults(), Native: &native, Kube: client, Certificate: fixed{}, Now: func() time.Time { return begin },
		Build: Build{"1.0.0", "abc", "go1.26"}, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	h := newAdmission(w.decide, w.metrics, w.cfg.Now, w.cfg.Log)
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return answering{w, h, s.URL, log}
}

func (a answering) post(t testing.TB, body string) (int, []byte) {
	t.Helper()
	res, err := http.Post(a.url+Path+"?timeout=5s", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, text
}

// review asks and reads the answer as strictly as an API server could.
func (a answering) review(t testing.TB, body string) *admissionv1.AdmissionResponse {
	t.Helper()
	code, text := a.post(t, body)
	var r admissionv1.AdmissionReview
	strict, err := k8sjson.UnmarshalStrict(text, &r)
	if code != http.StatusOK || err != nil || len(strict) > 0 || r.Response == nil {
		t.Fatalf("%d %s: %v %v", code, text, err, strict)
	}
	if r.APIVersion != "admission.k8s.io/v1" || r.Kind != "AdmissionReview" || !r.Response.Allowed || r.Response.UID != "705ab4f5" {
		t.Fatalf("the answer is %s", text)
	}
	if patched := len(r.Response.Patch) > 0; patched != (r.Response.PatchType != nil) || patched && *r.Response.PatchType != admissionv1.PatchTypeJSONPatch {
		t.Fatalf("patch type %v for %d bytes", r.Response.PatchType, len(r.Response.Patch))
	}
	return r.Response
}

// asking is the review of a new pod with this metadata and this spec.
func asking(metadata, spec string) string {
	return fmt.Sprintf(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"705ab4f5",
		"kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},"requestKind":{"group":"","version":"v1","kind":"Pod"},
		"namespace":"shop","operation":"CREATE","userInfo":{"username":"system:serviceaccount:kube-system:replicaset-controller"},
		"object":{"kind":"Pod","apiVersion":"v1","metadata":%s,"spec":%s,"status":{}},"oldObject":null,"dryRun":false,"options":{"kind":"CreateOptions","apiVersion":"meta.k8s.io/v1"}}}`, metadata, spec)
}

const (
	ofDeployment = `{"generateName":"web-6d4cf56db6-","labels":{"pod-template-hash":"6d4cf56db6"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-6d4cf56db6","uid":"1","controller":true}]}`
	withPort     = `{"containers":[{"name":"web","image":"web","ports":[{"name":"http","containerPort":8080}]}]}`
)

func operations(t testing.TB, patch []byte) (all []inject.Operation) {
	t.Helper()
	if err := json.Unmarshal(patch, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestPodGetsTheSidecar(t *testing.T) {
	a := answer(t, nil)
	r := a.review(t, asking(ofDeployment, withPort))
	var added, marked bool
	for _, op := range operations(t, r.Patch) {
		added = added || strings.HasPrefix(op.Path, "/spec/initContainers") && strings.Contains(string(op.Value), `"name":"countersign"`)
		marked = marked || strings.Contains(op.Path+string(op.Value), "status")
	}
	if !added || !marked {
		t.Errorf("the patch is %s", r.Patch)
	}
	if r.AuditAnnotations["outcome"] != "injected" {
		t.Errorf("annotations for the audit: %v", r.AuditAnnotations)
	}
	if want := `msg="pod injected" namespace=shop pod=Deployment/web`; !strings.Contains(a.log.String(), want) {
		t.Errorf("the log is %s, want %s", a.log, want)
	}
}

func TestPodIsLeftAlone(t *testing.T) {
	carrying := `{"name":"web","annotations":{"countersign.dev/status":"1 abc"}}`
	for what, body := range map[string]string{
		"carries the sidecar":  asking(carrying, `{"initContainers":[{"name":"countersign"}],"containers":[{"name":"web","ports":[{"name":"http","containerPort":8080}]}]}`),
		"declines by label":    asking(`{"name":"web","labels":{"countersign.dev/inject":"disabled"}}`, withPort),
		"declines by a note":   asking(`{"name":"web","annotations":{"countersign.dev/inject":"disabled"}}`, withPort),
		"is changed, not made": strings.Replace(asking(ofDeployment, withPort), "CREATE", "UPDATE", 1),
		"is no pod":            strings.Replace(asking(ofDeployment, withPort), `"resource":"pods"`, `"resource":"secrets"`, 1),
		"is of another group":  strings.Replace(asking(ofDeployment, withPort), `"resource":{"group":""`, `"resource":{"group":"example.com"`, 1),
		"is a part of it":      strings.Replace(asking(ofDeployment, withPort), `"namespace"`, `"subResource":"ephemeralcontainers","namespace"`, 1),
		"is not there":         `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"705ab4f5","resource":{"version":"v1","resource":"pods"},"operation":"CREATE","object":null}}`,
	} {
		if r := answer(t, nil).review(t, body); len(r.Patch) > 0 {
			t.Errorf("a pod that %s: %s", what, r.Patch)
		}
	}
}

func TestRefusedPodIsAdmittedWithTheReason(t *testing.T) {
	for what, c := range map[string]struct{ metadata, spec, reason string }{
		"on the host's network": {ofDeployment, strings.Replace(withPort, "{", `{"hostNetwork":true,`, 1), "network"},
		"misspelt annotation":   {`{"name":"web","annotations":{"countersign.dev/sensr":"proxy"}}`, withPort, "countersign.dev/sensr"},
		"a long annotation":     {`{"name":"web","annotations":{"countersign.dev/sensor":"` + strings.Repeat("x\\n\\u202e", 500) + `"}}`, withPort, "countersign.dev/sensor"},
	} {
		a := answer(t, nil)
		r := a.review(t, asking(c.metadata, c.spec))
		if r.AuditAnnotations["outcome"] != "refused" || !strings.Contains(r.AuditAnnotations["reason"], c.reason) {
			t.Errorf("%s: %v", what, r.AuditAnnotations)
		}
		ops := operations(t, r.Patch)
		if len(ops) != 1 || !strings.Contains(ops[0].Path+string(ops[0].Value), "refused") {
			t.Errorf("%s: the patch is %s", what, r.Patch)
		}
		if len(r.Warnings) != 1 || !strings.HasPrefix(r.Warnings[0], "countersign: no sidecar was added: ") {
			t.Errorf("%s: warnings %q", what, r.Warnings)
		}
		for _, text := range append(r.Warnings, r.AuditAnnotations["reason"]) {
			if len([]rune(text)) > maxReason || strings.ContainsAny(text, "\n\u202e") {
				t.Errorf("%s: %q", what, text)
			}
		}
		if n := len([]rune(r.Warnings[0])); n > maxWarning {
			t.Errorf("%s: a warning of %d characters", what, n)
		}
		if !strings.Contains(a.log.String(), `level=WARN msg="pod refused"`) {
			t.Errorf("%s: the log is %s", what, a.log)
		}
	}
}

// TestProbeWhereItIsForbidden: a pod with capabilities that its namespace does not
// allow would not be admitted.
func TestProbeWhereItIsForbidden(t *testing.T) {
	s := kubetest.Start(t)
	probe := asking(`{"name":"web","annotations":{"countersign.dev/sensor":"ebpf"}}`, withPort)
	namespace := func(level string) {
		s.Put("/api/v1/namespaces/shop", `{"metadata":{"name":"shop","labels":{"pod-security.kubernetes.io/enforce":"`+level+`"}}}`)
	}
	a := answer(t, s.Client(t))
	for level, want := range map[string]string{"privileged": "injected", "baseline": "refused", "restricted": "refused"} {
		namespace(level)
		if r := a.review(t, probe); r.AuditAnnotations["outcome"] != want {
			t.Errorf("%s: %v", level, r.AuditAnnotations)
		}
	}
	s.Refuse(func(string, string) int { return http.StatusForbidden })
	if r := a.review(t, probe); r.AuditAnnotations["outcome"] != "refused" || !strings.Contains(r.AuditAnnotations["reason"], "cannot be asked") {
		t.Errorf("not allowed to ask: %v", r.AuditAnnotations)
	}
	if r := answer(t, nil).review(t, probe); r.AuditAnnotations["outcome"] != "refused" {
		t.Errorf("without an API server: %v", r.AuditAnnotations)
	}
	s.Asked()
	if a.review(t, asking(ofDeployment, withPort)); len(s.Asked()) > 0 {
		t.Error("the API server is asked for a pod without the probe")
	}
}

func TestWhatCannotBeAnswered(t *testing.T) {
	good := asking(ofDeployment, withPort)
	for what, c := range map[string]struct {
		body string
		code int
		says string
	}{
		"nothing":          {"", 400, "no AdmissionReview"},
		"no JSON":          {"hello", 400, "no AdmissionReview"},
		"another version":  {strings.Replace(good, "admission.k8s.io/v1", "admission.k8s.io/v1beta1", 1), 400, "admissionReviewVersions"},
		"another kind":     {strings.Replace(good, "AdmissionReview", "ConversionReview", 1), 400, "only AdmissionReview"},
		"no uid":           {strings.Replace(good, "705ab4f5", "", 1), 400, "no request with a uid"},
		"no request":       {`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}`, 400, "no request with a uid"},
		"a pod of a crowd": {asking(ofDeployment, `{"x":"`+strings.Repeat("x", maxReview)+`"}`), 413, "more than 4 MiB"},
	} {
		a := answer(t, nil)
		code, text := a.post(t, c.body)
		if code != c.code || !strings.Contains(string(text), c.says) {
			t.Errorf("%s: %d %s", what, code, text)
		}
		if n := testutil.ToFloat64(a.metrics.reviews.WithLabelValues("malformed")); n != 1 {
			t.Errorf("%s: counted %v times", what, n)
		}
	}
}

func TestWhatIsNoReview(t *testing.T) {
	a := answer(t, nil)
	for _, c := range []struct {
		method, path, kind string
		code               int
	}{
		{"GET", Path, "application/json", 405}, {"POST", "/", "application/json", 404}, {"POST", Path, "text/plain", 415}, {"POST", Path, "", 415},
	} {
		req, err := http.NewRequest(c.method, a.url+c.path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", c.kind)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != c.code {
			t.Errorf("%s %s %s: %d", c.method, c.path, c.kind, res.StatusCode)
		}
	}
}

// stalled opens a review whose body does not come.
func stalled(t *testing.T, url string, timeout string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "POST %s?timeout=%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", Path, timeout)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestStalledBodiesTakeTheirPlacesForAWhile fills every place, and has one more wait
// for one.
func TestStalledBodiesTakeTheirPlacesForAWhile(t *testing.T) {
	a := answer(t, nil)
	var conns []net.Conn
	for range maxAtOnce {
		conns = append(conns, stalled(t, a.url, "5s"))
	}
	for deadline := time.Now().Add(30 * time.Second); len(a.admission.slots) < maxAtOnce; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d places are taken", len(a.admission.slots))
		}
	}
	last := stalled(t, a.url, "1s")
	for _, c := range []struct {
		conn net.Conn
		want string
	}{{last, "503"}, {conns[0], "400"}} {
		_ = c.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		answer := make([]byte, len("HTTP/1.1 503"))
		if _, err := io.ReadFull(c.conn, answer); err != nil || !bytes.HasSuffix(answer, []byte(c.want)) {
			t.Errorf("%s %v, want %s", answer, err, c.want)
		}
	}
	if r := a.review(t, asking(ofDeployment, withPort)); len(r.Patch) == 0 {
		t.Error("no sidecar afterwards")
	}
}

func TestPatience(t *testing.T) {
	for query, want := range map[string]time.Duration{"": 10 * time.Second, "?timeout=5s": 5 * time.Second, "?timeout=30s": 10 * time.Second, "?timeout=1ms": time.Second, "?timeout=x": 10 * time.Second} {
		if got := granted(httptest.NewRequest("POST", Path+query, nil)); got != want {
			t.Errorf("%q: %v", query, got)
		}
	}
}

// FuzzReview looks for a body that the webhook does not survive, or by which a pod would
// be kept from starting.
func FuzzReview(f *testing.F) {
	f.Add(asking(ofDeployment, withPort))
	f.Add(asking(`{"name":"web","annotations":null}`, `{"containers":null,"volumes":[{}]}`))
	f.Add(asking(`null`, `[]`))
	f.Add(asking(`{"name":"web","annotations":{"countersign.dev/sensor":"ebpf"}}`, withPort))
	a := answer(f, nil)
	f.Fuzz(func(t *testing.T, body string) {
		req, err := parseReview([]byte(body))
		if err != nil {
			return
		}
		d := a.decide(context.Background(), req)
		if d.outcome == failed && strings.Contains(d.reason, "a fault of") {
			t.Fatalf("a panic: %s", a.log)
		}
		r := d.response(req.UID)
		if !r.Allowed || r.UID != req.UID || len(r.Patch) > 0 && !req.isPod() {
			t.Fatalf("%+v", r)
		}
		for _, op := range d.patch {
			if op.Op != "add" && op.Op != "replace" && op.Op != "remove" || !strings.HasPrefix(op.Path, "/") {
				t.Fatalf("operation %+v", op)
			}
		}
	})
}
