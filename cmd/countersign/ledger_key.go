package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/mod/sumdb/note"

	"github.com/countersign-dev/countersign/config"
	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/ledger/verify"
)

// keyNames are the files in a data directory that the ledger's key can be in.
// The second is there only while it is rotated.
var keyNames = []string{"ledger.key", "ledger.key.next"}

func keyFileFlag() cli.Flag {
	return &cli.StringFlag{
		Name: "ledger-key-file", Usage: "`FILE` with the signing key, when it is not in the data directory; $" + config.LedgerKeyVariable + " may hold the key itself",
		EnvVars: []string{"COUNTERSIGN_LEDGER_KEY_FILE"},
	}
}

func ledgerKeyCommand() *cli.Command {
	return &cli.Command{
		Name:        "key",
		Usage:       "print the ledger's verifier key, which auditors need; " + codesHelp,
		Flags:       []cli.Flag{adminFlag(), secretFileFlag(), storeFlag(), dataFlag(), keyFileFlag(), vkeyFlag(), jsonFlag(), quietFlag()},
		Subcommands: []*cli.Command{ledgerKeyRotateCommand()},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return noCommand(c)
			}
			ctx, stop := interruptible(c)
			defer stop()
			vkey, err := findVerifierKey(ctx, c)
			if err != nil {
				return err
			}
			if c.Bool("json") {
				fields := strings.SplitN(vkey, "+", 3)
				return unprinted(printJSON(c, map[string]string{"vkey": vkey, "origin": fields[0], "key_id": fields[1]}))
			}
			_, err = fmt.Fprintln(c.App.Writer, printable(vkey))
			return unprinted(err)
		},
	}
}

// findVerifierKey reads the key of the data directory, or the one that signs
// the log.
func findVerifierKey(ctx context.Context, c *cli.Context) (string, error) {
	where, err := chosen(c, storeFlagName, dataFlagName, adminFlagName)
	if err != nil {
		return "", err
	}
	if where == dataFlagName {
		return dataVerifierKey(c, c.String(where))
	}
	src, closer, err := openLog(ctx, c, "")
	if err != nil {
		return "", err
	}
	defer func() { _ = closer.Close() }()
	v, err := openView(ctx, c, src)
	if err != nil {
		return "", err
	}
	return v.Key, nil
}

// dataVerifierKey is the public half of the key in a data directory, or of one
// kept elsewhere, that has signed the last checkpoint there.
func dataVerifierKey(c *cli.Context, data string) (string, error) {
	signed, head, err := readAnchorOf(data)
	if err != nil {
		return "", err
	}
	secrets, err := secretsOf(c, data)
	if err != nil {
		return "", err
	}
	for _, secret := range secrets {
		vkey, verifier, err := publicHalf(secret)
		if err != nil {
			return "", err
		}
		if signs(verifier, signed, head) {
			return vkey, nil
		}
	}
	if len(secrets) == 0 {
		return "", usageError{fmt.Sprintf("the key of %s is not in %s: name its file with --ledger-key-file, or ask the running sidecar with --admin", head.Origin, data)}
	}
	return "", exitError{int(verify.Tampered), fmt.Errorf("the key found has not signed the last checkpoint in %s: is it another log's, or of before a rotation?", data)}
}

