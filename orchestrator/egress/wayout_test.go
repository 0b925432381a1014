package egress

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// ways are the names of other packages by which something could leave the
// process without a Gate.
var ways = map[string]string{
	"net":        "Dial DialTimeout DialTCP DialUDP DialIP DialUnix Dialer ListenUDP ListenPacket DefaultResolver Resolver LookupHost LookupIP LookupAddr LookupTXT LookupMX",
	"crypto/tls": "Dial DialWithDialer Dialer",
	"net/http":   "Client DefaultClient DefaultTransport Transport Get Head Post PostForm",
	"net/smtp":   "Dial SendMail",
	"net/rpc":    "Dial DialHTTP DialHTTPPath",
	"log/syslog": "New Dial NewLogger",
	"os/exec":    "*",
	"syscall":    "Socket Connect Sendto ForkExec Exec",

	"golang.org/x/sys/unix": "Socket Connect Sendto Sendmsg SendmsgN",
}

// others are the files that make connections without a Gate, and what for: to
// read, to carry the traffic itself, or because a person ran a command. None has
// an effect that shadow mode is to keep back.
var others = map[string]string{
	"cmd/countersign/bench.go":         "a command measures an address that it is given",
	"cmd/countersign/ledger_child.go":  "a command reads a copy of the ledger through a child of its own",
	"cmd/countersign/ledger_source.go": "a command reads a ledger",
	"cmd/countersign/upstream.go":      "the start waits until the API accepts connections",
	"demo/traffic.go":                  "the customers of the demo",
	"deploy/kube/client.go":            "the webhook keeps its own certificate in the cluster, and the audit reads pods",
	"ebpf/device.go":                   "the kernel tells of new interfaces",
	"ebpf/hook.go":                     "a packet socket, which sends nothing",
	"ledger/verify/http.go":            "a verifier reads a ledger",
	"ledger/witness/client.go":         "witnesses cosign the ledger's checkpoints",
	"ledger/witness/submit.go":         "the same",
	"orchestrator/api/client.go":       "a command asks the sidecar",
	"orchestrator/change/client.go":    "the history of a repository is read",
	"orchestrator/check/target.go":     "targets are checked, and other services' documents read",
	"orchestrator/tenant/fetch.go":     "other services' documents are read",
	"proxy/upstream.go":                "the traffic",
}

// TestNoOtherWayOut reads the source of everything. Packages whose names end in
// test are servers to test with; testdata is no part of the sidecar, and bench
// but what cmd/countersign/bench.go calls.
func TestNoOtherWayOut(t *testing.T) {
	const root = "../.."
	files, known := 0, map[string]bool{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(root, path)
		dir := filepath.ToSlash(filepath.Dir(name))
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (name == "bench" || entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".") && name != "."):
			return filepath.SkipDir
		case entry.IsDir(), !strings.HasSuffix(path, ".go"), strings.HasSuffix(path, "_test.go"), strings.HasSuffix(dir, "test"), dir == "orchestrator/egress":
			return nil
		}
		files++
		for _, found := range waysOut(t, path, nil) {
			name := filepath.ToSlash(name)
			if known[name] = true; others[name] == "" {
				t.Errorf("%s: use a Gate", found)
			}
		}
		return nil
	})
	if err != nil || files < 100 {
		t.Fatalf("%d files of source were found: %v", files, err)
	}
	for name := range others {
		if !known[name] {
			t.Errorf("%s makes no connections", name)
		}
	}
}

func TestWaysOutAreFound(t *testing.T) {
	source := `package p
import ("net"; web "net/http"; "os/exec"; "strings")
var _ = net.Dial
var _ = web.Client{}
var _ = exec.Command
var _, _, _ = net.JoinHostPort, web.StatusOK, strings.Cut`
	if got := waysOut(t, "p.go", source); len(got) != 3 {
		t.Errorf("found %q", got)
	}
}

// waysOut are the places in a file where a connection could be made.
func waysOut(t *testing.T, path string, source any) []string {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	imported := map[string]string{}
	for _, spec := range file.Imports {
		from, _ := strconv.Unquote(spec.Path.Value)
		name := from[strings.LastIndex(from, "/")+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		imported[name] = from
	}
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			if name, ok := selector.X.(*ast.Ident); ok {
				list := strings.Fields(ways[imported[name.Name]])
				for _, way := range list {
					if way == "*" || way == selector.Sel.Name {
						found = append(found, set.Position(selector.Pos()).String()+": "+name.Name+"."+selector.Sel.Name)
					}
				}
			}
		}
		return true
	})
	return found
}
