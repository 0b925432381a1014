package histogram

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const responses = `{responses: {default: {description: done}}}`

func TestLoadOpenAPI(t *testing.T) {
	const head = "openapi: 3.0.3\ninfo: {title: t, version: '1'}\n"
	tests := []struct {
		name, doc string
		want      []string
	}{
		{"no servers", head + `
paths:
  /users/{id}:
    get: ` + responses + `
    delete: ` + responses + `
  /users: {post: ` + responses + `}
`, []string{"DELETE /users/{id}", "GET /users/{id}", "POST /users"}},
		{"servers", head + `
servers:
- url: https://api.example.com/v1/
- url: /internal
- url: https://{region}.example.com/{stage}
  variables: {region: {default: eu}, stage: {default: live}}
paths:
  /users: {get: ` + responses + `}
`, []string{"GET /internal/users", "GET /live/users", "GET /v1/users"}},
		{"servers of a path and an operation", head + `
servers: [{url: /v1}]
paths:
  /a:
    servers: [{url: /v2}]
    get: ` + responses + `
    put: {servers: [{url: /v3}], responses: {default: {description: done}}}
  /b: {get: ` + responses + `}
`, []string{"GET /v1/b", "GET /v2/a", "PUT /v3/a"}},
		{"version 3.1, as JSON", `{"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": {"/x": {"get": {"responses": {}}}}}`,
			[]string{"GET /x"}},
		{"a reference within the document, 3.1", `
openapi: 3.1.0
paths:
  /a: {$ref: '#/components/pathItems/A'}
  /b: {$ref: '#/paths/~1a'}
components:
  pathItems:
    A:
      parameters: []
      summary: get
      put: null
      get: {responses: {}}
      x-internal: {exclusiveMinimum: 5}
`, []string{"GET /a", "GET /b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			templates, err := LoadOpenAPI(writeFile(t, "api.yaml", tt.doc))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, template := range templates.list {
				got = append(got, methods[template.method]+" "+template.path)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestLoadOpenAPIFollowsFiles(t *testing.T) {
	path := writeFile(t, "api.yaml", "openapi: 3.0.3\ninfo: {title: t, version: '1'}\npaths:\n  /users: {$ref: users.yaml}\n")
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "users.yaml"), []byte("get: "+responses), 0o600); err != nil {
		t.Fatal(err)
	}
	templates, err := LoadOpenAPI(path)
	if err != nil {
		t.Fatal(err)
	}
	if templates.count() != 1 || templates.list[0].path != "/users" {
		t.Errorf("%v", templates.list)
	}
}

func TestLoadOpenAPIRefuses(t *testing.T) {
	tests := []struct{ name, doc, want string }{
		{"Swagger 2", "swagger: '2.0'\ninfo: {title: t, version: '1'}\npaths: {}\n", "Swagger 2"},
		{"no version", "info: {title: t}\n", "3.x is needed"},
		{"not YAML", "\t{", "OpenAPI document"},
		{"paths of another kind", "openapi: 3.0.3\npaths: [a]\n", "line 2"},
		{"an operation of another kind", "openapi: 3.0.3\npaths: {/a: {get: [1]}}\n", "path /a: get"},
		{"a reference to nothing", "openapi: 3.1.0\npaths: {/a: {$ref: '#/components/pathItems/A'}}\n", "there is no"},
		{"a reference in a circle", "openapi: 3.1.0\npaths: {/a: {$ref: '#/paths/~1b'}, /b: {$ref: '#/paths/~1a'}}\n", "references lead to"},
		{"no operations", "openapi: 3.0.3\npaths: {}\n", "no operations"},
		{"a pattern that is none", "openapi: 3.0.3\npaths: {'/a/{b': {get: {}}}\n", `"GET /a/{b"`},
		{"a server without address", "openapi: 3.0.3\nservers: [{url: '{x}'}]\npaths: {/a: {get: {}}}\n", `server "{x}"`},
		{"a server that is null", "openapi: 3.0.3\nservers: [null]\npaths: {/a: {get: {}}}\n", "a server is null"},
		{"a variable that is null", "openapi: 3.0.3\nservers: [{url: '/{x}', variables: {x: null}}]\npaths: {/a: {get: {}}}\n", "variable x is null"},
		{"a reference to another host", "openapi: 3.0.3\npaths: {/a: {$ref: 'http://127.0.0.1:1/a.yaml'}}\n", "another host"},
	}
	for _, tt := range tests {
		path := writeFile(t, "api.yaml", tt.doc)
		_, err := LoadOpenAPI(path)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := LoadOpenAPI(filepath.Join(t.TempDir(), "missing.yaml")); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("missing file: %v", err)
	}
}
