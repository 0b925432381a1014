//go:build slow

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/countersign-dev/countersign/ledger/verify"
)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// directoryTrial verifies bundles in a directory. It changes the files of one
// and puts them back after each case.
func (s *tamperScene) directoryTrial(l *tamperLog, size int) func(t *testing.T) trial {
	return func(t *testing.T) trial {
		bundle := l.bundles[size]
		dir := filepath.Join(t.TempDir(), "bundle")
		if err := bundle.apply(dir); err != nil {
			t.Fatal(err)
		}
		original := s.soundBundle(t, l, dir)
		before := takeImage(t, dir)
		return func(ctx context.Context, c *tamperCase, tell func(tamperMode, outcome, error)) {
			err := c.change.apply(dir)
			if err == nil && c.spoil != nil {
				err = c.spoil(dir)
			}
			if err != nil {
				tell("", found, err)
				return
			}
			for _, mode := range c.modes() {
				o := s.options(l, mode)
				if c.ask != nil {
					c.ask(&o)
				}
				judged, err := c.judge(mode, verifyDirectory(ctx, dir, o), original)
				tell(mode, judged, err)
			}
			for path := range c.change { // which may be no file now
				if err := (bundleFiles{path: nil}).apply(dir); err != nil {
					tell("", found, err)
				}
			}
			if err := bundle.revert(c.change).apply(dir); err != nil {
				tell("", found, err)
			}
			if after, err := readImage(dir); err != nil || before.difference(after) != "" {
				tell("", found, fmt.Errorf("the bundle is not as it was before the case: %s, %v", before.difference(after), err))
			}
		}
	}
}

// modes are those in which a case is tried.
func (c *tamperCase) modes() []tamperMode {
	if c.only != "" {
		return []tamperMode{c.only}
	}
	modes := []tamperMode{withKey, withKept}
	if c.object == objectWitnessed {
		modes = modes[:1] // what is kept has no bearing on it
	}
	for _, special := range []tamperMode{withOwnKey, withWitness, withOldest} {
		if _, ok := c.in[special]; ok {
			modes = append(modes, special)
		}
	}
	switch c.object {
	case objectLeaf, objectHash, objectEntries, objectTile, objectBlob, objectArchive:
		// These are not what the key is taken from: now and then is enough.
		if len(modes) == 2 && seeded(c.name).IntN(4) > 0 {
			return modes
		}
	}
	if !slices.Contains(modes, withOwnKey) {
		modes = append(modes, withOwnKey)
	}
	return modes
}

func verifyDirectory(ctx context.Context, dir string, o verify.Options) *verify.Report {
	src, err := verify.NewDir(dir)
	if err != nil {
		return verify.Failed(err)
	}
	defer src.Close()
	return verify.Log(ctx, src, o)
}

// soundBundle makes sure that the bundle verifies in every mode before it is
// altered.
func (s *tamperScene) soundBundle(t *testing.T, l *tamperLog, dir string) *verify.Report {
	t.Helper()
	var report *verify.Report
	for _, mode := range []tamperMode{withKey, withKept, withOwnKey, withWitness, withOldest} {
		if mode == withWitness && l != s.main {
			continue
		}
		report = verifyDirectory(context.Background(), dir, s.options(l, mode))
		if report.Code != verify.Verified {
			t.Fatalf("the log is not sound before anything is altered, %s: %v", mode, report.Problem)
		}
	}
	return report
}

// otherBundles are those that parts are taken from.
func (s *tamperScene) otherBundles() map[string]bundleFiles {
	return map[string]bundleFiles{
		"a fork":                               s.fork.bundles[tamperSize],
		"the same entries under other keys":    s.usurper.bundles[tamperSize],
		"another log":                          s.foreign.bundles[tamperSize],
		"itself, of 450 entries":               s.main.bundles[olderSize],
		"itself, before the change of its key": s.main.bundles[340],
		"a fork of 450 entries":                s.fork.bundles[olderSize],
	}
}

func (s *tamperScene) tamperBundles(t *testing.T, m *tamperMatrix) {
	m.run(t, "bundle", 53_000, 40, sequence(
		s.main.fileCases(tamperSize),
		s.main.swapCases(tamperSize),
		s.main.formCases(tamperSize),
		s.main.leafCases(tamperSize, s.fork, s.foreign),
		s.main.shiftCases(tamperSize),
		s.main.forgeryCases(t, tamperSize, s.usurper.keys[1]),
		s.main.hashCases(tamperSize, s.fork),
		s.main.blobCases(tamperSize),
		s.main.earlierCases(tamperSize, 340),
		s.main.earlierCases(tamperSize, olderSize),
		s.main.spliceCases(tamperSize, s.otherBundles()),
		s.main.checkpointCases(tamperSize),
		s.main.witnessedCases(tamperSize),
		s.signatureCases(t),
		s.keptCases(t),
		s.keyCases(),
		s.wholeCases(),
	), s.directoryTrial(s.main, tamperSize))
	m.run(t, "long bundle", 157, 6, s.longCases(), s.directoryTrial(s.long, longSize))
}
