package witness_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/ledger/witness"
	"github.com/countersign-dev/countersign/ledger/witness/witnesstest"
)

func TestCosigningAsTheLogGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, "2", "a", "b", "c")
		s.start()
		s.update(1, 2*time.Second)
		s.expect(1, 1) // with two, and with all three
		for range 40 {
			s.update(7, 2*time.Second)
		}
		s.mu.Lock()
		last := s.got[len(s.got)-1]
		n := len(s.got)
		s.got = nil
		s.mu.Unlock()
		if n != 80 || last.size != 281 {
			t.Errorf("%d cosigned checkpoints, the last of size %d", n, last.size)
		}
		if names, _ := s.policy.Satisfied([]byte(last.note)); len(names) != 3 {
			t.Errorf("cosigned by %v", names)
		}
		if s.printed.String() != "" {
			t.Errorf("logged: %s", s.printed.String())
		}
	})
}

func TestManyUpdatesAreOneRoundASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, "all", "a", "b")
		s.start()
		for range 100 {
			s.update(1, 50*time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.got) < 5 || len(s.got) > 6 || s.got[len(s.got)-1].size != 100 {
			t.Errorf("%d cosigned checkpoints in five seconds", len(s.got))
		}
	})
}

func TestAWitnessThatIsDownHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, "2", "a", "b", "c")
		var calls atomic.Int32
		sound := s.hosts.set("b", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			<-r.Context().Done()
		}))
		s.start()
		s.update(1, 11*time.Second)
		s.expect(1)
		for i := range uint64(100) {
			s.update(1, 12*time.Second)
			s.expect(i + 2)
		}
		// Each pause is twice the one before, up to five minutes, and each
		// attempt takes ten seconds: 1+2+4+…+256 s, then 300 s, in 1211 s.
		if n := calls.Load(); n < 10 || n > 12 {
			t.Errorf("%d attempts in twenty minutes", n)
		}
		s.hosts.set("b", sound)
		s.update(1, 6*time.Minute)
		s.expect(102, 102)
		if !s.saw("msg=\"a witness did not cosign\" witness=b url=https://b/w/add-checkpoint") {
			t.Errorf("logged: %s", s.printed.String())
		}
	})
}

func TestARestartLearnsTheSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, "all", "a")
		w := s.newWitness("a")
		s.start()
		s.update(300, 2*time.Second)
		s.expect(300)
		s.start() // another client, which remembers nothing
		s.update(1, 2*time.Second)
		s.expect(301)
		s.start()
		s.client.Update(s.log.grow(t, 0, "")) // the same again
		time.Sleep(2 * time.Second)
		synctest.Wait()
		s.expect(301)
		if w.Size("log.example") != 301 || s.printed.String() != "" {
			t.Errorf("size %d, logged: %s", w.Size("log.example"), s.printed.String())
		}
	})
}

func TestALostAnswerIsNoContradiction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, "all", "a")
		w := s.newWitness("a")
		sound := s.hosts.set("a", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			w.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/add-checkpoint", r.Body))
			<-r.Context().Done()
		}))
		s.start()
		s.update(5, 10500*time.Millisecond)
		if s.expect(); w.Size("log.example") != 5 {
			t.Errorf("the witness is at %d", w.Size("log.example"))
		}
		s.hosts.set("a", sound)
		s.update(0, time.Second) // nothing new
		s.expect(5)
		s.update(4, 2*time.Second)
		s.expect(9)
		if s.saw("level=ERROR") {
			t.Errorf("logged: %s", s.printed.String())
		}
	})
}

func TestAMissingProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, "all", "a")
		s.start()
		s.update(5, 2*time.Second)
		s.expect(5)
		_, signed := s.log.grow(t, 1, "entry")
		s.client.Update(1000, signed) // the log cannot prove that size
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if s.expect(); !s.saw("no proof from size 5 to 1000: ") {
			t.Errorf("logged: %s", s.printed.String())
		}
	})
}

