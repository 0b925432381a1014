package approval

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"mime"
	"net/http"
	"net/url"
)

// maxForm is what a decision has at most, in bytes: a token, and a reason of 500
// characters with each of their bytes written as three.
const maxForm = 12 << 10

// code is what the form of a link's page has and nobody else can make. Who reads
// the page has it; a page of another site that knows the link does not.
func (k *Key) code(token string) string {
	mac := hmac.New(sha256.New, k.form[:])
	_, _ = mac.Write([]byte(token)) // never fails
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// form is a decision as it was sent.
type form struct {
	token, code string
	reason      string
	trusted     string
}

var (
	errFormSize = errors.New("the form is larger than the page's")
	errFormKind = errors.New("the form is not as browsers send it")
	errFormRead = errors.New("the form did not arrive whole")
)

// readForm reads the body of a decision. What is in the query is not looked at:
// a link that was made for it decides nothing.
func readForm(w http.ResponseWriter, r *http.Request) (form, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return form{}, errFormKind
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		if _, long := errors.AsType[*http.MaxBytesError](err); long {
			return form{}, errFormSize
		}
		return form{}, errFormRead
	}
	f := form{code: only(r.PostForm, "code"), reason: only(r.PostForm, "reason"), trusted: only(r.PostForm, "trusted")}
	f.token = only(r.PostForm, "token")
	return f, nil
}

// only is the value of a field that is there once.
func only(values url.Values, name string) string {
	if list := values[name]; len(list) == 1 {
		return list[0]
	}
	return ""
}

// sameSite says whether a decision may come from our own page. Browsers say so
// in Sec-Fetch-Site. Those that do not name the page's origin, which is "null" of
// a page that sends no referrer, as ours: then the form's code must do.
func sameSite(r *http.Request, public *url.URL) bool {
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "same-origin", "none":
		return true
	case "":
	default:
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" || origin == "null" {
		return true
	}
	return origin == public.Scheme+"://"+public.Host
}

func sameCode(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }
