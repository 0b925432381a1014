package approval

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

func TestServerAnswersOverTheWire(t *testing.T) {
	s := newScene(t, Step{})
	_, token := s.offer("ana")
	server := httptest.NewUnstartedServer(nil)
	server.Config = s.handler.Server()
	server.Start()
	defer server.Close()
	public := must(ParsePublicURL(server.URL))
	s.handler.o.Public = public
	answer, err := http.PostForm(public.JoinPath(Path, "confirm").String(), url.Values{"token": {token}, "code": {s.key.code(token)}})
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Error(answer.Status)
	}
	s.expect("authorized")
}
