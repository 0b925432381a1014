package inject

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/config"
)

// TestAnnotationsAreRead gives each option a value that it may have, and finds it in the options
// under no other name.
func TestAnnotationsAreRead(t *testing.T) {
	values := map[string]string{
		"image": "example.com/c:1", "image-pull-policy": "Never", "sensor": "ebpf", "port": "web", "listen": "20000", "admin": "20001", "metrics": "true", "native": "false",
		"ledger": "emptyDir", "ledger-claim": "claim-1", "ledger-size": "5Gi", "ledger-class": "fast.example", "cpu-request": "1", "cpu-limit": "1.5", "memory-request": "100M", "memory-limit": "1Gi",
		"config": "conf", "policy": "pol", "secret": "sec", "approval-port": "20002",
	}
	for _, a := range own() {
		value, ok := values[a.name]
		if !ok {
			t.Errorf("no value for %s", a.name)
			continue
		}
		o, err := FromAnnotations(Defaults(), map[string]string{Prefix + a.name: value})
		if err != nil {
			t.Error(err)
			continue
		}
		for _, other := range own() {
			want := other.show(Defaults())
			if other.name == a.name {
				want = value
			}
			if got := other.show(o); got != want {
				t.Errorf("with %s: %s, %s is %q", a.name, value, other.name, got)
			}
		}
	}
}

func TestAnnotationsAreRefused(t *testing.T) {
	for _, tt := range []struct{ name, value, want string }{
		{"image", "", `must be the name of an image, not ""`},
		{"image-pull-policy", "always", `must be one of Always, IfNotPresent, Never, not "always"; did you mean "Always"?`},
		{"sensor", "auto", `must be one of proxy, ebpf, not "auto"`},
		{"port", "HTTP", `must be a port's number, or its name of a-z, 0-9 and -, not "HTTP"`},
		{"port", "0", `must be a port's number, or its name of a-z, 0-9 and -, not "0"`},
		{"port", "70000", `must be a port's number, or its name of a-z, 0-9 and -, not "70000"`},
		{"port", "a-name-of-sixteen", `must be a port's number`},
		{"listen", "80", `must be a port from 1024 to 65535, not "80"`},
		{"listen", "", `must be a port from 1024 to 65535, not ""`},
		{"metrics", "yes", `must be true or false, not "yes"`},
		{"ledger", "none", `must be one of auto, emptyDir, not "none"`},
		{"ledger-claim", "Claim", `must be an object's name`},
		{"memory-limit", "0", `must be an amount such as 100m, 64Mi or 1Gi, not "0"`},
		{"memory-limit", "-1Gi", `must be an amount`},
		{"memory-limit", "1e9", `must be an amount`},
		{"window", "3s", `must be whole seconds between 10s and 1h, not 3s`},
		{"data", "/x", `is no option: use ledger or ledger-claim`},
		{"approval-listen", ":1", `is no option: use approval-port`},
		{"inject", "true", `must be one of enabled, disabled, not "true"`},
		{"sensr", "ebpf", `is no option; did you mean "sensor"?`},
		{"", "", `is no option`},
	} {
		_, err := FromAnnotations(Defaults(), map[string]string{Prefix + tt.name: tt.value})
		want := "the annotation " + Prefix + tt.name + " " + tt.want
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %q: %v, want %s", tt.name, tt.value, err, want)
		}
	}
}

// TestDefaultsAreKept sees to it that one pod's annotations say nothing of the next one.
func TestDefaultsAreKept(t *testing.T) {
	defaults, err := FromAnnotations(Defaults(), map[string]string{Prefix + "window": "30s"})
	if err != nil {
		t.Fatal(err)
	}
	one, err := FromAnnotations(defaults, map[string]string{Prefix + "window": "20s", Prefix + "service": "a", "example.com/else": "x", StatusAnnotation: "x", RefusedAnnotation: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"window": "30s"}; !reflect.DeepEqual(defaults.Settings, want) {
		t.Errorf("the defaults' settings are %v", defaults.Settings)
	}
	if want := map[string]string{"window": "20s", "service": "a"}; !reflect.DeepEqual(one.Settings, want) {
		t.Errorf("the pod's settings are %v", one.Settings)
	}
}

// TestEverySettingHasAnAnnotation compares the annotations with what run can be told.
func TestEverySettingHasAnAnnotation(t *testing.T) {
	names := map[string]bool{}
	for _, name := range options() {
		if names[name] {
			t.Errorf("two annotations are named %s", name)
		}
		names[name] = true
	}
	for _, f := range config.Fields() {
		instead, ours := settled[f.Flag]
		if !names[f.Flag] && (!ours || instead == "") {
			t.Errorf("the setting %s has no annotation", f.Flag)
		}
	}
}

// TestKubernetesTypesAreForTestsAlone keeps them out of the binary, whose size and memory they would
// raise above what is promised.
func TestKubernetesTypesAreForTestsAlone(t *testing.T) {
	files := 0
	for _, root := range []string{"..", "../../cmd"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files++
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			for _, i := range file.Imports {
				if strings.Contains(i.Path.Value, "k8s.io/") {
					t.Errorf("%s imports %s", path, i.Path.Value)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 50 {
		t.Error(fmt.Sprint("only ", files, " files were looked at"))
	}
}
