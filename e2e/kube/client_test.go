package kube

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// client sends what the suites ask of the API server, as one user.
type client struct {
	url, token string
	http       *http.Client
}

// object is anything the API server stores.
type object = map[string]any

func newClient(url, caFile, token string) (*client, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New(caFile + " has no certificate")
	}
	return &client{url, token, &http.Client{
		Timeout:   patience,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute},
	}}, nil
}

// send returns the status and body of what the API server answers.
func (c *client) send(method, path, contentType string, body []byte) (int, []byte, error) {
	answer, content, err := c.sendWarned(method, path, contentType, body)
	if err != nil {
		return 0, nil, err
	}
	return answer.StatusCode, content, nil
}

func (c *client) sendWarned(method, path, contentType string, body []byte) (*http.Response, []byte, error) {
	request, err := http.NewRequest(method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	return answer, content, err
}

// failure is an answer that says no.
type failure struct {
	code    int
	message string
}

func (f *failure) Error() string {
	return fmt.Sprintf("the API server answered %d: %s", f.code, f.message)
}

// do sends an object, or nothing when body is nil, and returns the one answered
// with the warnings beside it.
func (c *client) do(method, path string, body object) (object, []string, error) {
	var sent []byte
	contentType := ""
	if body != nil {
		var err error
		if sent, err = json.Marshal(body); err != nil {
			return nil, nil, err
		}
		contentType = "application/json"
		if method == http.MethodPatch {
			contentType = "application/merge-patch+json"
		}
	}
	answer, content, err := c.sendWarned(method, path, contentType, sent)
	if err != nil {
		return nil, nil, err
	}
	var got object
	if err := json.Unmarshal(content, &got); err != nil {
		return nil, nil, fmt.Errorf("the API server answered %d and no object: %w: %.200s", answer.StatusCode, err, content)
	}
	if answer.StatusCode/100 != 2 {
		message, _ := got["message"].(string)
		return nil, nil, &failure{answer.StatusCode, message}
	}
	return got, warnings(answer.Header), nil
}

// warnings are the texts of a response's Warning headers.
func warnings(header http.Header) []string {
	var texts []string
	for _, warning := range header.Values("Warning") {
		if _, quoted, ok := strings.Cut(warning, `"`); ok {
			texts = append(texts, strings.ReplaceAll(strings.TrimSuffix(quoted, `"`), `\"`, `"`))
		}
	}
	return texts
}

// must is do for what has to succeed.
func (c *client) must(t *testing.T, method, path string, body object) object {
	t.Helper()
	got, _, err := c.do(method, path, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return got
}

// namespace creates a namespace as a cluster would have it: with its default
// service account, which no controller makes here.
func (c *client) namespace(t *testing.T, name string, labels object) {
	t.Helper()
	c.must(t, http.MethodPost, "/api/v1/namespaces", object{
		"metadata": object{"name": name, "labels": labels},
	})
	c.serviceAccount(t, name, "default")
}

func (c *client) serviceAccount(t *testing.T, namespace, name string) {
	t.Helper()
	c.must(t, http.MethodPost, "/api/v1/namespaces/"+namespace+"/serviceaccounts", object{"metadata": object{"name": name}})
}

// dig follows keys into an object, to nil where there is nothing.
func dig(from any, keys ...string) any {
	for _, key := range keys {
		inner, ok := from.(object)
		if !ok {
			return nil
		}
		from = inner[key]
	}
	return from
}

// list is dig for a list of objects.
func list(from any, keys ...string) []object {
	items, _ := dig(from, keys...).([]any)
	objects := make([]object, 0, len(items))
	for _, item := range items {
		if o, ok := item.(object); ok {
			objects = append(objects, o)
		}
	}
	return objects
}

// text is dig for a string.
func text(from any, keys ...string) string {
	s, _ := dig(from, keys...).(string)
	return s
}

// texts is dig for a list of strings.
func texts(from any, keys ...string) []string {
	items, _ := dig(from, keys...).([]any)
	var all []string
	for _, item := range items {
		all = append(all, fmt.Sprint(item))
	}
	return all
}

// clone is a copy as the API server would decode it: every number a float64.
func clone(o object) object {
	encoded, err := json.Marshal(o)
	if err != nil {
		panic(err) // it was decoded from JSON
	}
	var c object
	if err := json.Unmarshal(encoded, &c); err != nil {
		panic(err)
	}
	return c
}
