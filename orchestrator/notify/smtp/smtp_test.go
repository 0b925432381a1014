package smtp

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/notify/notifytest"
)

const password = "correct horse battery staple"

func open(t *testing.T, address string, settings ...string) notify.Channel {
	t.Helper()
	values := map[string]string{
		"server": address, "from": "Countersign <countersign@shop.example>", "to": "ana@shop.example, Bén <ben@shop.example>",
	}
	for i := 0; i < len(settings); i += 2 {
		values[settings[i]] = settings[i+1]
	}
	secrets := map[string]notify.Secret{}
	if values["user"] != "" {
		secrets["password"] = notify.Secret{Env: "PASSWORD"}
	}
	c, err := notify.NewConfig(Kind(), "mail", values, secrets, true)
	if err != nil {
		t.Fatal(err)
	}
	channel, err := c.Open([]notify.Kind{Kind()}, notifytest.Outside(nil, map[string]string{"PASSWORD": password}))
	if err != nil {
		t.Fatal(err)
	}
	return channel
}

func TestLetter(t *testing.T) {
	s := &server{tls: serverTLS(t), offers: []string{"STARTTLS", "AUTH LOGIN PLAIN"}}
	s.start(t)
	receipt, err := open(t, s.address, "user", "countersign").Send(t.Context(), notifytest.Message(notify.Validated))
	if err != nil || receipt.Note != "2.0.0 queued as 4XyZ" {
		t.Fatalf("%+v %v", receipt, err)
	}
	plain := base64.StdEncoding.EncodeToString([]byte("\x00countersign\x00" + password))
	want := "EHLO shop.example|STARTTLS|EHLO shop.example|AUTH PLAIN " + plain +
		"|MAIL FROM:<countersign@shop.example>|RCPT TO:<ana@shop.example>|RCPT TO:<ben@shop.example>|DATA|QUIT"
	if s.said() != want {
		t.Errorf("got  %s\nwant %s", s.said(), want)
	}
	subject, text, m := read(t, s.letter)
	for key, want := range map[string]string{
		"From": `"Countersign" <countersign@shop.example>`, "To": "<ana@shop.example>, =?utf-8?q?B=C3=A9n?= <ben@shop.example>",
		"Date": "Fri, 20 Nov 2026 03:04:05 +0000", "Message-ID": receipt.Reference, "MIME-Version": "1.0", "Content-Type": "text/plain; charset=utf-8",
		"Content-Transfer-Encoding": "quoted-printable", "Auto-Submitted": "auto-generated", "Importance": "high",
	} {
		if got := m.Header.Get(key); got != want {
			t.Errorf("%s: %q instead of %q", key, got, want)
		}
	}
	if subject != "⚠ Action recommended: checkout – Requests are slow since 03:00." {
		t.Errorf("the subject is %q", subject)
	}
	if want := notifytest.Message(notify.Validated).Short() + "\n\nMore: https://console.example/incidents/inc-abc123\n"; strings.ReplaceAll(text, "\r\n", "\n") != want {
		t.Errorf("got  %q\nwant %q", text, want)
	}
	if !strings.HasSuffix(receipt.Reference, "@shop.example>") || len(m.Header["References"]) != 1 {
		t.Errorf("%q %q", receipt.Reference, m.Header["References"])
	}
}

// read is a letter as a mail program reads it: subject and text.
func read(t *testing.T, letter string) (string, string, *mail.Message) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(letter))
	if err != nil {
		t.Fatalf("%v in %q", err, letter)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	return subject, string(text), m
}

// The same message is the same mail, and one incident is one thread.
func TestReferences(t *testing.T) {
	from := &mail.Address{Address: "countersign@shop.example"}
	a := letter{from: from, message: notifytest.Message(notify.Incident)}
	b := letter{from: from, message: notifytest.Message(notify.Recovered)}
	again := letter{from: from, message: notifytest.Message(notify.Incident)}
	if a.id() == b.id() || a.id() != again.id() {
		t.Errorf("%s %s %s", a.id(), b.id(), again.id())
	}
	_, _, first := read(t, string(a.bytes()))
	_, _, second := read(t, string(b.bytes()))
	if first.Header.Get("References") == "" || first.Header.Get("References") != second.Header.Get("References") {
		t.Errorf("%v %v", first.Header, second.Header)
	}
	if first.Header.Get("Importance") != "high" || second.Header.Get("Importance") != "" {
		t.Errorf("%v %v", first.Header, second.Header)
	}
}

