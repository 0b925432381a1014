package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/ledger/verify"
)

const (
	serveCopyName = "serve-copy"
	auditPath     = "/audit"
	readyLine     = "ready\n"
)

// childMemory is how much more memory the child may take than it has at its
// start. A damaged store can make Badger ask for any amount.
const childMemory = 2 << 30

// serveCopyCommand is the child: it serves a copy of a store until its
// standard input ends.
func serveCopyCommand() *cli.Command {
	return &cli.Command{
		Name: serveCopyName, Hidden: true,
		Usage: "serve a copy of a store over a socket, for the command that has made it",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "dir", Usage: "the copy", Required: true},
			&cli.StringFlag{Name: "socket", Usage: "socket to listen on", Required: true},
		},
		Action: func(c *cli.Context) error {
			limitChild(childMemory)
			stored, err := ledger.OpenCopy(c.String("dir"))
			if err != nil {
				return damage(err)
			}
			ln, err := net.Listen("unix", c.String("socket"))
			if err != nil {
				return damage(err)
			}
			mux := http.NewServeMux()
			mux.Handle("/", stored.Handler())
			mux.HandleFunc(auditPath, func(w http.ResponseWriter, r *http.Request) { serveAudit(w, stored.Audit(r.Context())) })
			server := &http.Server{Handler: mux}
			go func() {
				_, _ = io.Copy(io.Discard, os.Stdin)
				_ = server.Close()
			}()
			_, _ = io.WriteString(c.App.Writer, readyLine)
			if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
				return damage(err)
			}
			return stored.Close()
		},
	}
}

// finding is what the audit of a copy has found, as it goes to the parent.
type finding struct {
	Code  verify.Code `json:"code"`
	Text  string      `json:"error"`
	Index *uint64     `json:"index,omitempty"`
}

func (f *finding) Error() string { return f.Text }

func findingOf(err error) *finding {
	f := &finding{Code: verify.Tampered, Text: err.Error()}
	if errors.Is(err, ledger.ErrFormat) {
		f.Code = verify.Usage
	}
	if damaged, ok := errors.AsType[*ledger.IntegrityError](err); ok && damaged.Index >= 0 {
		index := uint64(damaged.Index)
		f.Index = &index
	}
	return f
}

func serveAudit(w http.ResponseWriter, err error) {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusInternalServerError)
	_ = json.NewEncoder(w).Encode(findingOf(err))
}

// limitChild keeps the process from taking more than so many bytes from now
// on. Where the system does not say what it has, nothing is limited.
func limitChild(more uint64) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(status)) {
		var kilobytes uint64
		if n, _ := fmt.Sscanf(line, "VmData: %d kB", &kilobytes); n == 1 {
			limit := kilobytes<<10 + more
			_ = unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: limit, Max: limit})
		}
	}
}
