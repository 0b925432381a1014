package notify

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Kind is a kind of channel: what it is called in the configuration, what can
// be set, and how one is made. Nothing is sent or read when it is made.
type Kind struct {
	Name, Title string
	// Voice says that it calls people up: it is for escalation alone.
	Voice    bool
	Settings []Setting
	New      func(Config, Outside) (Channel, error)
	// Check judges the settings together; it may be nil. The error completes the
	// sentence "The channel …".
	Check func(Config) error
	// CheckLink judges what every link begins with; it may be nil. The error
	// completes the sentence "The channel …".
	CheckLink func(c Config, begins string) error
}

// Setting is a key below "settings:" of a channel. A secret's has _file or
// _env behind it in the document.
type Setting struct {
	Key      string
	Help     string
	Required bool
	Secret   bool
	Default  string
	// Check judges a value, and may be nil. The error completes the sentence
	// "KEY …".
	Check func(string) error
}

// Get is a setting's value, or its default.
func (c Config) Get(key string) string { return c.settings[key] }

// Secret is where the secret of a setting is; its zero value when none was
// given.
func (c Config) Secret(key string) Secret { return c.secrets[key] }

var (
	// Phone checks a telephone number in the form of E.164.
	Phone = pattern(`^\+[1-9][0-9]{6,14}$`, "must be a telephone number with its country, such as \"+15551234567\"")
	// Digits checks an id that is a number.
	Digits = pattern(`^[0-9]{1,32}$`, "must be a number in quotes")
)

// pattern is a check by a regular expression, compiled when it is first used.
func pattern(expression, text string) func(string) error {
	return func(s string) error {
		if !regexp.MustCompile(expression).MatchString(s) {
			return errors.New(text)
		}
		return nil
	}
}

// Pattern checks that a value matches a regular expression; text completes the
// sentence "KEY …" when it does not.
func Pattern(expression, text string) func(string) error { return pattern(expression, text) }

// OneOf checks that a value is one of a few words.
func OneOf(words ...string) func(string) error {
	return func(s string) error {
		for _, word := range words {
			if s == word {
				return nil
			}
		}
		return fmt.Errorf("must be one of %s", strings.Join(words, ", "))
	}
}

// Whole checks that a value is a whole number within bounds.
func Whole(low, high int) func(string) error {
	return func(s string) error {
		if n, err := strconv.Atoi(s); err != nil || n < low || n > high {
			return fmt.Errorf("must be a whole number from %d to %d", low, high)
		}
		return nil
	}
}

// WebAddress checks a base URL. What is wrong with it is said without it: it
// may have a password in it.
func WebAddress(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return errors.New("must be a URL such as https://api.example")
	case u.User != nil:
		return errors.New("must have no user or password in it: give them as settings of their own")
	case u.Fragment != "":
		return errors.New("must have no fragment (#…)")
	}
	return nil
}

// secure says whether a URL that passed WebAddress may carry what is secret:
// over TLS, or where the operator said that the network is
// private.
func (c Config) secure(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || c.AllowPrivate || slices.Contains(c.AllowHosts, u.Hostname()))
}

// MayUse says why a URL that was read from a secret cannot be used, or nil. The
// error is an *Error and has nothing of the URL.
func (c Config) MayUse(address string) error {
	err := WebAddress(address)
	if err == nil && !c.secure(address) {
		err = errors.New("must begin with https://, or the channel have allow_private: true")
	}
	if err != nil {
		return &Error{Text: "the address in the secret cannot be used", Mend: "it " + err.Error()}
	}
	return nil
}
