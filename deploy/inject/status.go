package inject

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
)

// status is the value of StatusAnnotation: the version that injects, and the digest of
// what it was told.
func (o Options) status() string { return o.Version + " " + o.digest() }

func (o Options) digest() string {
	version := o.Version
	o.Version = ""
	text, err := json.Marshal(o)
	if err != nil {
		panic("inject: options of " + version + " cannot be written as JSON: " + err.Error()) // strings and numbers alone
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:8])
}

// declines says whether the pod asks to be left out.
func (p *pod) declines() bool {
	return p.Metadata.Labels[Label] == Disabled || p.Metadata.Annotations[Label] == Disabled
}

// carries says whether the pod has the sidecar.
func (p *pod) carries() bool {
	_, marked := p.Metadata.Annotations[StatusAnnotation]
	return marked && slices.ContainsFunc(p.all(), func(c container) bool { return c.Name == Container })
}

// outdated warns of a sidecar that was told something else than is said now.
func (p *pod) outdated(o Options) []string {
	_, digest, _ := strings.Cut(p.Metadata.Annotations[StatusAnnotation], " ")
	if digest == o.digest() {
		return nil
	}
	return []string{"the pod carries the sidecar already, with other options, and is left as it is: inject it again from the manifest without"}
}
