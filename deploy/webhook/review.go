package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// The parts of an AdmissionReview that are read and written here.
// https://kubernetes.io/docs/reference/config-api/apiserver-admission.v1/
const (
	reviewVersion = "admission.k8s.io/v1"
	reviewKind    = "AdmissionReview"
)

type review struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Request    *request  `json:"request,omitempty"`
	Response   *response `json:"response,omitempty"`
}

type request struct {
	UID         string          `json:"uid"`
	Resource    resource        `json:"resource"`
	SubResource string          `json:"subResource"`
	Namespace   string          `json:"namespace"`
	Operation   string          `json:"operation"`
	DryRun      bool            `json:"dryRun"`
	Object      json.RawMessage `json:"object"`
}

type resource struct {
	Group    string `json:"group"`
	Version  string `json:"version"`
	Resource string `json:"resource"`
}

// response always allows.
type response struct {
	UID       string `json:"uid"`
	Allowed   bool   `json:"allowed"`
	PatchType string `json:"patchType,omitempty"`
	// Patch is RFC 6902 in JSON, in base64 on the wire.
	Patch            []byte            `json:"patch,omitempty"`
	Warnings         []string          `json:"warnings,omitempty"`
	AuditAnnotations map[string]string `json:"auditAnnotations,omitempty"`
}

// parseReview reads a review that can be answered.
func parseReview(body []byte) (*request, error) {
	var r review
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, fmt.Errorf("the body is no AdmissionReview: %w", err)
	}
	switch {
	case r.Kind != reviewKind || r.APIVersion != reviewVersion:
		return nil, fmt.Errorf("the body is %q of %q, and only %s of %s is answered: name v1 in admissionReviewVersions", r.Kind, r.APIVersion, reviewKind, reviewVersion)
	case r.Request == nil || r.Request.UID == "":
		return nil, errors.New("the AdmissionReview has no request with a uid")
	}
	return r.Request, nil
}

// isPod says whether the request is one to make a pod, which is all that is looked at.
func (r *request) isPod() bool {
	return r.Operation == "CREATE" && r.Resource == resource{Version: "v1", Resource: "pods"} && r.SubResource == "" &&
		len(r.Object) > 0 && !bytes.Equal(r.Object, []byte("null"))
}
