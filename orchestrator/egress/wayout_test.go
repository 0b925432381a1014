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
}

// TestNoOtherWayOut reads the source of the packages that have effects. Those
// whose names end in test are servers to test them with.
func TestNoOtherWayOut(t *testing.T) {
	files := 0
	for _, dir := range []string{"../notify", "../recovery", "../approval", "../outbox"} {
		_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(filepath.Dir(path), "test") {
				return nil
			}
			files++
			for _, found := range waysOut(t, path, nil) {
				t.Errorf("%s: use a Gate", found)
			}
			return nil
		})
	}
	if files == 0 {
		t.Fatal("no source was found")
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
