package corpus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
)

// Recording is one incident, and what was behind it.
type Recording struct {
	V    int    `json:"v"`
	Name string `json:"name"`
	// Made says how it came to be: "recorded" with real servers and traffic, or
	// "generated" by a model of a service.
	Made string `json:"made"`
	// How tells what was done, for people.
	How string `json:"how"`
	// Expected is the cause; the further ones are as right. Unknown means that
	// whoever names no cause is right.
	Expected []diagnosis.Cause `json:"expected"`
	Service  string            `json:"service"`
	// Documents are the evidence that is JSON, Blobs that which is not, by name.
	Documents map[string]json.RawMessage `json:"documents"`
	Blobs     map[string][]byte          `json:"blobs,omitempty"`
}

// Version is the one of [Recording] that is read and written.
const Version = 1

// maxRecording bounds a file, in bytes.
const maxRecording = 4 << 20

// Evidence is what a diagnoser is shown.
func (r *Recording) Evidence() (diagnosis.Evidence, error) {
	m, err := diagnosis.Read(func(name string) []byte {
		if d, ok := r.Documents[name]; ok {
			return d
		}
		return r.Blobs[name]
	})
	if err != nil {
		return diagnosis.Evidence{}, fmt.Errorf("recording %s: %w", r.Name, err)
	}
	m.Service = r.Service
	return diagnosis.Gather(m), nil
}

// Decode reads one recording.
func Decode(data []byte) (Recording, error) {
	var r Recording
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, fmt.Errorf("this is no recording: %w", err)
	}
	switch {
	case r.V != Version:
		return r, fmt.Errorf("the recording has version %d, and %d is read", r.V, Version)
	case len(r.Expected) == 0:
		return r, errors.New("the recording names no expected cause")
	}
	for _, c := range r.Expected {
		if !c.Valid() {
			return r, fmt.Errorf("the recording expects %q, which is no cause", c)
		}
	}
	return r, nil
}

// Read reads every file *.json of a directory, in the order of their names.
func Read(dir string) ([]Recording, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no recordings: they are files that end in .json", dir)
	}
	slices.Sort(files)
	var all []Recording
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return nil, err
		}
		if info.Size() > maxRecording {
			return nil, fmt.Errorf("%s has %d bytes, and %d are the most", file, info.Size(), maxRecording)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		r, err := Decode(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// Write writes a recording into a directory, under its name.
func Write(dir string, r Recording) error {
	name := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			return c
		}
		return '-'
	}, strings.ToLower(r.Name))
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("recording %s cannot be encoded: %w", r.Name, err)
	}
	return os.WriteFile(filepath.Join(dir, name+".json"), append(data, '\n'), 0o644)
}
