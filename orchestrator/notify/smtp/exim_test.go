//go:build slow

package smtp

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/notify/notifytest"
)

const eximBinary = "/usr/sbin/exim4"

// eximConfig keeps what it takes in its queue, and takes it from who signed in
// over TLS.
const eximConfig = `spool_directory = %[1]s/spool
log_file_path = %[1]s/%%slog
primary_hostname = mail.example
queue_only = true
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts = *
tls_certificate = %[1]s/certificate.pem
tls_privatekey = %[1]s/key.pem
auth_advertise_hosts = ${if eq{$tls_in_cipher}{}{}{*}}
acl_smtp_rcpt = recipient
acl_smtp_data = letter
begin acl
recipient:
  deny local_parts = gone
       message = no such user
  accept authenticated = *
  deny message = sign in first
letter:
  deny condition = ${if match{$h_subject:}{\N[\r\n]\N}}
  accept verify = header_syntax
begin authenticators
%[2]s
`

// How users sign in, with the password in place of PASSWORD.
const (
	eximPlain = `plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if and{{eq{$auth2}{countersign}}{eq{$auth3}{PASSWORD}}}}
  server_set_id = $auth2`
	eximLogin = `login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${if and{{eq{$auth1}{countersign}}{eq{$auth2}{PASSWORD}}}}
  server_set_id = $auth1`
)

// exim is Debian's exim4-daemon-light, started for each connection as inetd would.
type exim struct{ address, config string }

func startExim(t *testing.T, users string, flags ...string) exim {
	t.Helper()
	if _, err := os.Stat(eximBinary); err != nil {
		t.Fatalf("%v: run .ci/deps, or apt-get install exim4-daemon-light", err)
	}
	if os.Getuid() != 0 {
		t.Fatal("only root may hand a connection to Exim")
	}
	dir := t.TempDir()
	write := func(name string, text []byte, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, file := range []string{certificateFile, keyFile} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		write(filepath.Base(file), text, 0o644)
	}
	e := exim{config: write("exim.conf", fmt.Appendf(nil, eximConfig, dir, strings.ReplaceAll(users, "PASSWORD", password)), 0o644)}
	// It works as a user of its own.
	for _, path := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e.address = l.Addr().String()
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			e.serve(t, conn.(*net.TCPConn), flags)
		}
	})
	t.Cleanup(func() { _ = l.Close(); running.Wait() })
	return e
}

func (e exim) serve(t *testing.T, conn *net.TCPConn, flags []string) {
	socket, err := conn.File()
	_ = conn.Close()
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = socket.Close() }()
	command := exec.Command(eximBinary, append([]string{"-C", e.config, "-bs"}, flags...)...)
	var wrong strings.Builder
	command.Stdin, command.Stdout, command.Stderr = socket, socket, &wrong
	// It ends with an error of its own when the client is rude; the client's is
	// what is tested.
	if err := command.Run(); err != nil && wrong.Len() > 0 {
		t.Logf("exim: %v: %s", err, wrong.String())
	}
}

// letter is one in the queue, as it would be handed on.
func (e exim) letter(t *testing.T, receipt notify.Receipt) string {
	t.Helper()
	_, id, found := strings.Cut(receipt.Note, "OK id=")
	if !found {
		t.Fatalf("%+v", receipt)
	}
	out, err := exec.Command(eximBinary, "-C", e.config, "-Mvc", id).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// Exim is strict where others are lenient, and has another TLS library.
func TestExim(t *testing.T) {
	for _, way := range []struct {
		security, users string
		flags           []string
	}{
		{startTLS, eximPlain, nil},
		{implicitTLS, eximLogin, []string{"-tls-on-connect"}},
	} {
		t.Run(way.security, func(t *testing.T) {
			e := startExim(t, way.users, way.flags...)
			for _, event := range notify.Events {
				for _, m := range []notify.Message{notifytest.Message(event), notifytest.Hostile(event)} {
					c := open(t, e.address, "security", way.security, "user", "countersign", "to", "gone@shop.example, Bén <ben@shop.example>")
					receipt, err := c.Send(t.Context(), m)
					if err != nil || !strings.HasPrefix(receipt.Note, "1 of 2 addresses refused; OK id=") {
						t.Fatalf("%+v %v", receipt, err)
					}
					subject, text, parsed := read(t, e.letter(t, receipt))
					if subject != m.Subject() || !strings.HasPrefix(strings.ReplaceAll(text, "\r\n", "\n"), m.Short()) || parsed.Header.Get("Message-ID") != receipt.Reference {
						t.Errorf("%q %q", subject, text)
					}
					if parsed.Header.Get("Bcc") != "" || len(parsed.Header["Received"]) != 1 || !strings.Contains(parsed.Header.Get("Received"), "esmtpsa") {
						t.Errorf("the header is %v", parsed.Header)
					}
				}
			}
		})
	}
}

func TestEximRefuses(t *testing.T) {
	e := startExim(t, eximPlain)
	for _, tt := range []struct {
		settings []string
		status   int
		says     string
		mend     string
	}{
		{[]string{"user", "countersign", "to", "gone@shop.example"}, 550, "no such user", "check to"},
		{[]string{"user", "somebody"}, 535, "AUTH with 535: Incorrect authentication data", "password"},
		{nil, 550, "sign in first", "check to"},
	} {
		refusal := notifytest.Refusal(t, t.Context(), open(t, e.address, tt.settings...), notifytest.Message(notify.Test), password)
		if refusal.Retry || refusal.Status != tt.status || !strings.Contains(refusal.Text, tt.says) || !strings.Contains(refusal.Mend, tt.mend) {
			t.Errorf("%v: %+v", tt.settings, refusal)
		}
	}
}
