package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"runtime/debug"

	"github.com/countersign-dev/countersign/deploy/inject"
	"github.com/countersign-dev/countersign/orchestrator/plain"
)

// outcome is what became of a request.
type outcome string

const (
	injected  outcome = "injected"
	unchanged outcome = "unchanged" // carries the sidecar already, or does not want it
	refused   outcome = "refused"   // cannot have it, for a reason that is told
	failed    outcome = "failed"    // a fault of ours
	ignored   outcome = "ignored"   // no pod that is being made
	malformed outcome = "malformed" // no review that can be answered
)

var outcomes = []outcome{injected, unchanged, refused, failed, ignored, malformed}

// decision is what is answered to a review, and noted of it.
type decision struct {
	outcome  outcome
	patch    []inject.Operation
	warnings []string
	reason   string // of what is refused or failed
	pod      string // whose it is, for the log
}

const (
	// maxReason bounds what is said of a pod in an annotation and in the log.
	maxReason = 500
	// maxWarning is the longest warning that API servers pass on whole, in characters.
	maxWarning = 256
)

// decide never fails: a pod that cannot be injected is left as it is, with a note.
func (w *Webhook) decide(ctx context.Context, req *request) (d decision) {
	if !req.isPod() {
		return decision{outcome: ignored}
	}
	defer func() {
		if p := recover(); p != nil {
			w.cfg.Log.Error("injecting has panicked; the pod is admitted without the sidecar", "namespace", req.Namespace, "panic", p, "stack", string(debug.Stack()))
			d = leave(req, failed, "a fault of Countersign's own: its log has more")
		}
	}()
	result, owner, err := w.inject(ctx, req)
	switch refusal, is := errors.AsType[*inject.Refusal](err); {
	case is:
		d = leave(req, refused, refusal.Error())
	case err != nil:
		d = leave(req, failed, err.Error())
	case result.Changed():
		d = decision{outcome: injected, patch: result.Patch, warnings: result.Warnings}
	default:
		d = decision{outcome: unchanged, warnings: result.Warnings}
	}
	d.pod = owner.Kind + "/" + owner.Name
	return d
}

// inject asks for the patch.
func (w *Webhook) inject(ctx context.Context, req *request) (inject.Result, inject.Owner, error) {
	owner, err := inject.OwnerOf(req.Object, req.Namespace)
	if err != nil {
		return inject.Result{}, owner, err
	}
	o := w.cfg.Defaults
	// While it is not known what the cluster has, what every cluster has will do.
	native := w.native.Load()
	o.Native = native != nil && *native
	if owner.PodSecurity, err = w.podSecurity(ctx, req, o); err != nil {
		return inject.Result{}, owner, err
	}
	result, err := inject.Pod(req.Object, owner, o)
	return result, owner, err
}

// podSecurity is the level that the namespace enforces. It is asked for where it
// matters: only the probe may need more than a level allows, and a pod that
// the level forbids would not be admitted.
func (w *Webhook) podSecurity(ctx context.Context, req *request, defaults inject.Options) (string, error) {
	var pod struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(req.Object, &pod); err != nil {
		return "", err
	}
	o, err := inject.FromAnnotations(defaults, pod.Metadata.Annotations)
	if err != nil || o.Sensor != "ebpf" {
		return "", nil // what is wrong with the annotations, inject.Pod says
	}
	if w.cfg.Kube == nil {
		return "", &inject.Refusal{
			Reason: "the probe needs capabilities, and whether the namespace allows them is not known, as the webhook does not ask the API server",
			Mend:   "let it, or use the proxy",
		}
	}
	var namespace struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
	}
	if err := w.cfg.Kube.Get(ctx, "/api/v1/namespaces/"+url.PathEscape(req.Namespace), &namespace); err != nil {
		return "", &inject.Refusal{
			Reason: fmt.Sprintf("the probe needs capabilities, and whether the namespace allows them cannot be asked (%v)", err),
			Mend:   "make the pod again, or use the proxy",
		}
	}
	return namespace.Metadata.Labels["pod-security.kubernetes.io/enforce"], nil
}

// leave admits a pod without the sidecar, and notes the reason on it.
func leave(req *request, o outcome, reason string) decision {
	reason = plain.Line(reason, maxReason)
	d := decision{outcome: o, reason: reason, warnings: []string{"no sidecar was added: " + reason}}
	// Without a note the pod is the same to everybody but this audit.
	if patch, err := inject.Refused(req.Object, reason); err == nil {
		d.patch = patch
	}
	return d
}

// response allows the request.
func (d decision) response(uid string) *response {
	r := &response{UID: uid, Allowed: true, AuditAnnotations: map[string]string{"outcome": string(d.outcome)}}
	if d.reason != "" {
		r.AuditAnnotations["reason"] = d.reason
	}
	for _, text := range d.warnings {
		r.Warnings = append(r.Warnings, plain.Line("countersign: "+text, maxWarning))
	}
	if len(d.patch) > 0 {
		// Operations are strings and JSON, which encode.
		r.Patch, _ = json.Marshal(d.patch)
		r.PatchType = "JSONPatch"
	}
	return r
}
