package config

import (
	"fmt"
	"os"
	"strings"

	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/ledger/witness"
)

// LedgerKeyVariable holds the signing key itself. It has no flag: the command
// line of a process can be read by others.
const LedgerKeyVariable = envPrefix + "LEDGER_KEY"

// LedgerOptions returns the ledger's part. It reads the key file and the
// witness policy when they are named; getenv looks up LedgerKeyVariable. The
// logger and the clock are the caller's to add.
func (c Config) LedgerOptions(getenv func(string) string) (ledger.Options, error) {
	o := ledger.Options{
		Dir: c.Ledger.Data, AnchorDir: c.Ledger.Anchor,
		Origin: c.Ledger.Origin, MinFree: uint64(c.Ledger.MinFree),
		Signer: strings.TrimSpace(getenv(LedgerKeyVariable)),
	}
	if c.Ledger.KeyFile != "" {
		key, err := os.ReadFile(c.Ledger.KeyFile)
		if err != nil {
			return o, fmt.Errorf("ledger.key_file cannot be read: %w", fileError(err))
		}
		if o.Signer = strings.TrimSpace(string(key)); o.Signer == "" {
			return o, fmt.Errorf("ledger.key_file %s is empty: it must hold the signing key", c.Ledger.KeyFile)
		}
	}
	if o.Origin == "" && o.Signer == "" { // a key that is given has the name in it
		o.Origin = originOf(c.ServiceName())
	}
	if c.Ledger.WitnessPolicy != "" {
		text, err := os.ReadFile(c.Ledger.WitnessPolicy)
		if err != nil {
			return o, fmt.Errorf("ledger.witness_policy cannot be read: %w", fileError(err))
		}
		if o.Witnesses, err = witness.ParsePolicy(text); err != nil {
			return o, fmt.Errorf("ledger.witness_policy %s: %w", c.Ledger.WitnessPolicy, err)
		}
	}
	return o, nil
}

// originOf makes a log's name from a service's.
func originOf(service string) string {
	return "countersign/" + strings.Map(func(r rune) rune {
		if notInOrigin(r) {
			return '-'
		}
		return r
	}, service)
}
