package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/demo"
)

// Files of the demo in its data directory: its configuration, which can be read
// as an example, and the key by which messages and the action are signed.
const (
	demoConfigFile = "demo.yaml"
	demoSecretFile = "demo.secret"
)

// demoConfig has everything that a person's decision needs. Private addresses
// are allowed, as all of it is on this machine.
const demoConfig = `# Written by countersign demo.
approval:
  listen: %[1]q
  public_url: %[2]q
actions:
  - name: reset
    title: Reset the sample API
    url: %[3]q
    secret_file: %[5]q
    allow_private: true
    idempotent: true
    risk: low
    gates: ["*"]
    cool_down: 2m
    watch: 3m
channels:
  - id: inbox
    kind: webhook
    allow_private: true
    settings:
      url: %[4]q
      secret_file: %[5]q
contacts:
  - id: you
    name: You
    channels: [inbox]
`

// demoStage is what a demo has around the sidecar. Close it.
type demoStage struct {
	shop   *demo.API
	knobs  *demo.Control
	inbox  *demo.Inbox
	data   string // the data directory
	config string // the configuration in it
	ends   []func()
}

func openDemo(c *cli.Context) (d *demoStage, err error) {
	d = &demoStage{}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if d.shop, err = demo.Open(c.String("api"), c.Uint64("seed")); err != nil {
		return d, fmt.Errorf("%w; choose another port with --api", err)
	}
	d.ends = append(d.ends, d.shop.Close)
	data, forget, err := demoData(c.String("data"))
	if err != nil {
		return d, err
	}
	d.data, d.ends = data, append(d.ends, forget)
	secretFile, secret, err := demoSecret(data)
	if err != nil {
		return d, err
	}
	if d.knobs, err = demo.OpenControl(c.String("knobs"), d.shop, secret); err != nil {
		return d, fmt.Errorf("%w; choose another port with --knobs", err)
	}
	d.ends = append(d.ends, d.knobs.Close)
	if d.inbox, err = demo.OpenInbox(c.String("inbox"), secret); err != nil {
		return d, fmt.Errorf("%w; choose another port with --inbox", err)
	}
	d.ends = append(d.ends, d.inbox.Close)
	d.config, err = writeDemoConfig(data, secretFile, c.String("approve"), d.knobs, d.inbox)
	return d, err
}

func (d *demoStage) close() {
	for _, end := range slices.Backward(d.ends) {
		end()
	}
}

// demoData is the directory asked for, or a new one and how to remove it.
func demoData(asked string) (dir string, forget func(), err error) {
	if asked != "" {
		return asked, func() {}, nil
	}
	if dir, err = os.MkdirTemp("", "countersign-demo-"); err != nil {
		return "", nil, fmt.Errorf("cannot make a directory for the demo's ledger: %w; name one with --data", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}

// demoSecret is the key in the data directory, made when there is none.
func demoSecret(data string) (file, secret string, err error) {
	file = filepath.Join(data, demoSecretFile)
	text, err := os.ReadFile(file)
	if err == nil {
		return file, strings.TrimSpace(string(text)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", "", fmt.Errorf("the demo's key cannot be read: %w", err)
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	secret = "whsec_" + base64.StdEncoding.EncodeToString(key)
	if err := os.MkdirAll(data, 0o700); err != nil {
		return "", "", fmt.Errorf("the demo's directory cannot be made: %w; name another with --data", err)
	}
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		return "", "", fmt.Errorf("the demo's key cannot be kept: %w; name another directory with --data", err)
	}
	return file, secret, nil
}

// writeDemoConfig writes the configuration of the loop, and returns its file.
func writeDemoConfig(data, secretFile, approve string, knobs *demo.Control, inbox *demo.Inbox) (string, error) {
	file := filepath.Join(data, demoConfigFile)
	text := fmt.Sprintf(demoConfig, approve, "http://"+approve, "http://"+knobs.Addr()+"/demo/reset", inbox.URL(), secretFile)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("the demo's configuration cannot be written: %w; name another directory with --data", err)
	}
	return file, nil
}

// demoOrder is how long the demo's order to go live, or not to, may take.
const demoOrder = 30 * time.Second

// setDemoShadow has the demo be live or in shadow mode, whatever it was when
// the directory was used before.
func setDemoShadow(ctx context.Context, s *sidecar, live bool) error {
	ctx, cancel := context.WithTimeout(ctx, demoOrder)
	defer cancel()
	if !s.awaitLedger(ctx) {
		return errors.New("the demo's ledger could not be opened in time")
	}
	_, err := s.docket.SetShadow(ctx, s.own.ID, !live, "demo", "countersign demo was started so")
	return err
}