func TestWays(t *testing.T) {
	for _, tt := range []struct {
		name     string
		server   *server
		settings []string
		commands string
	}{
		{"implicit TLS", &server{direct: true, tls: serverTLS(t)}, []string{"security", "tls"}, "EHLO shop.example|MAIL"},
		{"LOGIN", &server{tls: serverTLS(t), offers: []string{"STARTTLS", "AUTH LOGIN XOAUTH2"}}, []string{"user", "ana"},
			"AUTH LOGIN|" + base64.StdEncoding.EncodeToString([]byte("ana")) + "|" + base64.StdEncoding.EncodeToString([]byte(password)) + "|MAIL"},
		{"none", &server{}, []string{"security", "none"}, "EHLO shop.example|MAIL FROM"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.server.start(t)
			if _, err := open(t, tt.server.address, tt.settings...).Send(t.Context(), notifytest.Message(notify.Test)); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(tt.server.said(), tt.commands) {
				t.Error(tt.server.said())
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	secured := []string{"STARTTLS", "AUTH PLAIN"}
	for _, tt := range []struct {
		name    string
		replies map[string]string
		offers  []string
		want    notify.Error
		says    string
		mend    string
	}{
		{"greeting", map[string]string{"greeting": "554 no"}, secured, notify.Error{Status: 554}, "greeting", "whoever runs"},
		{"busy", map[string]string{"greeting": "421 too many"}, secured, notify.Error{Retry: true, Status: 421}, "greeting", "later"},
		{"no STARTTLS", nil, []string{"AUTH PLAIN"}, notify.Error{}, "no STARTTLS", "587"},
		{"STARTTLS", map[string]string{"STARTTLS": "454 not now"}, secured, notify.Error{Retry: true, Status: 454}, "STARTTLS", "later"},
		{"no way to sign in", nil, []string{"STARTTLS", "AUTH GSSAPI"}, notify.Error{}, "no way to sign in", "587"},
		{"password", map[string]string{"AUTH": "535 5.7.8 wrong: " + password}, secured, notify.Error{Status: 535}, "AUTH with 535", "password"},
		{"sender", map[string]string{"MAIL": "550 5.7.1 not yours"}, secured, notify.Error{Status: 550}, "not yours", "check from"},
		{"recipients", map[string]string{"RCPT": "550 5.1.1 no such user"}, secured, notify.Error{Status: 550}, "no such user", "check to"},
		{"greylisted", map[string]string{"RCPT": "451 4.7.1 come again"}, secured, notify.Error{Retry: true, Status: 451}, "come again", "later"},
		{"data", map[string]string{"DATA": "554 5.5.1 no"}, secured, notify.Error{Status: 554}, "DATA", "whoever runs"},
		{"full", map[string]string{".": "452 4.3.1 disk full"}, secured, notify.Error{Retry: true, Status: 452}, "disk full", "later"},
		{"spam", map[string]string{".": "550 5.7.1 looks like\x1b[31m spam"}, secured, notify.Error{Status: 550}, "spam", "whoever runs"},
		{"closed at once", map[string]string{"greeting": ""}, secured, notify.Error{Retry: true}, "closed", "address"},
		{"closed early", map[string]string{"MAIL": ""}, secured, notify.Error{Retry: true}, "closed", "address"},
		{"closed after the letter", map[string]string{".": ""}, secured, notify.Error{Retry: true, Unsure: true}, "closed", "address"},
		{"no SMTP", map[string]string{"greeting": "HTTP/1.1 400 Bad Request"}, secured, notify.Error{Retry: true}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &server{replies: tt.replies, offers: tt.offers, tls: serverTLS(t)}
			s.start(t)
			e := notifytest.Refusal(t, t.Context(), open(t, s.address, "user", "countersign"), notifytest.Message(notify.Validated), password)
			if e.Retry != tt.want.Retry || e.Unsure != tt.want.Unsure || e.Status != tt.want.Status || !strings.Contains(e.Text, tt.says) || !strings.Contains(e.Mend, tt.mend) {
				t.Errorf("%+v", e)
			}
		})
	}
}

// Whatever a server repeats of the password, in whichever form it got it, and of
// the link, nothing of it is told on.
func TestNoSecretIsRepeated(t *testing.T) {
	coded := base64.StdEncoding.EncodeToString
	m := notifytest.Message(notify.Validated)
	forms := []string{m.Secrets()[0], password, coded([]byte(password)), coded([]byte("\x00countersign\x00" + password))}
	echo := " 5.0.0 you said " + strings.Join(forms, ", ")
	for _, step := range []string{"greeting", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "."} {
		s := &server{tls: serverTLS(t), offers: []string{"STARTTLS", "AUTH PLAIN"}, replies: map[string]string{step: "550" + echo}}
		s.start(t)
		e := notifytest.Refusal(t, t.Context(), open(t, s.address, "user", "countersign"), m, forms...)
		if e.Status != 550 || !strings.Contains(e.Text, "you said ***") {
			t.Errorf("%s: %+v", step, e)
		}
	}
	s := &server{tls: serverTLS(t), offers: []string{"STARTTLS", "AUTH PLAIN"}, replies: map[string]string{".": "250" + echo}}
	s.start(t)
	receipt, err := open(t, s.address, "user", "countersign").Send(t.Context(), m)
	if err != nil || receipt.Note != "5.0.0 you said ***, ***, ***, ***" {
		t.Errorf("%+v %v", receipt, err)
	}
}

// An address that is refused for good keeps nothing from the others; one that is
// refused for now has all wait, so that nobody is told twice.
func TestSomeRecipients(t *testing.T) {
	t.Run("for good", func(t *testing.T) {
		s := &server{tls: serverTLS(t), offers: []string{"STARTTLS"}, replies: map[string]string{"RCPT TO:<ana@shop.example>": "550 5.1.1 gone"}}
		s.start(t)
		receipt, err := open(t, s.address).Send(t.Context(), notifytest.Message(notify.Test))
		if err != nil || !strings.HasPrefix(receipt.Note, "1 of 2 addresses refused") || !strings.Contains(s.said(), "DATA") {
			t.Errorf("%+v %v after %s", receipt, err, s.said())
		}
	})
	t.Run("for now", func(t *testing.T) {
		s := &server{tls: serverTLS(t), offers: []string{"STARTTLS"}, replies: map[string]string{"RCPT TO:<ben@shop.example>": "450 4.2.0 later"}}
		s.start(t)
		e := notifytest.Refusal(t, t.Context(), open(t, s.address), notifytest.Message(notify.Test))
		if !e.Retry || strings.Contains(s.said(), "DATA") {
			t.Errorf("%+v after %s", e, s.said())
		}
	})
}

func TestTimeouts(t *testing.T) {
	for _, step := range []string{"greeting", "EHLO", "STARTTLS", "MAIL", "DATA", "."} {
		t.Run(step, func(t *testing.T) {
			s := &server{tls: serverTLS(t), offers: []string{"STARTTLS"}, replies: map[string]string{step: "-"}}
			s.start(t)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			e := notifytest.Refusal(t, ctx, open(t, s.address), notifytest.Message(notify.Validated))
			if hint := strings.Contains(e.Mend, "on port 465"); hint != (step == "greeting") {
				t.Errorf("how to mend it is %q", e.Mend)
			}
			if !e.Retry || e.Unsure != (step == ".") || !errors.Is(e, context.DeadlineExceeded) {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestCertificates(t *testing.T) {
	other, key, err := certificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(other, key)
	if err != nil {
		t.Fatal(err)
	}
	unknown := &tls.Config{Certificates: []tls.Certificate{pair}}
	t.Run("unknown authority", func(t *testing.T) {
		for _, s := range []*server{{tls: unknown, offers: []string{"STARTTLS", "AUTH PLAIN"}}, {tls: unknown, direct: true}} {
			s.start(t)
			settings := []string{"user", "ana"}
			if s.direct {
				settings = append(settings, "security", "tls")
			}
			e := notifytest.Refusal(t, t.Context(), open(t, s.address, settings...), notifytest.Message(notify.Test), password)
			if e.Retry || strings.Contains(s.said(), "AUTH") {
				t.Errorf("%+v after %s", e, s.said())
			}
		}
	})
	t.Run("another host", func(t *testing.T) {
		s := &server{tls: serverTLS(t), offers: []string{"STARTTLS"}}
		s.start(t)
		_, port, _ := net.SplitHostPort(s.address)
		e := notifytest.Refusal(t, t.Context(), open(t, "localhost:"+port), notifytest.Message(notify.Test))
		if e.Retry || !strings.Contains(e.Text, "not for localhost") {
			t.Errorf("%+v", e)
		}
	})
	t.Run("no TLS on that port", func(t *testing.T) {
		s := &server{}
		s.start(t)
		e := notifytest.Refusal(t, t.Context(), open(t, s.address, "security", "tls"), notifytest.Message(notify.Test))
		if e.Retry || !strings.Contains(e.Mend, "starttls") {
			t.Errorf("%+v", e)
		}
	})
}

func TestDial(t *testing.T) {
	t.Run("refused by the outside", func(t *testing.T) {
		shut := errors.New("nothing may leave")
		c, err := notify.NewConfig(Kind(), "mail", map[string]string{"server": "mail.example:587", "from": "a@b.example", "to": "c@d.example"}, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		outside := notifytest.Outside(nil, nil)
		var asked string
		outside.Dial = func(_ context.Context, tenant, network, address string) (net.Conn, error) {
			asked = tenant + " " + network + " " + address
			return nil, shut
		}
		channel, err := c.Open([]notify.Kind{Kind()}, outside)
		if err != nil {
			t.Fatal(err)
		}
		e := notifytest.Refusal(t, t.Context(), channel, notifytest.Message(notify.Test))
		if !errors.Is(e, shut) || asked != "local tcp mail.example:587" {
			t.Errorf("%+v for %s", e, asked)
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		if e := notifytest.Refusal(t, t.Context(), open(t, l.Addr().String()), notifytest.Message(notify.Test)); !e.Retry || e.Unsure {
			t.Errorf("%+v", e)
		}
	})
}

func TestSettings(t *testing.T) {
	good := map[string]string{"server": "mail.example:587", "from": "a@b.example", "to": "c@d.example"}
	for _, tt := range []struct{ key, value, says string }{
		{"server", "mail.example", "HOST:PORT"}, {"server", "mail.example:0", "HOST:PORT"}, {"server", "a b:25", "HOST:PORT"},
		{"from", "nobody", "mail address"}, {"from", "a@b.example, c@d.example", "mail address"}, {"from", "Ä <ä@b.example>", "mail address"},
		{"to", "", "needs to"}, {"to", "a@b.example\r\nRCPT TO:<c@d.example>", "one line"}, {"to", `"a b"@c.example`, "mail addresses"},
		{"to", strings.Repeat("a@b.example, ", 20) + "c@d.example", "at most 20"}, {"security", "ssl", "starttls, tls, none"},
		{"server", "127.0.0.1:587", "leads to a loopback address"}, {"security", "none", "allow_private"}, {"user", "ana", "both user and password"},
	} {
		values := map[string]string{}
		for key, value := range good {
			values[key] = value
		}
		values[tt.key] = tt.value
		if _, err := notify.NewConfig(Kind(), "mail", values, nil, false); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s %q: %v", tt.key, tt.value, err)
		}
	}
}

func FuzzLetter(f *testing.F) {
	f.Add("checkout", "slow", "inc-1", "local")
	f.Add(notifytest.Attack, notifytest.Attack, notifytest.Attack, notifytest.Attack)
	f.Fuzz(func(t *testing.T, service, issue, incident, tenant string) {
		m := notify.Message{ID: "a", Event: notify.Validated, Service: service, Issue: issue, IncidentID: incident, Tenant: tenant, Link: notifytest.Link}
		l := letter{from: &mail.Address{Address: "a@b.example"}, to: []*mail.Address{{Address: "c@d.example"}}, message: m}
		raw := string(l.bytes())
		subject, text, parsed := read(t, raw)
		want := 11
		if incident == "" {
			want--
		}
		if len(parsed.Header) != want || subject != m.Subject() || strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n")) != m.Short() {
			t.Errorf("%d headers, subject %q, text %q", len(parsed.Header), subject, text)
		}
		for _, line := range strings.Split(raw, "\r\n") {
			if len(line) > 998 || strings.ContainsAny(line, "\r\n\x00\x1b") {
				t.Errorf("the line %q", line)
			}
		}
	})
}
