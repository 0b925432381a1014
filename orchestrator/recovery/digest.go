package recovery

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

const digestPrefix = "sha256:"

// Digest is "sha256:" and the hexadecimal SHA-256 of [Action.Canonical]: what a
// person authorizes.
func (a Action) Digest() string { return digestOf(a.Canonical()) }

// Canonical is a JSON document of everything that decides what is sent, to whom,
// and who must agree. It is fit for evidence: secrets stand in it by their
// [Secret.ID], so that a new value behind the same name changes nothing. Title,
// gates, causes and times are no part of it.
func (a Action) Canonical() []byte {
	type header struct {
		Name   string `json:"name"`
		Value  string `json:"value"`
		Secret string `json:"secret,omitempty"`
	}
	headers := []header{}
	for _, name := range a.headerNames() {
		h := header{Name: canonicalHeader(name), Value: a.Headers[name]}
		if s, ok := a.SecretHeaders[name]; ok {
			h.Value, h.Secret = s.Prefix, s.Secret.ID()
		}
		headers = append(headers, h)
	}
	slices.SortFunc(headers, func(x, y header) int { return strings.Compare(x.Name, y.Name) })
	hosts := slices.Clone(a.AllowHosts)
	slices.Sort(hosts)
	key := ""
	if !a.Unsigned {
		key = a.Secret.ID()
	}
	return canonical(struct {
		Type         string   `json:"type"`
		Name         string   `json:"name"`
		Tenant       string   `json:"tenant"`
		Method       string   `json:"method"`
		URL          string   `json:"url"`
		Headers      []header `json:"headers"`
		Body         string   `json:"body"`
		Unsigned     bool     `json:"unsigned"`
		Key          string   `json:"key"`
		Idempotent   bool     `json:"idempotent"`
		AllowPrivate bool     `json:"allow_private"`
		AllowHosts   []string `json:"allow_hosts"`
		Risk         Risk     `json:"risk"`
		Approvals    int      `json:"approvals"`
	}{
		"countersign action v1", a.Name, a.Tenant, a.Method, a.URL, headers, a.Body, a.Unsigned, key,
		a.Idempotent, a.AllowPrivate, slices.Compact(hosts), a.Risk, a.Approvals,
	})
}

// canonical is the JSON of a struct, whose members have a fixed order.
func canonical(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("recovery: what is hashed has no JSON: %v", err))
	}
	return text
}

func digestOf(text []byte) string {
	sum := sha256.Sum256(text)
	return digestPrefix + hex.EncodeToString(sum[:])
}
