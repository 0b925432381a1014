package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxBody is the most that a JSON order may have.
	maxBody = 64 << 10
	// maxWho and maxWhy bound, in characters, who orders something and why.
	maxWho = 100
	maxWhy = 500
)

// readJSON reads the body of an order into v, or answers the request and
// returns false. Nothing is guessed: a field that v does not have is an error.
// An empty body leaves v as it is, and needs no content type.
func readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		refuse(w, http.StatusRequestEntityTooLarge, "the body has more than 64 KiB")
		return false
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "the body ended before its end")
		return false
	}
	if len(body) == 0 && r.Header.Get("Content-Type") == "" {
		return true
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "send JSON, with Content-Type: application/json")
		return false
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err = d.Decode(v)
	if err == nil {
		if _, end := d.Token(); end != io.EOF {
			err = errors.New("something follows the JSON object")
		}
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "the body cannot be used: "+jsonReason(err))
		return false
	}
	return true
}

// jsonReason says what is wrong with a body without Go's names for it.
func jsonReason(err error) string {
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if t.Field == "" {
			return "it must be a JSON object, not " + article(t.Value)
		}
		return fmt.Sprintf("%q must be text, not %s", t.Field, article(t.Value))
	}
	if s, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf("it is not JSON at byte %d", s.Offset)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "its JSON ends before its end"
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

func article(kind string) string {
	kind, _, _ = strings.Cut(kind, " ") // a number comes with its digits
	if strings.ContainsRune("aeiou", rune(kind[0])) {
		return "an " + kind
	}
	return "a " + kind
}

// readable says whether s can be shown to people as it is: at most limit
// characters, none that steers a terminal or turns the text round.
func readable(s string, limit int) error {
	if !utf8.ValidString(s) {
		return errors.New("must be UTF-8")
	}
	if utf8.RuneCountInString(s) > limit {
		return fmt.Errorf("must have at most %d characters", limit)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return errors.New("must not hold control characters or line breaks")
	}
	return nil
}