func TestContradictions(t *testing.T) {
	for name, c := range map[string]struct {
		seen, now int // entries that the witness has seen, and that there are now
		text      string
		want      string
	}{
		"fewer entries":                          {10, 5, "entry", "it has cosigned a checkpoint of size 10, and this log has only 5 entries"},
		"other entries, as many":                 {10, 10, "other", "it has cosigned another checkpoint of size 10"},
		"other entries, and more":                {10, 11, "other", "does not continue the one it cosigned before (422)"},
		"other entries, and more, beyond a tile": {10, 1000, "other", "does not continue the one it cosigned before (422)"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, "all", "a")
				s.start()
				s.update(c.seen, 2*time.Second)
				s.expect(uint64(c.seen))

				s.log = newLog(t, "log.example")
				s.start()
				s.client.Update(s.log.grow(t, c.now, c.text))
				time.Sleep(10 * time.Second)
				synctest.Wait()
				s.expect()
				if !s.saw("level=ERROR msg=\"a witness contradicts this log") || !s.saw(c.want) || !s.saw("checkpoint=\"log.example\\n") {
					t.Errorf("logged: %s", s.printed.String())
				}
			})
		})
	}
}

func TestAnswersThatAreNoCosignature(t *testing.T) {
	answer := func(status int, contentType, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Location", "https://a/w/add-checkpoint")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		})
	}
	for name, c := range map[string]struct {
		handler http.Handler
		want    string
	}{
		"unknown log":          {answer(404, "", ""), "it does not know this log (404)"},
		"untrusted key":        {answer(403, "", ""), "it does not trust this log's key (403)"},
		"bad request":          {answer(400, "", "no\x1b[2J"), `it answered 400 Bad Request: \"no\\x1b[2J\"`},
		"server error":         {answer(500, "", ""), "it answered 500 Internal Server Error"},
		"redirect":             {answer(307, "", ""), "it redirects (307), which is not followed"},
		"too long":             {answer(200, "", strings.Repeat("x", 16<<10+1)), "its answer is longer than 16384 bytes"},
		"not a signature":      {answer(200, "", "fine\n"), "its answer is not made of signature lines"},
		"nothing":              {answer(200, "", ""), "its answer is not made of signature lines"},
		"another note":         {answer(200, "", "more\n\n— a AAAAAAAA\n"), "its answer is not made of signature lines"},
		"unknown key":          {answer(200, "", "— a AAAAAAAA\n"), "its answer has no signature of a+"},
		"409 without size":     {answer(409, "text/plain", "5\n"), "it answered 409 without saying which size it is at"},
		"409 with bad size":    {answer(409, "text/x.tlog.size", "05\n"), "it answered 409 without saying which size it is at"},
		"409 with our size":    {answer(409, "text/x.tlog.size", "0\n"), "it answered 409 to the very size it is at, 0"},
		"409 again and again":  {answer(409, "text/x.tlog.size", "1\n"), "it answered 409 to the very size it is at, 1"},
		"signature of another": {nil, "its cosignature does not verify"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, "all", "a")
				w := s.hosts.set("a", c.handler)
				if name == "signature of another" {
					_, other := newLog(t, "log.example").grow(t, 7, "other")
					s.hosts.set("a", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
						r := httptest.NewRequest(http.MethodPost, "/w/add-checkpoint", strings.NewReader("old 0\n\n"+string(other)))
						w.ServeHTTP(rw, r)
					}))
				}
				s.start()
				s.update(3, time.Millisecond)
				s.expect()
				if !s.saw(c.want) {
					t.Errorf("logged: %s", s.printed.String())
				}
			})
		})
	}
}

func TestClientErrors(t *testing.T) {
	key := func(name string) string { return witnesstest.New(name, time.Now).VerifierKey() }
	for text, want := range map[string]string{
		"quorum none\n":                                      "no witness of the policy has a URL",
		"witness A " + key("a") + "\nquorum A\n":             "no witness of the policy has a URL",
		"witness A " + key("a") + " ftp://x\nquorum A\n":     "is not a URL that begins with http:// or https://",
		"witness A " + key("a") + " https:x\nquorum A\n":     "is not a URL that begins with http:// or https://",
		"witness A " + key("a") + " http://x/?q\nquorum A\n": "must have only scheme, host and path",
		"witness A " + key("a") + " http://x\nwitness B " + key("b") + "\ngroup G all A B\nquorum G\n": "quorum cannot be reached by the witnesses that have a URL (A)",
	} {
		p, err := witness.ParsePolicy([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := witness.NewClient(witness.Config{Policy: p}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