// secretsOf reads the signing keys that may be the ledger's.
func secretsOf(c *cli.Context, data string) ([]string, error) {
	secret, err := givenSigner(c)
	if err != nil || secret != "" {
		return []string{secret}, err
	}
	var secrets []string
	for _, name := range keyNames {
		text, err := readSmall(filepath.Join(data, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, strings.TrimSpace(string(text)))
	}
	return secrets, nil
}

// givenSigner is the signing key that a file or the environment gives, empty
// when none does.
func givenSigner(c *cli.Context) (string, error) {
	file := c.String("ledger-key-file")
	if file == "" {
		return strings.TrimSpace(os.Getenv(config.LedgerKeyVariable)), nil
	}
	return readSigner("--ledger-key-file", file)
}

func readSigner(flag, file string) (string, error) {
	text, err := readSmall(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", fmt.Errorf("%s: %s is empty: it must hold the signing key", flag, file)
	}
	return secret, nil
}

// publicHalf is the verifier key of a signing key. No error shows the key.
func publicHalf(secret string) (string, note.Verifier, error) {
	bad := errors.New("what should be the ledger's signing key is none: it has the form PRIVATE+KEY+<name>+<id>+<base64>")
	fields := strings.SplitN(secret, "+", 5)
	if _, err := note.NewSigner(secret); err != nil || len(fields) != 5 {
		return "", nil, bad
	}
	material, err := base64.StdEncoding.DecodeString(fields[4])
	if err != nil || len(material) != 1+ed25519.SeedSize {
		return "", nil, bad
	}
	public := ed25519.NewKeyFromSeed(material[1:]).Public().(ed25519.PublicKey)
	vkey, err := note.NewEd25519VerifierKey(fields[2], public)
	if err != nil {
		return "", nil, bad
	}
	verifier, err := note.NewVerifier(vkey)
	return vkey, verifier, err
}

func ledgerKeyRotateCommand() *cli.Command {
	return &cli.Command{
		Name:  "rotate",
		Usage: "give the ledger of a sidecar that does not run another signing key, by an entry that both keys sign",
		Flags: []cli.Flag{
			dataFlag(),
			&cli.StringFlag{Name: anchorFlagName, Usage: "`DIR` of the anchor, when it is not in the data directory", EnvVars: []string{locations[anchorFlagName]}},
			keyFileFlag(),
			&cli.StringFlag{
				Name: "new-key-file", Usage: "`FILE` with the new signing key, which is then kept there alone; made when absent. Without it the new key is made in the data directory",
				EnvVars: []string{"COUNTERSIGN_LEDGER_NEW_KEY_FILE"},
			},
		},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			if c.String(dataFlagName) == "" {
				return usageError{"say whose key to rotate: --data DIR"}
			}
			ctx, stop := interruptible(c)
			defer stop()
			return rotateKey(ctx, c)
		},
	}
}

func rotateKey(ctx context.Context, c *cli.Context) error {
	data := c.String(dataFlagName)
	signer, err := givenSigner(c)
	if err != nil {
		return err
	}
	next, err := newSigner(c, data)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(c.App.ErrWriter, &slog.HandlerOptions{Level: slog.LevelWarn}))
	vkey, err := ledger.RotateKey(ctx, ledger.Options{Dir: data, AnchorDir: c.String(anchorFlagName), Signer: signer, Log: log}, next)
	if errors.Is(err, ledger.ErrLocked) {
		return usageError{fmt.Sprintf("the ledger in %s is in use: stop the sidecar first, a key is rotated while it does not run", data)}
	}
	if err != nil {
		return damage(err)
	}
	if _, err := fmt.Fprintln(c.App.Writer, vkey); err != nil {
		return err
	}
	_, err = fmt.Fprint(c.App.ErrWriter, "The ledger's key is changed. Whoever verifies the ledger as a whole with the old verifier key is led to this one;\n"+
		"to verify single proofs, and for witnesses, this one has to be given to them.\n")
	return err
}

// newSigner is the new key that a file gives, empty when the ledger is to make
// one itself.
func newSigner(c *cli.Context, data string) (string, error) {
	file := c.String("new-key-file")
	if file == "" {
		return "", nil
	}
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return readSigner("--new-key-file", file)
	}
	_, head, err := readAnchorOf(data)
	if err != nil {
		return "", err
	}
	secret, _, err := note.GenerateKey(rand.Reader, head.Origin)
	if err != nil {
		return "", fmt.Errorf("cannot make a key: %w", err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("cannot write the new key: %w", err)
	}
	_, err = f.WriteString(secret + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", fmt.Errorf("cannot write the new key: %w", err)
	}
	return secret, nil
}
