// Package smtp sends messages as e-mail (RFC 5321), over TLS unless told
// otherwise.
package smtp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"strings"

	"github.com/countersign-dev/countersign/orchestrator/notify"
)

// How a connection is secured.
const (
	startTLS    = "starttls" // plain at first, and no mail without TLS
	implicitTLS = "tls"
	noTLS       = "none"
)

// Kind is the kind of channel.
func Kind() notify.Kind {
	return notify.Kind{
		Name: "smtp", Title: "E-mail",
		Settings: []notify.Setting{
			{Key: "server", Required: true, Help: "The mail server, as HOST:PORT.", Check: checkServer},
			{Key: "security", Default: startTLS, Help: "`starttls` (port 587), `tls` (port 465), or `none`, which takes `allow_private`.",
				Check: notify.OneOf(startTLS, implicitTLS, noTLS)},
			{Key: "from", Required: true, Help: "The sender, such as `Countersign <countersign@shop.example>`.", Check: checkAddress},
			{Key: "to", Required: true, Help: "Who is told; several with commas between, at most 20.", Check: checkAddresses},
			{Key: "user", Help: "The user to sign in as, with `password`."},
			{Key: "password", Secret: true, Help: "That user's password."},
		},
		Check: checkTogether,
		New:   func(c notify.Config, o notify.Outside) (notify.Channel, error) { return newChannel(c, o) },
	}
}

const maxRecipients = 20

func checkServer(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" || strings.ContainsAny(host, " /@") || notify.Whole(1, 65535)(port) != nil {
		return errors.New("must be HOST:PORT, such as mail.shop.example:587")
	}
	return nil
}

func checkAddress(s string) error {
	if _, err := parse(s); err != nil {
		return errors.New("must be a mail address such as ana@shop.example, or Ana <ana@shop.example>")
	}
	return nil
}

func checkAddresses(s string) error {
	list, err := parseList(s)
	switch {
	case err != nil:
		return errors.New("must be mail addresses with commas between, such as ana@shop.example, ben@shop.example")
	case len(list) > maxRecipients:
		return fmt.Errorf("has %d addresses, and at most %d can be told: use a mailing list", len(list), maxRecipients)
	}
	return nil
}

// parse reads an address whose route fits into a command of SMTP without
// quoting; one of other letters needs an extension that few servers have.
func parse(s string) (*mail.Address, error) {
	a, err := mail.ParseAddress(s)
	if err == nil && !plainRoute(a.Address) {
		err = errors.New("an unusual address")
	}
	return a, err
}

func parseList(s string) ([]*mail.Address, error) {
	list, err := mail.ParseAddressList(s)
	if err != nil {
		return nil, err
	}
	for _, a := range list {
		if !plainRoute(a.Address) {
			return nil, errors.New("an unusual address")
		}
	}
	return list, nil
}

func plainRoute(address string) bool {
	local, domain, found := strings.Cut(address, "@")
	return found && local != "" && domain != "" && len(address) <= 254 &&
		!strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`<>"\(),;:`, r) }) &&
		!strings.Contains(domain, "@")
}

func checkTogether(c notify.Config) error {
	host, _, _ := net.SplitHostPort(c.Get("server"))
	switch {
	case (c.Get("user") != "") != c.Secret("password").Given():
		return errors.New("needs both user and password in its settings, or neither")
	case c.Get("security") == noTLS && c.Get("user") != "":
		return errors.New("has security: none and a user: a password is sent over TLS only")
	case c.Get("security") == noTLS && !c.AllowPrivate:
		return errors.New("has security: none: use starttls or tls, or give it allow_private: true")
	}
	if err := c.MayReach(host); err != nil {
		return fmt.Errorf("has a server that %w", err)
	}
	return nil
}

type channel struct {
	config  notify.Config
	outside notify.Outside
	from    *mail.Address
	to      []*mail.Address
}

func newChannel(c notify.Config, o notify.Outside) (*channel, error) {
	from, err := parse(c.Get("from"))
	if err != nil {
		return nil, fmt.Errorf("the channel %q has no sender: from must be a mail address", c.ID)
	}
	to, err := parseList(c.Get("to"))
	if err != nil {
		return nil, fmt.Errorf("the channel %q has no recipients: to must be mail addresses", c.ID)
	}
	return &channel{config: c, outside: o, from: from, to: to}, nil
}

func (c *channel) Name() string { return c.config.ID }
func (c *channel) Kind() string { return c.config.Kind }

func (c *channel) Send(ctx context.Context, m notify.Message) (notify.Receipt, error) {
	if err := m.Check(); err != nil {
		return notify.Receipt{}, err
	}
	password := ""
	if secret := c.config.Secret("password"); secret.Given() {
		text, err := secret.Read(c.outside.Getenv)
		if err != nil {
			return notify.Receipt{}, err
		}
		password = text
	}
	mail := letter{from: c.from, to: c.to, message: m}
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	said, err := c.deliver(ctx, m.Tenant, mail, password)
	if err != nil {
		return notify.Receipt{}, err
	}
	return notify.Receipt{Reference: mail.id(), Note: notify.Line(said, 200)}, nil
}
