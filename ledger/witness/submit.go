package witness

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

const (
	maxAnswer = 16 << 10
	maxProof  = 63 // hashes, by the protocol
	sizeType  = "text/x.tlog.size"
)

// submitter brings checkpoints to one witness. Its fields belong to the
// goroutine in run.
type submitter struct {
	client   *Client
	name     string // by the policy
	index    int
	key      note.Verifier
	endpoint string
	web      *http.Client
	tasks    chan *checkpoint // the latest one to be cosigned

	size   uint64 // of the checkpoint that the witness cosigned last, as far as is known
	failed int    // attempts since the last success
}

// answer is what became of one attempt.
type answer struct {
	witness    int
	checkpoint *checkpoint
	line       string // the cosignature as a line of the note; empty when there is none
}

// give has the submitter bring c, and no longer one that it was given before.
// Only one goroutine may give.
func (s *submitter) give(c *checkpoint) {
	select {
	case <-s.tasks:
	default:
	}
	s.tasks <- c
}

func (s *submitter) run(ctx context.Context, answers chan<- answer) {
	for {
		var c *checkpoint
		select {
		case <-ctx.Done():
			return
		case c = <-s.tasks:
		}
		for done := false; !done; {
			line, err := s.submit(ctx, c)
			if ctx.Err() != nil {
				return
			}
			select {
			case answers <- answer{s.index, c, line}:
			case <-ctx.Done():
				return
			}
			if done = err == nil; done {
				s.failed = 0
				continue
			}
			if !s.backOff(ctx, err) {
				return
			}
			select {
			case c = <-s.tasks:
			default:
			}
		}
	}
}

