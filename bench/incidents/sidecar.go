package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// sidecar is the binary, running before a shop.
type sidecar struct {
	binary, dir, upstream, authority string
	url, admin                       string
	cmd                              *exec.Cmd
}

const secret = "a-secret-of-the-recorder-alone-0123456789"

// start runs the binary and returns when it serves.
func (s *sidecar) start() error {
	args := []string{
		"run", "--upstream", s.upstream, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
		"--wait-upstream", "0", "--log-format", "json", "--data", filepath.Join(s.dir, "data"),
	}
	if s.authority != "" {
		args = append(args, "--upstream-ca", s.authority)
	}
	s.cmd = exec.Command(s.binary, args...)
	s.cmd.Env = append(os.Environ(), "COUNTERSIGN_SECRET="+secret)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := s.cmd.StderrPipe()
	if err != nil {
		return err
	}
	s.cmd.Stdout = s.cmd.Stderr
	if err := s.cmd.Start(); err != nil {
		return err
	}
	found := make(chan error, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			var line struct {
				Msg           string
				Listen, Admin any
			}
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
				s.url, s.admin = "http://"+address(line.Listen), "http://"+address(line.Admin)
				found <- nil
			}
		}
		found <- errors.New("the sidecar ended before it served")
	}()
	select {
	case err := <-found:
		return err
	case <-time.After(20 * time.Second):
		return errors.New("the sidecar does not serve within 20 s")
	}
}

// address is an address as slog's JSON writes it: text, or a net.TCPAddr's fields.
func address(v any) string {
	if m, ok := v.(map[string]any); ok {
		return fmt.Sprintf("%v:%v", m["IP"], m["Port"])
	}
	return fmt.Sprint(v)
}

func (s *sidecar) stop() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		done := make(chan struct{})
		go func() { _ = s.cmd.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			_ = s.cmd.Process.Kill()
			<-done
		}
	}
}

// get reads from the admin API.
func (s *sidecar) get(path string) ([]byte, error) {
	res, err := http.Get(s.admin + path)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, 8<<20))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", path, res.Status)
	}
	return data, err
}

// changed tells of a change that has just been made.
func (s *sidecar) changed(kind string) {
	body := fmt.Sprintf(`{"kind":%q,"title":"release of the day","ref":"0123456789abcdef"}`, kind)
	req, err := http.NewRequest(http.MethodPost, s.admin+"/changes", strings.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Tenant-Secret", secret)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Fprintln(os.Stderr, "the change was not told:", err)
		return
	}
	_ = res.Body.Close()
	if res.StatusCode >= 300 {
		fmt.Fprintln(os.Stderr, "the change was not taken:", res.Status)
	}
}

// expiring has the shop serve TLS, a connection for each request, with a certificate
// that expires after a time.
func (s *sidecar) expiring(shop *shop, after time.Duration) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "shop"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(after), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return
	}
	s.authority = filepath.Join(s.dir, "ca.pem")
	if os.WriteFile(s.authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600) != nil {
		return
	}
	inner := shop.front.handler
	shop.front.down()
	shop.front.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		inner.ServeHTTP(w, r)
	})
	shop.front.wrap = func(ln net.Listener) net.Listener {
		return tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	}
	if shop.front.up() == nil {
		s.upstream = "https://" + shop.front.address
	}
}
