//go:build slow

package smtp

import (
	"bufio"
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/notify/notifytest"
)

// debian starts the mail server of Debian's python3-aiosmtpd, and returns its
// address and what it prints of the letters it gets.
func debian(t *testing.T, mode string) (string, *bufio.Reader) {
	t.Helper()
	if err := exec.Command("/usr/bin/python3", "-c", "import aiosmtpd").Run(); err != nil {
		t.Fatalf("%v: run .ci/deps, or apt-get install python3-aiosmtpd", err)
	}
	command := exec.Command("/usr/bin/python3", "testdata/server.py", certificateFile, keyFile, password, mode)
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var wrong strings.Builder
	command.Stderr = &wrong
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		if err := command.Wait(); err != nil {
			t.Errorf("%v: %s", err, wrong.String())
		}
	})
	lines := bufio.NewReader(out)
	port, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return "127.0.0.1:" + strings.TrimSpace(port), lines
}

func TestServerOfDebian(t *testing.T) {
	for _, mode := range []string{startTLS, implicitTLS} {
		t.Run(mode, func(t *testing.T) {
			address, lines := debian(t, mode)
			for _, event := range notify.Events {
				for _, m := range []notify.Message{notifytest.Message(event), notifytest.Hostile(event)} {
					c := open(t, address, "security", mode, "user", "countersign", "to", "gone@shop.example, ana@shop.example")
					receipt, err := c.Send(t.Context(), m)
					if err != nil || receipt.Note != "1 of 2 addresses refused; 2.0.0 kept" {
						t.Fatalf("%+v %v", receipt, err)
					}
					line, err := lines.ReadBytes('\n')
					if err != nil {
						t.Fatal(err)
					}
					var got struct {
						From, Letter, User string
						To                 []string
						TLS                bool
					}
					if err := json.Unmarshal(line, &got); err != nil {
						t.Fatal(err)
					}
					if got.From != "countersign@shop.example" || strings.Join(got.To, " ") != "ana@shop.example" || got.User != "countersign" || !got.TLS {
						t.Errorf("%+v", got)
					}
					subject, text, parsed := read(t, got.Letter)
					if subject != m.Subject() || !strings.HasPrefix(strings.ReplaceAll(text, "\r\n", "\n"), m.Short()) || parsed.Header.Get("Message-ID") != receipt.Reference {
						t.Errorf("%q %q", subject, text)
					}
					if parsed.Header.Get("Bcc") != "" {
						t.Errorf("a header was injected: %v", parsed.Header)
					}
				}
			}
		})
	}
}

func TestServerOfDebianRefuses(t *testing.T) {
	address, _ := debian(t, startTLS)
	e := notifytest.Refusal(t, t.Context(), open(t, address, "to", "gone@shop.example"), notifytest.Message(notify.Test))
	if e.Retry || e.Status != 550 || !strings.Contains(e.Text, "no such user") {
		t.Errorf("%+v", e)
	}
	c, err := notify.NewConfig(Kind(), "mail", map[string]string{"server": address, "from": "a@b.example", "to": "c@d.example", "user": "countersign"},
		map[string]notify.Secret{"password": {Env: "PASSWORD"}}, true)
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := c.Open([]notify.Kind{Kind()}, notifytest.Outside(nil, map[string]string{"PASSWORD": "wr0ng-password"}))
	if err != nil {
		t.Fatal(err)
	}
	if e := notifytest.Refusal(t, t.Context(), wrong, notifytest.Message(notify.Test), "wr0ng-password"); e.Retry || e.Status != 535 {
		t.Errorf("%+v", e)
	}
}