// backOff logs err and waits before the next attempt.
func (s *submitter) backOff(ctx context.Context, err error) bool {
	pause := min(firstBackoff<<min(s.failed, 30), lastBackoff)
	s.failed++
	facts := []any{"witness", s.name, "url", s.endpoint, "error", err, "attempts", s.failed, "again_in", pause}
	if c, ok := errors.AsType[*contradiction](err); ok {
		s.client.config.Log.Error("a witness contradicts this log: entries were lost, or something else signs with its key; keep this checkpoint and have both compared",
			append(facts, "checkpoint", string(c.checkpoint))...)
	} else {
		s.client.config.Log.Warn("a witness did not cosign", facts...)
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// contradiction is a witness's word that the checkpoint cannot belong to the
// log it has seen.
type contradiction struct {
	problem    string
	checkpoint []byte
}

func (c *contradiction) Error() string { return c.problem }

// submit has the witness cosign c. When the witness remembers another size
// than was thought, it is asked once more, from that size.
func (s *submitter) submit(ctx context.Context, c *checkpoint) (line string, err error) {
	old := min(s.size, c.size)
	line, err = s.attempt(ctx, old, c)
	if other, ok := errors.AsType[*sizeConflict](err); ok {
		if err := s.learn(old, other, c); err != nil {
			return "", err
		}
		line, err = s.attempt(ctx, s.size, c)
		if other, ok := errors.AsType[*sizeConflict](err); ok {
			if err := s.learn(s.size, other, c); err != nil {
				return "", err
			}
		}
	}
	if err == nil {
		s.size = c.size
	}
	return line, err
}

// learn notes the size that a witness has said it is at.
func (s *submitter) learn(old uint64, other *sizeConflict, c *checkpoint) error {
	switch {
	case old == c.size && (!other.known || other.size == old):
		return &contradiction{fmt.Sprintf("it has cosigned another checkpoint of size %d", old), c.signed}
	case !other.known:
		return errors.New("it answered 409 without saying which size it is at")
	case other.size == old:
		return fmt.Errorf("it answered 409 to the very size it is at, %d", old)
	case other.size <= c.size:
		s.size = other.size
		return nil
	case other.size > s.client.latest.Load().size:
		return &contradiction{fmt.Sprintf("it has cosigned a checkpoint of size %d, and this log has only %d entries", other.size, c.size), c.signed}
	}
	return fmt.Errorf("it has cosigned size %d already, after the %d it is asked for", other.size, c.size)
}

// attempt is one request.
func (s *submitter) attempt(ctx context.Context, old uint64, c *checkpoint) (line string, err error) {
	body, err := s.request(old, c)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	req.Header.Set("User-Agent", "countersign")
	res, err := s.web.Do(req)
	if err != nil {
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err // the log line names the URL
		}
		return "", fmt.Errorf("it cannot be reached: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return "", fmt.Errorf("it broke off its answer: %w", err)
	}
	if len(text) > maxAnswer {
		return "", fmt.Errorf("its answer is longer than %d bytes", maxAnswer)
	}
	if res.StatusCode != http.StatusOK {
		return "", refusal(res.StatusCode, res.Header.Get("Content-Type"), text, c)
	}
	return parseAnswer(c.signed, text, s.key)
}

// request is the body of an add-checkpoint request.
func (s *submitter) request(old uint64, c *checkpoint) ([]byte, error) {
	body := fmt.Appendf(nil, "old %d\n", old)
	if old > 0 && old < c.size {
		proof, err := s.client.config.Prover.ProveConsistency(old, c.size)
		if err != nil {
			return nil, fmt.Errorf("no proof from size %d to %d: %w", old, c.size, err)
		}
		if len(proof) > maxProof {
			return nil, fmt.Errorf("the proof from size %d to %d has %d hashes, more than the %d that may be sent", old, c.size, len(proof), maxProof)
		}
		for _, hash := range proof {
			body = base64.StdEncoding.AppendEncode(body, hash[:])
			body = append(body, '\n')
		}
	}
	body = append(body, '\n')
	return append(body, c.signed...), nil
}

// sizeConflict is the answer 409: the witness is at another size than was
// said, or at the same size with another root.
type sizeConflict struct {
	size  uint64
	known bool // the answer gave the size
}

func (e *sizeConflict) Error() string {
	return fmt.Sprintf("it keeps answering 409, now size %d", e.size)
}

// refusal says what an answer other than 200 means.
func refusal(status int, contentType string, body []byte, c *checkpoint) error {
	switch status {
	case http.StatusConflict:
		size, ok := parseSize(contentType, body)
		return &sizeConflict{size, ok}
	case http.StatusUnprocessableEntity:
		return &contradiction{"it says that this checkpoint does not continue the one it cosigned before (422)", c.signed}
	case http.StatusNotFound:
		return errors.New("it does not know this log (404): have its operator add the log's verifier key, and check the URL")
	case http.StatusForbidden:
		return errors.New("it does not trust this log's key (403): have its operator add the verifier key")
	}
	if status >= 300 && status < 400 {
		return fmt.Errorf("it redirects (%d), which is not followed: put its final URL into the policy", status)
	}
	return fmt.Errorf("it answered %d %s: %.200q", status, http.StatusText(status), body)
}

// parseSize reads the size in the answer 409.
func parseSize(contentType string, body []byte) (uint64, bool) {
	media, _, err := mime.ParseMediaType(contentType)
	digits, ended := strings.CutSuffix(string(body), "\n")
	n, parseErr := strconv.ParseUint(digits, 10, 64)
	if err != nil || media != sizeType || !ended || parseErr != nil || strconv.FormatUint(n, 10) != digits {
		return 0, false
	}
	return n, true
}

// parseAnswer returns the cosignature line of the witness with the given key
// in the answer 200 to signed. Lines of other keys are ignored; without a
// line of this one, or with one that does not verify, it is an error.
func parseAnswer(signed, body []byte, key note.Verifier) (string, error) {
	text, _, err := openNote(signed)
	if err != nil {
		return "", err
	}
	got, signatures, err := openNote([]byte(text + "\n" + string(body)))
	if err != nil || got != text {
		return "", errors.New("its answer is not made of signature lines")
	}
	for _, s := range signatures {
		if s.Name != key.Name() || s.Hash != key.KeyHash() {
			continue
		}
		if !key.Verify([]byte(text), signatureBytes(s)) {
			return "", errors.New("its cosignature does not verify with the policy's key for it")
		}
		return fmt.Sprintf("— %s %s\n", s.Name, s.Base64), nil
	}
	return "", fmt.Errorf("its answer has no signature of %s+%08x, the policy's key for it", key.Name(), key.KeyHash())
}
