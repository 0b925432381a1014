package kinds

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/notify/notifytest"
)

// TestMessages compares what each channel sends of each event with what was read
// and found good: testdata/messages has it as a person would lay it out, and -update
// writes it anew.
func TestMessages(t *testing.T) {
	for _, event := range notify.Events {
		t.Run(string(event), func(t *testing.T) {
			var b strings.Builder
			for _, k := range All() {
				_, _ = fmt.Fprintf(&b, "=== %s\n%s\n", k.Name, shown(t, k, notifytest.Message(event)))
			}
			file := filepath.Join("testdata", "messages", string(event)+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("%v: read what go test ./orchestrator/notify/kinds -update writes", err)
			}
			if b.String() != string(want) {
				t.Errorf("the messages are not those of %s: read what go test ./orchestrator/notify/kinds -update makes of it. Now they are\n%s", file, b.String())
			}
		})
	}
}

// shown is what a channel of a kind sends of a message.
func shown(t *testing.T, k notify.Kind, m notify.Message) string {
	t.Helper()
	sent := &sent{}
	c, env := minimal(t, k, "127.0.0.1:1", true)
	outside := notifytest.Outside(sent, env)
	outside.Dial = sent.dial
	channel, err := c.Open(All(), outside)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := channel.Send(t.Context(), m); err != nil {
		t.Fatalf("%s: %v", k.Name, err)
	}
	var b strings.Builder
	switch {
	case k.Name == "smtp":
		sent.letter(t, &b)
	case strings.HasPrefix(string(sent.body), "{"), strings.HasPrefix(string(sent.body), "["):
		var v any
		if err := json.Unmarshal(sent.body, &v); err != nil {
			t.Fatal(err)
		}
		lay(&b, "", v)
	default:
		form, err := url.ParseQuery(string(sent.body))
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range slices.Sorted(maps.Keys(form)) {
			lay(&b, key, form.Get(key))
		}
	}
	return b.String()
}

// lay writes a value's parts below each other, texts of several lines indented.
func lay(b *strings.Builder, name string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			lay(b, strings.TrimPrefix(name+"."+key, "."), v[key])
		}
	case []any:
		for i, item := range v {
			lay(b, fmt.Sprintf("%s[%d]", name, i), item)
		}
	default:
		_, _ = fmt.Fprintf(b, "%s: %s\n", name, strings.ReplaceAll(fmt.Sprint(v), "\n", "\n    "))
	}
}

// sent keeps what is sent over HTTP or SMTP, and takes everything.
type sent struct {
	body []byte
	mail chan string
}

func (s *sent) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s.body = body
	const taken = `{"ok":true,"result":{"message_id":1},"messages":[{"id":"1"}],"sid":"1"}`
	answer := taken
	if strings.HasPrefix(r.URL.Path, "/services/") {
		answer = "ok"
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(answer))}, nil
}

func (s *sent) dial(context.Context, string, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	s.mail = make(chan string, 1)
	go func() {
		defer func() { _ = server.Close() }()
		in, letter := bufio.NewReader(server), ""
		say := func(text string) { _, _ = io.WriteString(server, text+"\r\n") }
		say("220 ready")
		for {
			line, err := in.ReadString('\n')
			switch {
			case err != nil:
				s.mail <- letter
				return
			case line == "DATA\r\n":
				say("354 go on")
				for line, err = in.ReadString('\n'); err == nil && line != ".\r\n"; line, err = in.ReadString('\n') {
					letter += strings.TrimPrefix(line, ".")
				}
			}
			say("250 ok")
		}
	}()
	return client, nil
}

// letter writes the headers of the mail and its text, decoded.
func (s *sent) letter(t *testing.T, b *strings.Builder) {
	t.Helper()
	parsed, err := mail.ReadMessage(strings.NewReader(<-s.mail))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range slices.Sorted(maps.Keys(parsed.Header)) {
		text, err := new(mime.WordDecoder).DecodeHeader(parsed.Header.Get(key))
		if err != nil {
			t.Fatal(err)
		}
		lay(b, key, text)
	}
	text, err := io.ReadAll(quotedprintable.NewReader(parsed.Body))
	if err != nil {
		t.Fatal(err)
	}
	lay(b, "(text)", strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n")))
}
