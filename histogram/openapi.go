package histogram

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// LoadOpenAPI makes Templates of the operations in the OpenAPI 3 document, YAML
// or JSON, in the file at path. Each is found below the path of every server
// that applies to it; server variables have their defaults. Path items may be
// references within the document or to other files; to other hosts they are an
// error. Nothing else of the document is looked at.
func LoadOpenAPI(path string) (*Templates, error) {
	patterns, err := openAPIPatterns(path)
	if err != nil {
		return nil, fmt.Errorf("OpenAPI document %s: %w", path, err)
	}
	templates, err := NewTemplates(patterns)
	if err != nil {
		return nil, fmt.Errorf("OpenAPI document %s: %w", path, err)
	}
	return templates, nil
}

// openAPIDocument is as much of a document as names its operations.
type openAPIDocument struct {
	OpenAPI string              `yaml:"openapi"`
	Swagger string              `yaml:"swagger"`
	Servers []*openAPIServer    `yaml:"servers"`
	Paths   map[string]pathItem `yaml:"paths"`
}

// pathItem is kept by key: besides operations it may have other fields.
type pathItem map[string]yaml.Node

type openAPIServer struct {
	URL       string `yaml:"url"`
	Variables map[string]*struct {
		Default string `yaml:"default"`
	} `yaml:"variables"`
}

// openAPIPatterns is a pattern for every operation and base path, sorted.
func openAPIPatterns(file string) ([]string, error) {
	root, err := readYAML(file)
	if err != nil {
		return nil, err
	}
	var doc openAPIDocument
	if err := root.Decode(&doc); err != nil {
		return nil, err
	}
	switch {
	case doc.Swagger != "":
		return nil, errors.New("this is Swagger 2; OpenAPI 3 is needed")
	case !strings.HasPrefix(doc.OpenAPI, "3."):
		return nil, fmt.Errorf("its openapi version is %q; 3.x is needed", doc.OpenAPI)
	}
	found := make(map[string]bool)
	for path, item := range doc.Paths {
		if item, err = item.resolve(file, root, 0); err != nil {
			return nil, fmt.Errorf("path %s: %w", path, err)
		}
		if err := item.patterns(found, path, doc.Servers); err != nil {
			return nil, fmt.Errorf("path %s: %w", path, err)
		}
	}
	if len(found) == 0 {
		return nil, errors.New("it describes no operations")
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// patterns adds the pattern of each operation under each of its servers.
func (item pathItem) patterns(found map[string]bool, path string, servers []*openAPIServer) error {
	servers, err := serversOf(item, servers)
	if err != nil {
		return err
	}
	for key, node := range item {
		method := strings.ToUpper(key)
		if key != strings.ToLower(key) || methodIndex([]byte(method)) == 0 {
			continue
		}
		var operation map[string]yaml.Node
		if err := node.Decode(&operation); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		if operation == nil {
			continue // null
		}
		own, err := serversOf(operation, servers)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		bases, err := basePaths(own)
		if err != nil {
			return err
		}
		for _, base := range bases {
			found[method+" "+base+path] = true
		}
	}
	return nil
}

// serversOf is the list that fields gives itself, else the one around it.
func serversOf(fields map[string]yaml.Node, outer []*openAPIServer) ([]*openAPIServer, error) {
	node, ok := fields["servers"]
	if !ok {
		return outer, nil
	}
	var own []*openAPIServer
	if err := node.Decode(&own); err != nil {
		return nil, fmt.Errorf("servers: %w", err)
	}
	if len(own) == 0 {
		return outer, nil
	}
	return own, nil
}

// basePaths is the path of each server without the slash at its end.
func basePaths(servers []*openAPIServer) ([]string, error) {
	if len(servers) == 0 {
		return []string{""}, nil
	}
	var bases []string
	for _, server := range servers {
		if server == nil {
			return nil, errors.New("a server is null")
		}
		address := server.URL
		for name, variable := range server.Variables {
			if variable == nil {
				return nil, fmt.Errorf("server %q: its variable %s is null", server.URL, name)
			}
			address = strings.ReplaceAll(address, "{"+name+"}", variable.Default)
		}
		if strings.ContainsAny(address, "{}") {
			return nil, fmt.Errorf("server %q: a variable has no default", server.URL)
		}
		u, err := url.Parse(address)
		if err != nil {
			return nil, fmt.Errorf("server %q: %w", server.URL, err)
		}
		bases = append(bases, strings.TrimRight(u.Path, "/"))
	}
	return bases, nil
}

// maxReferences is how many references may lead to a path item.
const maxReferences = 8

// resolve follows $ref, found in the file whose content is root.
func (item pathItem) resolve(file string, root *yaml.Node, depth int) (pathItem, error) {
	node, ok := item["$ref"]
	if !ok {
		return item, nil
	}
	var ref string
	if err := node.Decode(&ref); err != nil {
		return nil, fmt.Errorf("$ref: %w", err)
	}
	if depth == maxReferences {
		return nil, fmt.Errorf("more than %d references lead to %q", maxReferences, ref)
	}
	target, pointer, _ := strings.Cut(ref, "#")
	if strings.Contains(target, "://") {
		return nil, fmt.Errorf("%q is on another host: only files are read", ref)
	}
	if target != "" {
		file = filepath.Join(filepath.Dir(file), filepath.FromSlash(target))
		var err error
		if root, err = readYAML(file); err != nil {
			return nil, fmt.Errorf("%q: %w", ref, err)
		}
	}
	found, err := follow(root, pointer)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", ref, err)
	}
	var next pathItem
	if err := found.Decode(&next); err != nil {
		return nil, fmt.Errorf("%q: %w", ref, err)
	}
	return next.resolve(file, root, depth+1)
}

// follow finds what a JSON pointer (RFC 6901) through mappings points at.
func follow(n *yaml.Node, pointer string) (*yaml.Node, error) {
	for token := range strings.SplitSeq(strings.Trim(pointer, "/"), "/") {
		if token == "" {
			continue
		}
		if plain, err := url.PathUnescape(token); err == nil {
			token = plain
		}
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		var fields map[string]yaml.Node
		if err := n.Decode(&fields); err != nil {
			return nil, err
		}
		next, ok := fields[token]
		if !ok {
			return nil, fmt.Errorf("there is no %q", token)
		}
		n = &next
	}
	return n, nil
}

// readYAML is the content of a YAML or JSON file.
func readYAML(file string) (*yaml.Node, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	root := new(yaml.Node)
	if err := yaml.Unmarshal(content, root); err != nil {
		return nil, err
	}
	return root, nil
}
