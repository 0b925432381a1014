package webhook

import (
	"bytes"
	"crypto/x509"
	"strings"
	"testing"
	"time"
)

func made(t testing.TB, at time.Time, terms Terms) authority {
	t.Helper()
	a, err := newAuthority(at, terms)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAuthoritiesAreRenewed(t *testing.T) {
	terms := Terms{Authority: 90 * time.Hour, Certificate: time.Hour}
	a := made(t, begin, terms)
	b := made(t, begin.Add(61*time.Hour), terms)
	for what, c := range map[string]struct {
		all     []authority
		after   time.Duration
		keeps   []authority
		fresh   bool
		changed bool
	}{
		"none":                      {nil, 0, nil, true, true},
		"young":                     {[]authority{a}, 59 * time.Hour, []authority{a}, false, false},
		"in the last third":         {[]authority{a}, 60 * time.Hour, []authority{a}, true, true},
		"replaced already":          {[]authority{b, a}, 70 * time.Hour, []authority{a, b}, false, false},
		"the older has expired":     {[]authority{a, b}, 90 * time.Hour, []authority{b}, false, true},
		"both expired, long asleep": {[]authority{a, b}, 1000 * time.Hour, nil, true, true},
	} {
		now := begin.Add(c.after)
		next, changed, err := renewed(c.all, now, terms)
		if err != nil {
			t.Fatal(err)
		}
		want := len(c.keeps)
		if c.fresh {
			want++
		}
		if len(next) != want || changed != c.changed {
			t.Errorf("%s: %d authorities, changed %v", what, len(next), changed)
			continue
		}
		for i, keep := range c.keeps {
			if !next[i].cert.Equal(keep.cert) {
				t.Errorf("%s: authority %d is another", what, i)
			}
		}
		if c.fresh && !next[want-1].madeAt().Equal(now) {
			t.Errorf("%s: the new one was made at %v", what, next[want-1].madeAt())
		}
	}
}

func TestAuthoritiesAreReadAsWritten(t *testing.T) {
	all := []authority{made(t, begin, short), made(t, begin.Add(time.Hour), short)}
	text, err := encodeAuthorities(all)
	if err != nil {
		t.Fatal(err)
	}
	read, err := parseAuthorities(text)
	if err != nil || len(read) != 2 {
		t.Fatalf("%d, %v", len(read), err)
	}
	again, err := encodeAuthorities(read)
	if err != nil || !bytes.Equal(again, text) {
		t.Fatalf("written anew it differs: %v", err)
	}
	if none, err := parseAuthorities([]byte(" \n")); err != nil || len(none) != 0 {
		t.Errorf("nothing: %d, %v", len(none), err)
	}

	first, second, _ := strings.Cut(string(text), "-----END PRIVATE KEY-----\n")
	_, foreign, _ := strings.Cut(second, "-----END CERTIFICATE-----\n")
	cert, _, _ := strings.Cut(first, "-----BEGIN PRIVATE KEY-----")
	for what, text := range map[string]string{
		"text":                 "hello",
		"a certificate alone":  cert,
		"a key alone":          "-----BEGIN PRIVATE KEY-----" + strings.SplitN(first, "-----BEGIN PRIVATE KEY-----", 2)[1] + "-----END PRIVATE KEY-----\n",
		"another's key":        cert + foreign,
		"an unreadable one":    strings.Replace(string(text), "MII", "AAA", 1),
		"something at the end": string(text) + "x",
	} {
		if _, err := parseAuthorities([]byte(text)); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
}

func TestTerms(t *testing.T) {
	for _, good := range []Terms{DefaultTerms(), short, {Authority: time.Minute, Certificate: 20 * time.Second}} {
		if err := good.validate(); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []Terms{{}, {Authority: time.Hour, Certificate: time.Second}, {Authority: time.Hour, Certificate: 21 * time.Minute}} {
		if bad.validate() == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

func TestCertificateIsForItsNamesAlone(t *testing.T) {
	a := made(t, begin, short)
	s, err := a.issue([]string{name, "10.1.2.3", "fd00::1"}, begin, short)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	for host, good := range map[string]bool{name: true, "10.1.2.3": true, "fd00::1": true, "countersign-webhook": false, "10.1.2.4": false} {
		_, err := s.pair.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, CurrentTime: begin})
		if (err == nil) != good {
			t.Errorf("%s: %v", host, err)
		}
	}
	late, err := a.issue([]string{name}, begin.Add(50*time.Minute), short)
	if err != nil {
		t.Fatal(err)
	}
	if late.pair.Leaf.NotAfter.After(a.cert.NotAfter) {
		t.Error("a certificate outlives its authority")
	}
	if s.aged(begin.Add(13*time.Minute)) || !s.aged(begin.Add(14*time.Minute)) {
		t.Error("a certificate of 20 minutes should be aged after two thirds of them")
	}
}

func FuzzParseAuthorities(f *testing.F) {
	text, err := encodeAuthorities([]authority{made(f, begin, short)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(bytes.Replace(text, []byte("PRIVATE"), []byte("EC PRIVATE"), 2))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := parseAuthorities(text)
		if err != nil {
			return
		}
		written, err := encodeAuthorities(all)
		if err != nil {
			t.Fatal(err)
		}
		if read, err := parseAuthorities(written); err != nil || len(read) != len(all) {
			t.Fatalf("%d authorities become %d: %v", len(all), len(read), err)
		}
	})
}
