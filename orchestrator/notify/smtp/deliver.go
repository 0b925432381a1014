package smtp

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/roots"
)

// deliver hands a letter to the server, and returns what it said to that.
func (c *channel) deliver(ctx context.Context, tenant string, l letter, password string) (string, error) {
	server := c.config.Get("server")
	host, _, _ := net.SplitHostPort(server)
	conn, err := c.outside.Dial(ctx, tenant, "tcp", server)
	if err != nil {
		return "", notify.Unreachable(err, false, c.config.Timeout)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	d := &delivery{channel: c, host: host, password: password, link: slices.Clip(l.message.Secrets())}
	said, err := d.run(conn, l)
	if err == nil {
		return said, nil
	}
	if ctx.Err() != nil {
		// What the connection says of its end is but the echo.
		err = ctx.Err()
	}
	return "", d.failed(err)
}

// delivery is one conversation with a server.
type delivery struct {
	channel        *channel
	host, password string
	link           []string // what is secret of it
	step           string   // what was asked last
	sent           bool     // the whole letter is with the server
	refused        int      // how many recipients the server does not want
}

// errNoTLS and errNoLogin say what a server does not offer.
var (
	errNoTLS   = errors.New("the server offers no STARTTLS")
	errNoLogin = errors.New("the server offers no way to sign in that is known here (PLAIN, LOGIN)")
)

func (d *delivery) run(conn net.Conn, l letter) (string, error) {
	config := &tls.Config{ServerName: d.host, MinVersion: tls.VersionTLS12}
	security := d.channel.config.Get("security")
	if security == implicitTLS || security == startTLS {
		roots.Load()
	}
	if security == implicitTLS {
		conn = tls.Client(conn, config)
	}
	d.step = "greeting"
	client, err := smtp.NewClient(conn, d.host)
	if err != nil {
		return "", err
	}
	d.step = "EHLO"
	if err := client.Hello(l.domain()); err != nil {
		return "", err
	}
	if security == startTLS {
		d.step = "STARTTLS"
		if offered, _ := client.Extension("STARTTLS"); !offered {
			return "", errNoTLS
		}
		if err := client.StartTLS(config); err != nil {
			return "", err
		}
	}
	if err := d.signIn(client); err != nil {
		return "", err
	}
	said, err := d.hand(client, l)
	if err != nil {
		return "", err
	}
	_ = client.Quit() // the letter is with the server, whatever it says now
	return said, nil
}

func (d *delivery) signIn(client *smtp.Client) error {
	user := d.channel.config.Get("user")
	if user == "" {
		return nil
	}
	d.step = "AUTH"
	_, offered := client.Extension("AUTH")
	ways := strings.Fields(strings.ToUpper(offered))
	for _, way := range ways {
		if way == "PLAIN" {
			return client.Auth(smtp.PlainAuth("", user, d.password, d.host))
		}
	}
	for _, way := range ways {
		if way == "LOGIN" {
			return client.Auth(&login{user, d.password})
		}
	}
	return errNoLogin
}

// hand gives the letter to a server that is ready for it.
func (d *delivery) hand(client *smtp.Client, l letter) (string, error) {
	d.step = "MAIL FROM"
	if err := client.Mail(l.from.Address); err != nil {
		return "", err
	}
	if err := d.address(client, l); err != nil {
		return "", err
	}
	d.step = "DATA"
	id, err := client.Text.Cmd("DATA")
	if err != nil {
		return "", err
	}
	client.Text.StartResponse(id)
	_, _, err = client.Text.ReadResponse(354)
	client.Text.EndResponse(id)
	if err != nil {
		return "", err
	}
	w := client.Text.DotWriter()
	if _, err := w.Write(l.bytes()); err != nil {
		return "", err
	}
	d.step, d.sent = "the letter", true
	if err := w.Close(); err != nil {
		return "", err
	}
	_, said, err := client.Text.ReadResponse(250)
	said = notify.Scrub(said, d.secrets())
	if d.refused > 0 {
		said = fmt.Sprintf("%d of %d addresses refused; %s", d.refused, len(l.to), said)
	}
	return said, err
}

// address names the recipients. Some may be refused for good, as long as one
// is not; who is refused for now has everybody wait, so that nobody is told
// twice.
func (d *delivery) address(client *smtp.Client, l letter) error {
	d.step = "RCPT TO"
	var last error
	for _, to := range l.to {
		err := client.Rcpt(to.Address)
		if refused, ok := errors.AsType[*textproto.Error](err); err != nil && (!ok || refused.Code < 500) {
			return err
		}
		if err != nil {
			d.refused, last = d.refused+1, err
		}
	}
	if d.refused == len(l.to) {
		return last
	}
	return nil
}

// secrets are what a reply may repeat: the link's, and the forms in which the
// password is sent.
func (d *delivery) secrets() []string {
	if d.password == "" {
		return d.link
	}
	coded := base64.StdEncoding.EncodeToString
	user := d.channel.config.Get("user")
	return append(d.link, d.password, coded([]byte("\x00"+user+"\x00"+d.password)), coded([]byte(d.password)))
}

// failed is the error of a conversation that ended early.
func (d *delivery) failed(err error) *notify.Error {
	refused, ok := errors.AsType[*textproto.Error](err)
	switch {
	case ok:
		said := notify.Scrub(refused.Msg, d.secrets())
		e := &notify.Error{
			Status: refused.Code, Retry: refused.Code >= 400 && refused.Code < 500,
			Text: strings.TrimSuffix(fmt.Sprintf("the mail server refused %s with %d: %s", d.step, refused.Code, notify.Line(said, 200)), ": "),
			Mend: d.mend(refused.Code),
		}
		return e
	case errors.Is(err, errNoTLS):
		return &notify.Error{Text: err.Error(), Mend: "use a port where it does (587), security: tls on port 465, or another server"}
	case errors.Is(err, errNoLogin):
		return &notify.Error{Text: err.Error(), Mend: "use a server or port that does (587)"}
	}
	e := notify.Unreachable(err, d.sent, d.channel.config.Timeout)
	if strings.Contains(e.Mend, "certificate") && d.channel.config.Get("security") == implicitTLS {
		e.Mend += "; on port 587 use security: starttls"
	}
	if d.step == "greeting" && e.Retry && d.channel.config.Get("security") != implicitTLS {
		// A server that waits for TLS says nothing before.
		e.Mend += "; on port 465 use security: tls"
	}
	return e
}

func (d *delivery) mend(code int) string {
	switch {
	case code >= 400 && code < 500:
		return "it is sent again later; if this lasts, ask whoever runs the server"
	case d.step == "AUTH", code == 530, code == 535:
		return "check user and password; many providers want a password made for applications"
	case d.step == "MAIL FROM":
		return "check from: the server must let this user send as that address"
	case d.step == "RCPT TO":
		return "check to: the server must know the address, or let this user send elsewhere"
	}
	return "ask whoever runs the server"
}

// login is the way to sign in that some servers offer in PLAIN's place.
type login struct{ user, password string }

func (l *login) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !server.TLS {
		return "", nil, errors.New("the password is sent over TLS only")
	}
	return "LOGIN", nil, nil
}

func (l *login) Next(prompt []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	switch strings.ToLower(strings.TrimSuffix(string(prompt), ":")) {
	case "username", "user name":
		return []byte(l.user), nil
	case "password":
		return []byte(l.password), nil
	}
	return nil, errors.New("the server asks for something unknown to sign in")
}
