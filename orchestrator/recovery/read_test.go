package recovery

import (
	"strings"
	"testing"
	"time"
)

const wholeAction = `
- name: roll-back
  title: Roll back the last deployment
  tenant: payments
  url: https://deploy.example/hooks/rollback?service=payments
  method: PUT
  headers:
    Content-Type: application/vnd.deploy+json
    X-Incident: "{{incident_id}}"
    Authorization: {secret_file: /run/secrets/deploy, prefix: "Bearer ", key_id: deploy-1}
  body: '{"to":"previous","by":"{{approver}}"}'
  secret_env: KEY
  key_id: k1
  idempotent: true
  timeout: 20s
  allow_private: true
  allow_hosts: [deploy.example]
  risk: high
  approvals: 2
  gates: [absolute_threshold, z_score]
  causes: [deployment]
  cool_down: 1h
  watch: 10m
`

func TestParseList(t *testing.T) {
	c := mustRead(t, wholeAction)
	if len(c) != 1 {
		t.Fatal(c)
	}
	a := c[0]
	if a.Name != "roll-back" || a.Title != "Roll back the last deployment" || a.Tenant != "payments" || a.Method != "PUT" ||
		a.Headers["X-Incident"] != "{{incident_id}}" || a.SecretHeaders["Authorization"] != (SecretHeader{"Bearer ", Secret{File: "/run/secrets/deploy", KeyID: "deploy-1"}}) ||
		a.Secret != (Secret{Env: "KEY", KeyID: "k1"}) || !a.Idempotent || a.Timeout != 20*time.Second || !a.AllowPrivate || a.AllowHosts[0] != "deploy.example" ||
		a.Risk != High || a.Approvals != 2 || len(a.Gates) != 2 || a.Causes[0] != "deployment" || a.CoolDown != time.Hour || a.Watch != 10*time.Minute ||
		a.Where != "f:2:3" || a.Body != `{"to":"previous","by":"{{approver}}"}` {
		t.Errorf("%+v", a)
	}
	c = mustRead(t, "- {name: a, url: 'https://x.example/', secret_env: KEY, gates: ['*']}")
	if a := c[0]; a.Title != "a" || a.Method != "POST" || a.Timeout != 10*time.Second || a.Risk != Medium || a.Approvals != 1 || a.CoolDown != 30*time.Minute || a.Body != defaultBody {
		t.Errorf("the defaults are %+v", a)
	}
	if c := mustRead(t, "[]"); len(c) != 0 {
		t.Error(c)
	}
	if c := mustRead(t, "- {name: a, url: 'https://x.example/', secret_env: KEY, gates: ['*'], body: ''}"); c[0].Body != "" {
		t.Error("an empty body was not taken")
	}
}

