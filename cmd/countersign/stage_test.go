package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience bounds every wait for something that must happen.
const patience = 30 * time.Second

// stage is what one script has set up. A script's commands run one at a time.
type stage struct {
	processes map[string]*process
	arrived   chan struct{} // the API has received GET /held
	release   chan struct{} // closed to answer it
	held      chan heldAnswer
}

type process struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
}

type heldAnswer struct {
	status int
	err    error
}

type stageKey struct{}

func newStage(env *testscript.Env) *stage {
	s := &stage{
		processes: map[string]*process{},
		arrived:   make(chan struct{}, 16),
		release:   make(chan struct{}),
		held:      make(chan heldAnswer, 1),
	}
	env.Defer(func() {
		for _, p := range s.processes {
			_ = p.cmd.Process.Kill() // it may have ended, as it should
			<-p.ended
		}
	})
	return s
}

var stageCommands = map[string]func(*testscript.TestScript, bool, []string){
	"api":         onStage(1, (*stage).api),
	"occupy":      onStage(1, (*stage).occupy),
	"unused":      onStage(1, (*stage).unused),
	"serve":       onStage(2, (*stage).serve),
	"await":       onStage(2, (*stage).await),
	"signal":      onStage(2, (*stage).signal),
	"ended":       onStage(2, (*stage).end),
	"get":         onStage(2, (*stage).get),
	"poll":        onStage(2, (*stage).poll),
	"hold":        onStage(1, (*stage).hold),
	"release":     onStage(1, (*stage).letGo),
	"certificate": onStage(1, (*stage).certificate),
	"grow":        onStage(2, (*stage).grow),
	"flip":        onStage(2, (*stage).flip),
	"deadletter":  onStage(2, (*stage).deadLetter),
	"documented":  onStage(3, (*stage).documented),
}

func onStage(least int, f func(*stage, *testscript.TestScript, []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) < least {
			ts.Fatalf("wrong use")
		}
		f(ts.Value(stageKey{}).(*stage), ts, args)
	}
}

func (s *stage) api(ts *testscript.TestScript, args []string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/held" {
			s.arrived <- struct{}{}
			<-s.release
		}
		_, _ = io.WriteString(w, "hello from the API\n")
	}))
	ts.Defer(func() {
		select {
		case <-s.release:
		default:
			close(s.release)
		}
		server.Close()
	})
	ts.Setenv(args[0], server.URL)
}

func (s *stage) occupy(ts *testscript.TestScript, args []string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = ln.Close() })
	ts.Setenv(args[0], ln.Addr().String())
}

func (s *stage) unused(ts *testscript.TestScript, args []string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], ln.Addr().String())
	ts.Check(ln.Close())
}

func (s *stage) serve(ts *testscript.TestScript, args []string) {
	p := &process{log: ts.MkAbs(args[0] + ".log"), ended: make(chan struct{})}
	out, err := os.Create(p.log)
	ts.Check(err)
	path, err := exec.LookPath(filepath.Join(strings.Split(ts.Getenv("PATH"), string(os.PathListSeparator))[0], "countersign"))
	ts.Check(err)
	p.cmd = exec.Command(path, args[1:]...)
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir = out, out, ts.MkAbs(".")
	p.cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"))
	ts.Check(p.cmd.Start())
	s.processes[args[0]] = p
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the exit code is read from ProcessState
		_ = out.Close()
	}()
}

func (s *stage) process(ts *testscript.TestScript, name string) *process {
	p, ok := s.processes[name]
	if !ok {
		ts.Fatalf("no process %q was started", name)
	}
	return p
}

// until calls f until it is content, and fails with what it last said.
func until(ts *testscript.TestScript, f func() (string, bool)) {
	deadline := time.Now().Add(patience)
	for {
		said, ok := f()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("not within %v:\n%s", patience, said)
		}
		time.Sleep(10 * time.Millisecond) // between two looks
	}
}

func (s *stage) await(ts *testscript.TestScript, args []string) {
	p := s.process(ts, args[0])
	re, err := regexp.Compile(`(?m)` + args[1])
	ts.Check(err)
	until(ts, func() (string, bool) {
		text, err := os.ReadFile(p.log)
		ts.Check(err)
		m := re.FindSubmatch(text)
		if m != nil && len(args) > 2 {
			ts.Setenv(args[2], string(m[1]))
		}
		return string(text), m != nil
	})
}

func (s *stage) signal(ts *testscript.TestScript, args []string) {
	sig, ok := map[string]os.Signal{"TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "INT": os.Interrupt}[args[1]]
	if !ok {
		ts.Fatalf("no signal %q", args[1])
	}
	ts.Check(s.process(ts, args[0]).cmd.Process.Signal(sig))
}

func (s *stage) end(ts *testscript.TestScript, args []string) {
	p := s.process(ts, args[0])
	until(ts, func() (string, bool) {
		select {
		case <-p.ended:
			return "", true
		default:
			return args[0] + " still runs", false
		}
	})
	if code := p.cmd.ProcessState.ExitCode(); strconv.Itoa(code) != args[1] {
		text, err := os.ReadFile(p.log)
		ts.Check(err)
		ts.Fatalf("%s ended with %d, want %s:\n%s", args[0], code, args[1], text)
	}
}

func fetch(url string) (status int, body string, err error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, Timeout: patience}
	res, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), errors.Join(err, res.Body.Close())
}

func (s *stage) get(ts *testscript.TestScript, args []string) {
	status, body, err := fetch(args[0])
	ts.Check(err)
	if strconv.Itoa(status) != args[1] {
		ts.Fatalf("status %d, want %s:\n%s", status, args[1], body)
	}
	if len(args) > 2 && !regexp.MustCompile(args[2]).MatchString(body) {
		ts.Fatalf("the body does not match %s:\n%s", args[2], body)
	}
}

func (s *stage) poll(ts *testscript.TestScript, args []string) {
	re := regexp.MustCompile(args[1])
	until(ts, func() (string, bool) {
		_, body, err := fetch(args[0])
		if err != nil {
			return err.Error(), false
		}
		return body, re.MatchString(body)
	})
}

func (s *stage) hold(ts *testscript.TestScript, args []string) {
	go func() {
		status, _, err := fetch(args[0])
		s.held <- heldAnswer{status, err}
	}()
	select {
	case <-s.arrived:
	case <-time.After(patience):
		ts.Fatalf("the API did not see the request within %v", patience)
	}
}

func (s *stage) letGo(ts *testscript.TestScript, args []string) {
	close(s.release)
	select {
	case a := <-s.held:
		if a.err != nil || strconv.Itoa(a.status) != args[0] {
			ts.Fatalf("the held request got %d, %v; want %s", a.status, a.err, args[0])
		}
	case <-time.After(patience):
		ts.Fatalf("the held request was not answered within %v", patience)
	}
}

func (s *stage) certificate(ts *testscript.TestScript, args []string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: args[0]}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ts.Check(err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
}
