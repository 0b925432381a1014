package webhook

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/countersign-dev/countersign/deploy/kube"
)

// The parts of two kinds of objects that the keeper reads or writes.

type metadata struct {
	Name            string `json:"name,omitempty"`
	ResourceVersion string `json:"resourceVersion,omitempty"`
}

// secret is a Secret; the values of its data are in base64 on the wire.
type secret struct {
	APIVersion string            `json:"apiVersion,omitempty"`
	Kind       string            `json:"kind,omitempty"`
	Metadata   metadata          `json:"metadata"`
	Type       string            `json:"type,omitempty"`
	Data       map[string][]byte `json:"data,omitempty"`
}

// registration is a MutatingWebhookConfiguration.
type registration struct {
	Metadata metadata `json:"metadata"`
	Webhooks []hook   `json:"webhooks"`
}

type hook struct {
	Name         string       `json:"name"`
	ClientConfig clientConfig `json:"clientConfig"`
}

type clientConfig struct {
	CABundle []byte `json:"caBundle,omitempty"`
}

// bundles are those of every webhook of the configuration.
func (r registration) bundles() (all [][]byte) {
	for _, h := range r.Webhooks {
		all = append(all, h.ClientConfig.CABundle)
	}
	return all
}

// authoritiesKey is where the Secret has the authorities.
const authoritiesKey = "authorities.pem"

// cluster is where the keeper's two objects are.
type cluster struct {
	kube                            *kube.Client
	namespace, secret, registration string
}

func (c cluster) secretsPath() string {
	return "/api/v1/namespaces/" + url.PathEscape(c.namespace) + "/secrets"
}

func (c cluster) registrationPath() string {
	return "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/" + url.PathEscape(c.registration)
}

// readSecret returns the authorities and the version of the Secret they are in,
// which is empty when there is no Secret.
func (c cluster) readSecret(ctx context.Context) (all []authority, version string, err error) {
	var s secret
	err = c.kube.Get(ctx, c.secretsPath()+"/"+url.PathEscape(c.secret), &s)
	if kube.Is(err, http.StatusNotFound) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("cannot read the Secret %s/%s: %w", c.namespace, c.secret, err)
	}
	all, err = parseAuthorities(s.Data[authoritiesKey])
	if err != nil {
		return nil, "", fmt.Errorf("the Secret %s/%s has something else than authorities in %s: %w; take the key out of its data and new ones are made", c.namespace, c.secret, authoritiesKey, err)
	}
	return all, s.Metadata.ResourceVersion, nil
}

// writeSecret replaces the authorities of the Secret, if it is of that version still.
// The chart makes the Secret, so that no right to make any is needed; where
// there is none, making it is tried.
func (c cluster) writeSecret(ctx context.Context, all []authority, version string) error {
	text, err := encodeAuthorities(all)
	if err != nil {
		return err
	}
	s := secret{Metadata: metadata{ResourceVersion: version}, Data: map[string][]byte{authoritiesKey: text}}
	if version != "" {
		err = c.kube.Patch(ctx, c.secretsPath()+"/"+url.PathEscape(c.secret), kube.Merge, s, &secret{})
	} else {
		s.APIVersion, s.Kind, s.Type, s.Metadata.Name = "v1", "Secret", "Opaque", c.secret
		err = c.kube.Create(ctx, c.secretsPath(), s, &secret{})
	}
	switch {
	case kube.Is(err, http.StatusForbidden) && version == "":
		return fmt.Errorf("there is no Secret %s/%s, and it cannot be made: apply the chart's anew, which is empty: %w", c.namespace, c.secret, err)
	case err != nil:
		return fmt.Errorf("cannot write the Secret %s/%s: %w", c.namespace, c.secret, err)
	}
	return nil
}

func (c cluster) readRegistration(ctx context.Context) (r registration, err error) {
	err = c.kube.Get(ctx, c.registrationPath(), &r)
	switch {
	case kube.Is(err, http.StatusNotFound):
		err = fmt.Errorf("there is no MutatingWebhookConfiguration %s: no pod is sent here until it is applied", c.registration)
	case err != nil:
		err = fmt.Errorf("cannot read the MutatingWebhookConfiguration %s: %w", c.registration, err)
	case len(r.Webhooks) == 0:
		err = fmt.Errorf("the MutatingWebhookConfiguration %s has no webhooks: no pod is sent here", c.registration)
	}
	return r, err
}

// writeBundles replaces the bundles of the webhooks that are named, if the
// configuration is of the version still that r was read in.
func (c cluster) writeBundles(ctx context.Context, r registration, changed []hook) error {
	patch := registration{Metadata: metadata{ResourceVersion: r.Metadata.ResourceVersion}, Webhooks: changed}
	if err := c.kube.Patch(ctx, c.registrationPath(), kube.Strategic, patch, &registration{}); err != nil {
		return fmt.Errorf("cannot write the caBundle of the MutatingWebhookConfiguration %s: %w", c.registration, err)
	}
	return nil
}
