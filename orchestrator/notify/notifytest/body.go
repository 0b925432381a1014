package notifytest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/notify"
)

// echoes has a server say again what it was asked, in each place where an API
// gives its reasons. Neither a secret of the channel nor the link may be in what
// is written down of it.
func echoes(t *testing.T, open Open, secrets []string) {
	m := Message(notify.Validated)
	for _, secret := range m.Secrets() {
		// What is told is taken apart at its dots.
		secrets = append(secrets, secret, notify.Line(secret, 2000))
	}
	for _, status := range []int{200, 201, 400, 401, 403, 404, 410, 429, 500} {
		for _, bodyFirst := range []bool{true, false} {
			for _, asJSON := range []bool{true, false} {
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					said := fmt.Sprintf("%s %v %s", r.URL, r.Header, body)
					if bodyFirst {
						said = link(string(body)) + said
					}
					w.WriteHeader(status)
					if asJSON {
						said = everywhere(said)
					}
					_, _ = io.WriteString(w, said)
				}))
				receipt, err := open(t, server.URL, nil).Send(t.Context(), m)
				server.Close()
				told := fmt.Sprintf("%+v %v", receipt, err)
				for ; err != nil; err = errors.Unwrap(err) {
					told += fmt.Sprintf(" %+v", err)
				}
				for _, secret := range secrets {
					if strings.Contains(told, secret) {
						t.Errorf("%d: a secret is in %q", status, told)
					}
				}
			}
		}
	}
}

// link is what a body says of the link, so that it comes first.
func link(body string) string {
	i := strings.Index(body, "eyJ")
	if i < 0 {
		return "no link"
	}
	return body[i:]
}

// everywhere is a text in each member in which one of the APIs gives a reason or
// a name.
func everywhere(said string) string {
	text, err := json.Marshal(map[string]any{
		"ok": false, "description": said, "message": said, "code": 1, "sid": said, "status": said,
		"messages": []any{map[string]string{"id": said, "message_status": said}},
		"error":    map[string]any{"message": said, "code": 100, "error_data": map[string]string{"details": said}},
	})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// bodies are answers that end too late, or never.
func bodies(t *testing.T, open Open, secrets []string) {
	over := make(chan struct{})
	serve := func(status int, write func(w http.ResponseWriter)) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(status)
			write(w)
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	defer close(over)
	slow := func(w http.ResponseWriter) {
		_, _ = io.WriteString(w, `{"ok":`)
		w.(http.Flusher).Flush()
		<-over
	}
	for _, status := range []int{200, 500} {
		c := open(t, serve(status, slow), nil)
		// A status of failure says enough by itself; after one of success the
		// message may have been taken. That the status came at all before time was
		// up, a busy machine has to be given the time for.
		var e *notify.Error
		for patience := 200 * time.Millisecond; patience < time.Minute; patience *= 4 {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			e = Refusal(t, ctx, c, Message(notify.Validated), secrets...)
			cancel()
			if e.Unsure == (status == 200) {
				break
			}
		}
		if !e.Retry || e.Unsure != (status == 200) {
			t.Errorf("%d with a slow body: %+v", status, e)
		}
	}
	huge := func(w http.ResponseWriter) {
		for range 64 {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return // as it should: nobody reads so much
			}
		}
		t.Error("64 MiB were read")
	}
	for _, status := range []int{200, 500} {
		receipt, err := open(t, serve(status, huge), nil).Send(t.Context(), Message(notify.Validated))
		e, known := errors.AsType[*notify.Error](err)
		if err == nil && (status != 200 || len(receipt.Reference)+len(receipt.Note) > 400) || err != nil && (!known || len(e.Text) > 1000) {
			t.Errorf("%d with a huge body: %+v %v", status, receipt, err)
		}
	}
}
