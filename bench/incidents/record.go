package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/diagnosis/corpus"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// How long a service is well before its fault, and how long the incident may take
// to open and to be validated.
const (
	well     = 130 * time.Second
	patience = 15 * time.Minute
)

// record brings a fault about and writes what the sidecar recorded of it.
func record(ctx context.Context, binary, out string, f fault, seed uint64) error {
	dir, err := os.MkdirTemp("", "countersign-incident-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	shop, err := openShop(seed)
	if err != nil {
		return err
	}
	defer shop.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rng := rand.New(rand.NewPCG(seed, uint64(len(f.name))))
	s := &stage{
		shop: shop, customers: &customers{timeout: 30 * time.Second, rng: rand.New(rand.NewPCG(seed, 3))},
		sidecar: &sidecar{binary: binary, dir: dir, upstream: "http://" + shop.front.address}, rng: rng, Context: ctx,
	}
	s.rate.Store(uint64(s.between(15_000, 40_000)))
	if f.before != nil {
		f.before(s)
	}
	if err := s.sidecar.start(); err != nil {
		return err
	}
	defer s.sidecar.stop()
	s.target = s.sidecar.url
	var group sync.WaitGroup
	group.Go(func() { s.run(ctx) })
	defer group.Wait()
	defer cancel()
	if f.begin != nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(well):
		}
		if early, err := entriesOf(s.sidecar); err != nil || len(early) > 0 {
			return errors.Join(err, errors.New("an incident opened before the fault: the machine is too busy, so record fewer at once"))
		}
		f.begin(s)
	}
	return collect(s, out, f, seed)
}

// collect waits for the incident, and writes its detection and its validation.
func collect(s *stage, out string, f fault, seed uint64) error {
	written := map[incident.Stage]bool{}
	var changes json.RawMessage // only the detection has them
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		select {
		case <-s.Done():
			return s.Err()
		case <-time.After(time.Second):
		}
		entries, err := entriesOf(s.sidecar)
		if err != nil {
			return err
		}
		ended := false
		for _, e := range entries {
			ended = ended || e.Entry.Stage.Terminal()
			if written[e.Entry.Stage] || e.Entry.Stage != incident.Detected && e.Entry.Stage != incident.Validated || len(e.Entry.Evidence) == 0 {
				continue
			}
			r, err := recordingOf(s.sidecar, f, seed, e.Entry)
			if err != nil {
				return err
			}
			if d := r.Documents[incident.ChangesFile]; d != nil {
				changes = d
			} else if changes != nil {
				r.Documents[incident.ChangesFile] = changes
			}
			if err := corpus.Write(out, r); err != nil {
				return err
			}
			written[e.Entry.Stage] = true
		}
		if written[incident.Validated] || ended {
			return nil
		}
	}
	return errors.New("no incident was opened and validated in time")
}

// entriesOf are those of the first incident.
func entriesOf(s *sidecar) ([]incident.Indexed, error) {
	data, err := s.get("/incidents")
	if err != nil {
		return nil, err
	}
	var list struct{ Incidents []incident.Summary }
	if err := json.Unmarshal(data, &list); err != nil || len(list.Incidents) == 0 {
		return nil, err
	}
	if data, err = s.get("/incidents/" + list.Incidents[len(list.Incidents)-1].ID); err != nil {
		return nil, err
	}
	var one incident.Case
	err = json.Unmarshal(data, &one)
	return one.Entries, err
}

func recordingOf(s *sidecar, f fault, seed uint64, e incident.Entry) (corpus.Recording, error) {
	r := corpus.Recording{
		V: corpus.Version, Name: fmt.Sprintf("%s-%d-%s", f.name, seed, strings.ToLower(string(e.Stage))), Made: "recorded", How: f.how,
		Expected: f.expected, Service: "shop", Documents: map[string]json.RawMessage{}, Blobs: map[string][]byte{},
	}
	for _, x := range e.Evidence {
		data, err := s.get("/ledger/blob/" + x.SHA256)
		if err != nil {
			return r, err
		}
		if strings.HasSuffix(x.Name, ".json") && x.Name != incident.PolicyFile {
			r.Documents[x.Name] = data
		} else if x.Name != incident.PolicyFile {
			r.Blobs[x.Name] = data
		}
	}
	return r, nil
}
