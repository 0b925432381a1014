package smtp

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/notify"
)

// letter is a message as mail.
type letter struct {
	from    *mail.Address
	to      []*mail.Address
	message notify.Message
}

// id is the Message-ID: the same for each attempt, so that a mail that was
// taken twice is one to the programs that look.
func (l letter) id() string { return l.reference("message", l.message.ID) }

// reference is an id within the sender's domain.
func (l letter) reference(kind, of string) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + l.message.Tenant + "\x00" + of))
	return "<" + hex.EncodeToString(sum[:16]) + "@" + l.domain() + ">"
}

func (l letter) domain() string { return l.from.Address[strings.LastIndexByte(l.from.Address, '@')+1:] }

// bytes are the mail, with lines that end in CR and LF.
func (l letter) bytes() []byte {
	var b bytes.Buffer
	header := func(key, value string) { _, _ = fmt.Fprintf(&b, "%s: %s\r\n", key, value) }
	to := make([]string, len(l.to))
	for i, a := range l.to {
		to[i] = a.String()
	}
	header("From", l.from.String())
	header("To", strings.Join(to, ",\r\n "))
	header("Subject", subject(l.message.Subject()))
	header("Date", l.message.At.UTC().Format(time.RFC1123Z))
	header("Message-ID", l.id())
	if l.message.IncidentID != "" {
		// All mails of an incident are one thread.
		header("References", l.reference("incident", l.message.IncidentID))
	}
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	header("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office replies
	if l.message.Urgency() == notify.Critical {
		header("Importance", "high")
	}
	b.WriteString("\r\n")
	text := quotedprintable.NewWriter(&b)
	_, _ = text.Write([]byte(strings.ReplaceAll(l.text(), "\n", "\r\n")))
	_ = text.Close() // a buffer takes everything
	b.WriteString("\r\n")
	return b.Bytes()
}

func (l letter) text() string {
	text := l.message.Short()
	if detail := l.message.Detail(); detail != "" {
		text += "\n\nMore: " + detail
	}
	return text
}

// subject encodes a header's text where it is not ASCII (RFC 2047), with each
// encoded word on a line of its own.
func subject(s string) string {
	encoded := mime.QEncoding.Encode("utf-8", s)
	if encoded == s {
		return s
	}
	return strings.ReplaceAll(encoded, " ", "\r\n ")
}