// Each line is added to, or stands in the place of, one of an action in order.
func TestProblems(t *testing.T) {
	for _, c := range []struct{ name, line, want string }{
		{"unknown key", "timeot: 3s", `f:6:3: unknown key "timeot" of an action; did you mean "timeout"?`},
		{"a secret", "secret: whsec_abc", "f:6:3: a secret has no place in this file: give secret_file, or secret_env with the name of a variable"},
		{"a secret for a variable", "secret_env: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw/+", "secret_file or secret_env must say where the secret is, not the secret itself"},
		{"a secret for a file", "secret_file: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "f:6:16: secret_file and secret_env are both given: keep one"},
		{"name", "name: Restart it", "name must be 1 to 63 lower-case letters"},
		{"method", "method: GET", "f:6:11: method must be one of POST, PUT, PATCH, DELETE"},
		{"no URL", "url: restart", "url must be a URL such as https://deploy.example/hooks/restart"},
		{"another scheme", "url: ftp://x.example/", "url must be a URL such as"},
		{"a password", "url: https://ana:pa55word@x.example/", "url must have no user or password in it: send them in a header"},
		{"a token in the query", "url: https://x.example/?access_token=abc", "url has what looks like a secret in its query (access_token): send it in a header"},
		{"a fragment", "url: 'https://x.example/#a'", "url must have no fragment"},
		{"a variable in the URL", "url: 'https://{{service}}.example/'", "url can have no variables"},
		{"http", "url: http://x.example/", "url must be https: by http anybody on the way could read and replay it"},
		{"a port", "url: https://x.example:0/", "url has a port that there is not"},
		{"a private address", "url: 'https://[::ffff:10.0.0.1]/'", "url leads to a private address, which is not connected to: name the host in allow_hosts, or set allow_private"},
		{"this machine", "url: https://a.localhost/", "url leads to a loopback address"},
		{"a cloud's credentials", "url: https://[64:ff9b::a9fe:a9fe]/", "url leads to a link-local address, which is not connected to: name this very address in allow_hosts"},
		{"a line break in the URL", `url: "https://x.example/\r\nHost: y"`, "url must be at most 2000 characters of printable ASCII"},
		{"timeout", "timeout: 10", "timeout must be a duration with its unit, from 100ms to 1m"},
		{"too long a timeout", "timeout: 2m", "timeout must be a duration"},
		{"cool-down", "cool_down: 1s", "cool_down must be a duration with its unit, from 1m to 168h"},
		{"watch", "watch: 61m", "watch must be a duration with its unit, from 10s to 1h"},
		{"risk", "risk: some", "risk must be low, medium or high"},
		{"approvals", "approvals: 0", "approvals must be a number from 1 to 5"},
		{"approvals as text", "approvals: '2'", "approvals must be a number from 1 to 5"},
		{"flag", "shed: 1", "shed must be true or false"},
		{"gate", "gates: [absolute_treshold]", `gates has "absolute_treshold", which is no gate; did you mean "absolute_threshold"?`},
		{"no list", "causes: deployment", "causes must be a list"},
		{"twice", "causes: [a, a]", `causes has "a" twice`},
		{"cause", "causes: [A deployment]", "causes must be words"},
		{"nothing proposes it", "gates: []", "gates and causes are both missing"},
		{"a header of the executor", "headers: {webhook-signature: v1}", "headers cannot have webhook-signature, which is made when the action is sent"},
		{"a header of the connection", "headers: {host: y.example}", "headers cannot have host"},
		{"a secret in a header", "headers: {authorization: Bearer abc}", "headers has authorization, which looks like a secret: give it as {secret_file: …} or {secret_env: …}"},
		{"a header's name", `headers: {"X-A: b\r\nX": c}`, "headers has a name that is none"},
		{"a header's value", `headers: {X-A: "b\r\nX-B: c"}`, "headers has X-A, which must be at most 1000 characters of printable ASCII"},
		{"a header twice", "headers: {X-A: b, x-a: c}", "headers has x-a twice"},
		{"a header's variable", "headers: {X-A: '{{secret}}'}", `headers has X-A, which has a variable that there is not, "secret"`},
		{"a header's secret", "headers: {X-A: {secret_env: A, secret_file: b}}", "headers has X-A, whose secret_file and secret_env are both given"},
		{"a header without one", "headers: {X-A: {prefix: A}}", "headers has X-A, whose secret_file and secret_env are both missing"},
		{"a header's other keys", "headers: {X-A: {secret: abc}}", "headers has X-A, which can have secret_file or secret_env, prefix and key_id"},
		{"a body's variable", "body: '{\"a\":\"{{servce}}\"}'", `body has a variable that there is not, "servce"; did you mean "service"?`},
		{"a body's open variable", "body: '{\"a\":\"{{service\"}'", "body has a variable that does not end"},
		{"no JSON", "body: restart it", "body is not valid JSON when its variables are filled in"},
		{"a variable without quotes", "body: '{\"a\":{{service}}}'", "body is not valid JSON when its variables are filled in: put quotes round each"},
		{"a variable among numbers", `body: '[1{{tenant}}2]'`, "body is not valid JSON when its variables are filled in"},
		{"a variable in an escape", `body: '["\u00{{tenant}}"]'`, "body is not valid JSON when its variables are filled in"},
		{"a variable behind a backslash", `body: '{"a":"\{{service}}"}'`, "body is not valid JSON when its variables are filled in"},
		{"a variable in a type that is not known", "headers: {Content-Type: application/yaml}", "body can have variables only where it is known how they are written"},
		{"a variable in a type that has none", "headers: {Content-Type: ''}", "body can have variables only where it is known how they are written"},
		{"unsigned and a key", "unsigned: true", "unsigned and a secret to sign with exclude each other"},
		{"allowed hosts", "allow_hosts: ['https://x.example']", "allow_hosts must be names or addresses, without port and scheme"},
		{"a key id that is the key", "key_id: whsec_abc", "needs a key_id of at most 100 characters that names the key, and is not the key"},
		{"tenant", "tenant: A B", "tenant must be the id of a tenant"},
		{"title", `title: "a\u202eb"`, "title must be one line of at most 100 characters"},
	} {
		lines := []string{"- name: restart", "  url: https://x.example/", "  secret_env: KEY", "  gates: [z_score]", "  watch: 1m"}
		key, _, _ := strings.Cut(c.line, ":")
		at := -1
		for i, line := range lines {
			if strings.HasPrefix(line[2:], key+":") {
				at = i
			}
		}
		if at >= 0 {
			lines[at] = lines[at][:2] + c.line
		} else {
			lines = append(lines, "  "+c.line)
		}
		actions, problems := read(strings.Join(lines, "\n") + "\n")
		if len(actions) != 0 || !strings.Contains(problems, c.want) || !strings.HasPrefix(problems, "f:") {
			t.Errorf("%s: %d actions, problems %q, want %q", c.name, len(actions), problems, c.want)
		}
		for _, secret := range []string{"pa55word", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "Bearer abc"} {
			if strings.Contains(problems, secret) {
				t.Errorf("%s: the problem has the secret in it: %q", c.name, problems)
			}
		}
	}
}

func TestProblemsOfTheList(t *testing.T) {
	const one = "{name: a, url: 'https://x.example/', secret_env: KEY, gates: ['*']}"
	for text, want := range map[string]string{
		"a: b":                             "actions must be a list",
		"- a":                              "an action must have its keys on lines of their own",
		"- " + one + "\n- " + one:          "f:2:10: name is that of another action, at f:1:3: give each its own",
		strings.Repeat("- "+one+"\n", 101): "there are 101 actions, and at most 100 can be configured",
		"- {name: a}":                      "url is missing",
		"- {name: a, name: b}":             `key "name" is given twice`,
	} {
		if _, problems := read(text); !strings.Contains(problems, want) {
			t.Errorf("%.40q: %q, want %q", text, problems, want)
		}
	}
}

func TestHTTPIsForWhatStaysWithin(t *testing.T) {
	for line, ok := range map[string]bool{
		"allow_private: true": true, "allow_hosts: [RUNNER.internal.]": true, "allow_hosts: [other.internal]": false, "risk: low": false,
	} {
		_, problems := read("- {name: a, url: 'http://runner.internal/', secret_env: KEY, gates: ['*'], " + line + "}")
		if (problems == "") != ok {
			t.Errorf("%s: %q", line, problems)
		}
	}
}
