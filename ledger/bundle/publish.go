package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/countersign-dev/countersign/ledger/verify"
)

// publish puts the verified files in place, the checkpoint last, and removes
// what the bundle no longer needs.
func (s *staging) publish() (Result, error) {
	r := Result{Origin: s.head.Origin, Size: s.head.Size, Root: s.head.Root}
	p := &placing{from: s.path(stagedName), to: s.target.path, changed: map[string]bool{}, result: &r}
	err := p.file(verify.FormatPath, []byte(verify.Format))
	if err == nil {
		err = filepath.WalkDir(p.from, p.move)
	}
	if err == nil {
		err = p.sync()
	}
	if err == nil && s.witnessed != nil {
		err = p.file(verify.WitnessedPath, s.witnessed)
	}
	if err == nil {
		err = p.file(verify.CheckpointPath, s.checkpoint)
	}
	if err == nil {
		err = p.sync()
	}
	if err != nil {
		return Result{}, fmt.Errorf("cannot put the verified files in place: %w; the export can be repeated", errors.Join(err, s.close()))
	}
	s.target.made = false
	if err := s.removeStale(); err != nil {
		return Result{}, fmt.Errorf("the bundle is complete, but partial tiles of before cannot be removed: %w", errors.Join(err, s.discard()))
	}
	if err := s.discard(); err != nil {
		return Result{}, fmt.Errorf("the bundle is complete, but %s cannot be removed: %w", s.dir, err)
	}
	return r, nil
}

// placing is the moving of files into a bundle.
type placing struct {
	from, to string
	changed  map[string]bool // directories with new names in them
	result   *Result
}

// file writes a file of the bundle, unless it is there as it should be.
func (p *placing) file(path string, data []byte) error {
	name := filepath.Join(p.to, path)
	if present, err := os.ReadFile(name); err == nil && string(present) == string(data) {
		return nil
	}
	if err := writeFile(p.from, name, data); err != nil {
		return err
	}
	p.placed(name, len(data))
	return nil
}

// move puts a file on its way in place. It is a fs.WalkDirFunc.
func (p *placing) move(name string, d fs.DirEntry, err error) error {
	if err != nil || d.IsDir() {
		return err
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	path, err := filepath.Rel(p.from, name)
	if err != nil {
		return err
	}
	final := filepath.Join(p.to, path)
	if err := moveFile(name, final); err != nil {
		return err
	}
	p.placed(final, int(info.Size()))
	return nil
}

func (p *placing) placed(name string, size int) {
	p.result.Files++
	p.result.Bytes += uint64(size)
	for dir := filepath.Dir(name); len(dir) >= len(p.to) && !p.changed[dir]; dir = filepath.Dir(dir) {
		p.changed[dir] = true
	}
}

// sync makes the names in the directories that changed durable.
func (p *placing) sync() error {
	for dir := range p.changed {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	clear(p.changed)
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// removeStale removes the partial tiles and entry bundles of smaller sizes.
func (s *staging) removeStale() error {
	present := map[string]bool{}
	for _, e := range edge(s.head.Size) {
		present[e.partial] = true
	}
	var stale []string
	for path, err := range s.bundle.List(context.Background()) {
		if err != nil {
			return err
		}
		if strings.HasPrefix(path, "tile/") && strings.Contains(path, ".p/") && !present[path] {
			stale = append(stale, path)
		}
	}
	for _, path := range stale {
		name := filepath.Join(s.target.path, filepath.FromSlash(path))
		if err := os.Remove(name); err != nil {
			return err
		}
		_ = os.Remove(filepath.Dir(name)) // which fails when there are others in it
	}
	return nil
}

// An edgeTile is a tile or an entry bundle that a log has not filled.
type edgeTile struct{ partial, full string }

// edge names the tiles and entry bundles at the right edge of a log.
func edge(size uint64) []edgeTile {
	var tiles []edgeTile
	for level, hashes := 0, size; hashes > 0; level, hashes = level+1, hashes/256 {
		n, width := hashes/256, int(hashes%256)
		if width == 0 {
			continue
		}
		tiles = append(tiles, edgeTile{verify.TilePath(level, n, width), verify.TilePath(level, n, 256)})
		if level == 0 {
			tiles = append(tiles, edgeTile{verify.EntriesPath(n, width), verify.EntriesPath(n, 256)})
		}
	}
	return tiles
}
