//go:build slow

package e2e

import (
	"context"
	"iter"
	"os"
	"path/filepath"
	"testing"

	"github.com/countersign-dev/countersign/ledger/verify"
)

// some yields every n-th of some cases, and whatever keep says.
func some(cases iter.Seq[tamperCase], n int, keep func(c *tamperCase) bool) iter.Seq[tamperCase] {
	return generated(func(add func(tamperCase)) {
		i := 0
		for c := range cases {
			if i++; i%n == 0 || keep(&c) {
				add(c)
			}
		}
	})
}

// rarely says of a case that it is of an operation of which there are few.
func rarely(c *tamperCase) bool {
	switch c.operation {
	case "delete", "rename", "splice", "restore", "forge", "insert":
		return c.object != objectLeaf && c.object != objectHash && c.object != objectCheckpoint && c.object != objectWitnessed
	}
	return false
}

// contentCases are cases of bundles, where the files are not reached by their
// directory.
func (s *tamperScene) contentCases(n int) iter.Seq[tamperCase] {
	return some(sequence(
		s.main.fileCases(tamperSize),
		s.main.swapCases(tamperSize),
		s.main.leafCases(tamperSize, s.fork, s.foreign),
		s.main.hashCases(tamperSize, s.fork),
		s.main.blobCases(tamperSize),
		s.main.spliceCases(tamperSize, s.otherBundles()),
		s.main.checkpointCases(tamperSize),
		s.main.witnessedCases(tamperSize),
		s.wholeCases(),
	), n, rarely)
}

func (s *tamperScene) tamperArchives(t *testing.T, m *tamperMatrix) {
	files := s.main.bundles[tamperSize]
	archive := newTamperArchive(t, files)
	packed := generated(func(add func(tamperCase)) {
		for c := range s.contentCases(40) {
			c.raw = archive.packFiles(files.with(c.change))
			add(c)
		}
	})
	m.run(t, "archive", 5_500, 30, sequence(archive.containerCases(), archive.memberCases(), packed), s.archiveTrial(archive))
}

// archiveTrial verifies archives.
func (s *tamperScene) archiveTrial(archive *tamperArchive) func(t *testing.T) trial {
	return func(t *testing.T) trial {
		file := filepath.Join(t.TempDir(), "archive")
		try := func(ctx context.Context, raw []byte, o verify.Options) *verify.Report {
			if err := os.WriteFile(file, raw, 0o600); err != nil {
				return verify.Failed(err)
			}
			src, err := verify.OpenArchive(ctx, file)
			if err != nil {
				return verify.Failed(err)
			}
			defer src.Close()
			return verify.Log(ctx, src, o)
		}
		original := try(context.Background(), archive.whole, s.options(s.main, withKey))
		if original.Code != verify.Verified {
			t.Fatal(original.Problem)
		}
		return func(ctx context.Context, c *tamperCase, tell func(tamperMode, outcome, error)) {
			for _, mode := range c.modes() {
				r := try(ctx, c.raw, s.options(s.main, mode))
				at := *c
				if r.Origin == "" { // refused before it was known whose it is
					at.index, at.span = nil, nil
				}
				judged, err := at.judge(mode, r, original)
				tell(mode, judged, err)
			}
		}
	}
}
