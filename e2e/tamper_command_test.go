//go:build slow

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/ledger/verify"
)

// A commandCase is a command line of `ledger verify`.
type commandCase struct {
	name   string
	args   []string
	code   verify.Code
	or     verify.Code // also right, if not 0
	says   string      // is in what it prints
	nobody bool        // run by a user who may read nothing
}

// TestTamperCommand verifies what can be given to the command instead of a
// ledger, and ledgers in all forms: the exit code is right, and what is printed
// begins with the verdict or is one line that says what is wrong.
func TestTamperCommand(t *testing.T) {
	s := newTamperScene(t)
	p := s.newCommandPlaces(t)
	for _, c := range append(p.wrongThings(t), p.ledgers(t)...) {
		t.Run(c.name, func(t *testing.T) { c.run(t) })
	}
}

func (c commandCase) run(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), tamperPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append([]string{"ledger", "verify"}, c.args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if c.nobody {
		asNobody(t, cmd)
	}
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Fatalf("it takes longer than %v", tamperPatience)
	}
	code := verify.Code(cmd.ProcessState.ExitCode())
	printed := fmt.Sprintf("exit code %d, printed:\n%s%s", int(code), stdout.String(), stderr.String())
	if code != c.code && (c.or == 0 || code != c.or) {
		t.Errorf("right is %d (%s): %s", int(c.code), c.code, printed)
	}
	if !strings.Contains(stdout.String()+stderr.String(), c.says) {
		t.Errorf("it does not say %q: %s", c.says, printed)
	}
	if lines := strings.Count(stderr.String(), "\n"); lines > 1 || strings.Contains(stderr.String(), "goroutine") {
		t.Errorf("it does not say in one line what is wrong: %s", printed)
	}
	word, _, _ := strings.Cut(stdout.String(), " ")
	word, _, _ = strings.Cut(word, "\n")
	if explained := strings.HasPrefix(stderr.String(), "countersign: ") && stdout.Len() == 0; word != code.String() && !(explained && code == verify.Usage) {
		t.Errorf("the first word is not the verdict: %s", printed)
	}
}

// asNobody runs a command as a user who owns nothing.
func asNobody(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if os.Getuid() != 0 {
		return // whoever this is may not read what nobody may
	}
	if err := os.Chmod(filepath.Dir(binary), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}

// commandPlaces are files and servers for command lines.
type commandPlaces struct {
	scene   *tamperScene
	dir     string
	server  *tamperServer
	page    string // URL of a web page
	nowhere string // URL at which nobody listens
}

func (s *tamperScene) newCommandPlaces(t *testing.T) *commandPlaces {
	t.Helper()
	p := &commandPlaces{scene: s, dir: t.TempDir(), server: newTamperServer(t, s.main.bundles[tamperSize])}
	for dir := p.dir; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintln(w, "<!doctype html><title>A page for everything</title>")
	}))
	t.Cleanup(page.Close)
	p.page = page.URL
	gone := httptest.NewServer(nil)
	gone.Close()
	p.nowhere = gone.URL
	return p
}

// bundle writes a bundle into a directory of a name.
func (p *commandPlaces) bundle(t *testing.T, name string, files bundleFiles) string {
	t.Helper()
	dir := filepath.Join(p.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := files.apply(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// file writes a file of a name.
func (p *commandPlaces) file(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// data writes a data directory.
func (p *commandPlaces) data(t *testing.T, name string, image *dirImage, spoil func(data string) error) string {
	t.Helper()
	dir := filepath.Join(p.dir, name)
	err := image.write(dir)
	if err == nil && spoil != nil {
		err = spoil(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// wrongThings are no ledgers.
func (p *commandPlaces) wrongThings(t *testing.T) []commandCase {
	main := p.scene.main
	bundle := main.bundles[tamperSize]
	pipe := filepath.Join(p.dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o644); err != nil {
		t.Fatal(err)
	}
	unreadable := p.file(t, "unreadable", []byte("x"))
	closedDir := p.bundle(t, "closed", bundle)
	locked := p.bundle(t, "locked", bundle)
	for path, mode := range map[string]os.FileMode{unreadable: 0, closedDir: 0} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	openTree(t, locked)
	if err := os.Chmod(filepath.Join(locked, "tile", "entries", "001"), 0); err != nil {
		t.Fatal(err)
	}
	running, stop := p.running(t)
	t.Cleanup(stop)
	foreign, foreignKey := foreignLog(t)
	foreignServer := newTamperServer(t, foreign)
	foreignURL, _ := foreignServer.serve(&tamperCase{})
	text := p.file(t, "notes.txt", []byte("these are notes\n"))
	later := bundle.with(bundleFiles{verify.FormatPath: []byte("countersign-ledger/2\n")})
	laterLog := p.laterLog(t)
	laterRow := p.data(t, "later-store", main.closed[tamperSize], editRows(func(e *rowEditor) { e.set(formatRow, []byte("countersign-ledger/2")) }))
	return []commandCase{
		{name: "nothing", code: verify.Usage},
		{name: "what is not there", args: []string{filepath.Join(p.dir, "nothing")}, code: verify.Usage, says: "no such file"},
		{name: "an empty directory", args: []string{p.bundle(t, "empty", nil)}, code: verify.Usage, says: "not a ledger's bundle"},
		{name: "a directory of other files", args: []string{p.bundle(t, "others", bundleFiles{"README": []byte("x"), "src/main.c": []byte("y")})}, code: verify.Usage, says: "not a ledger's bundle"},
		{name: "a text", args: []string{text}, code: verify.Usage, says: "not a ledger's archive"},
		{name: "an empty file", args: []string{p.file(t, "void", nil)}, code: verify.Usage, says: "not a ledger's archive"},
		{name: "a file of zeros", args: []string{p.file(t, "zeros", make([]byte, 3<<20))}, code: verify.Usage, says: "not a ledger's archive"},
		{name: "a device", args: []string{"/dev/null"}, code: verify.Usage},
		{name: "a device without end", args: []string{"/dev/zero"}, code: verify.Usage},
		{name: "a pipe", args: []string{pipe}, code: verify.Usage},
		{name: "a checkpoint", args: []string{p.file(t, "only.checkpoint", main.checkpoints[tamperSize])}, code: verify.Usage, says: "--since"},
		{name: "an unreadable file", args: []string{unreadable}, code: verify.Usage, says: "permission denied", nobody: true},
		{name: "an unreadable directory", args: []string{closedDir}, code: verify.Usage, says: "permission denied", nobody: true},
		{name: "a bundle with an unreadable file", args: []string{locked}, code: verify.Incomplete, says: "tile/entries/001", nobody: true},
		{name: "a web page", args: []string{p.page + "/ledger"}, code: verify.Usage, says: "web page"},
		{name: "a web server's root", args: []string{p.page}, code: verify.Usage, says: "/ledger"},
		{name: "no server", args: []string{p.nowhere + "/ledger"}, code: verify.Incomplete, or: verify.Usage, says: "refused"},
		{name: "a host without a name", args: []string{"http:///ledger"}, code: verify.Usage},
		{name: "another scheme", args: []string{"ftp://127.0.0.1/ledger"}, code: verify.Usage, says: "http"},
		{name: "a URL with a question", args: []string{p.page + "/ledger?x=1"}, code: verify.Usage},
		{name: "a path of a server that has none", args: []string{p.server.URL + "/nothing/ledger"}, code: verify.Incomplete, says: "404"},
		{name: "another's log, served", args: []string{foreignURL, "--vkey", foreignKey}, code: verify.Invalid, says: "not a Countersign log"},
		{name: "another's log, served, without its key", args: []string{foreignURL}, code: verify.Invalid, or: verify.Tampered},
		{name: "another's log, in a directory", args: []string{p.bundle(t, "foreign", foreign), "--vkey", foreignKey}, code: verify.Invalid, or: verify.Incomplete},
		{name: "another's log, with a marker", args: []string{p.bundle(t, "marked", foreign.with(bundleFiles{verify.FormatPath: []byte(verify.Format)})), "--vkey", foreignKey}, code: verify.Invalid, says: "not a Countersign log"},
		{name: "a newer format", args: []string{p.bundle(t, "later", later)}, code: verify.Usage, says: "countersign-ledger/2"},
		{name: "a newer format, in an archive", args: []string{p.file(t, "later.tar.zst", (&tamperArchive{t: t}).packFiles(later))}, code: verify.Usage, says: "countersign-ledger/2"},
		{name: "a newer format, in entry 0", args: []string{p.bundle(t, "later-log", laterLog)}, code: verify.Usage, says: "countersign-ledger/2"},
		{name: "a newer format, in a store", args: []string{"--store", laterRow}, code: verify.Usage, says: "countersign-ledger/2"},
		{name: "a data directory as a bundle", args: []string{p.data(t, "data", main.closed[tamperSize], nil)}, code: verify.Usage, says: "--store"},
		{name: "a bundle as a store", args: []string{"--store", p.bundle(t, "bundle-0", bundle)}, code: verify.Usage, says: "without --store"},
		{name: "the store itself as a store", args: []string{"--store", filepath.Join(p.data(t, "data-0", main.closed[tamperSize], nil), "store")}, code: verify.Usage, says: "data directory"},
		{name: "a store that is not there", args: []string{"--store", filepath.Join(p.dir, "nothing")}, code: verify.Usage},
		{name: "a file as a store", args: []string{"--store", text}, code: verify.Usage},
		{name: "an empty directory as a store", args: []string{"--store", p.bundle(t, "empty-0", nil)}, code: verify.Usage},
		{name: "a store in use", args: []string{"--store", running}, code: verify.Usage, says: "in use"},
		{name: "a store and a bundle", args: []string{"--store", running, closedDir}, code: verify.Usage},
		{name: "two bundles", args: []string{text, text}, code: verify.Usage},
		{name: "an unknown flag", args: []string{"--sinse", text, text}, code: verify.Usage, says: "--since"},
	}
}

// openTree lets everybody read a directory.
func openTree(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Chmod(path, 0o755)
		}
		return os.Chmod(path, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// running is the data directory of a log that is open.
func (p *commandPlaces) running(t *testing.T) (dir string, stop func()) {
	t.Helper()
	dir = p.data(t, "running", p.scene.main.closed[tamperSize], nil)
	o := p.scene.main.options()
	o.Dir = dir
	log, err := ledger.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return dir, func() { _ = log.Close() }
}

// laterLog is a log whose entry 0 is of a later format, and signed.
func (p *commandPlaces) laterLog(t *testing.T) bundleFiles {
	t.Helper()
	main := p.scene.main
	leaves := append([][]byte{}, main.leaves...)
	leaves[0] = bytes.Replace(leaves[0], []byte("countersign-ledger/1"), []byte("countersign-ledger/2"), 1)
	tiles, root := treeOf(leaves)
	checkpoint := signNote(t, checkpointText(tamperOrigin, tamperSize, root), main.keys[1])
	return main.bundles[tamperSize].with(entryBundles(leaves, tamperSize)).with(tiles).
		with(bundleFiles{verify.CheckpointPath: checkpoint, verify.WitnessedPath: nil})
}

// foreignLog is a log of the same layout that another program might keep, made
// with x/mod alone.
func foreignLog(t *testing.T) (files bundleFiles, vkey string) {
	t.Helper()
	key := newTamperKey(t, "go.example/sumdb", 9)
	var hashes []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) (found []tlog.Hash, err error) {
		for _, i := range indexes {
			found = append(found, hashes[i])
		}
		return found, nil
	})
	var leaves [][]byte
	for i := range 300 {
		leaves = append(leaves, fmt.Appendf(nil, "example.org/module v1.0.%d h1:…\n", i))
		stored, err := tlog.StoredHashes(int64(i), leaves[i], reader)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, stored...)
	}
	root, err := tlog.TreeHash(int64(len(leaves)), reader)
	if err != nil {
		t.Fatal(err)
	}
	files = entryBundles(leaves, len(leaves))
	for _, tile := range tlog.NewTiles(8, 0, int64(len(leaves))) {
		if files[verify.TilePath(tile.L, uint64(tile.N), tile.W)], err = tlog.ReadTileData(tile, reader); err != nil {
			t.Fatal(err)
		}
	}
	signed, err := note.Sign(&note.Note{Text: checkpointText("go.example/sumdb", len(leaves), root)}, key)
	if err != nil {
		t.Fatal(err)
	}
	files[verify.CheckpointPath] = signed
	return files, key.vkey
}

// ledgers are sound and altered ledgers of all forms.
func (p *commandPlaces) ledgers(t *testing.T) []commandCase {
	s, main := p.scene, p.scene.main
	bundle := main.bundles[tamperSize]
	archive := newTamperArchive(t, bundle)
	url, _ := p.server.serve(&tamperCase{})
	key := []string{"--vkey", main.keys[0].vkey}
	kept := p.file(t, "kept.checkpoint", main.checkpoints[550])
	vkey := p.file(t, "log.vkey", []byte(main.keys[0].vkey+"\n"))
	policy := p.file(t, "witnesses", fmt.Appendf(nil, "witness w %s\nquorum w\n", s.witness.VerifierKey()))
	dir := p.bundle(t, "sound", bundle)
	with := func(args ...string) []string { return append(args, key...) }
	altered := bundle.with(main.bundleOf(tamperSize, 123, func(leaves [][]byte, at int) [][]byte {
		leaves[at] = flippedFirst(leaves[at])
		return leaves
	}))
	alteredURL, _ := p.server.serve(&tamperCase{change: altered})
	proof := main.proofs[tamperSize-1]
	store := p.data(t, "store", main.closed[tamperSize], nil)
	row := editRows(func(e *rowEditor) { e.set(leafRow(123), append(e.get(leafRow(123)), ' ')) })
	anchorless := p.data(t, "anchorless", main.closed[tamperSize], func(data string) error { return os.RemoveAll(filepath.Join(data, "anchor")) })
	return []commandCase{
		{name: "a bundle", args: with(dir), says: "UNANCHORED"},
		{name: "a bundle, its key in a file", args: []string{dir, "--vkey", "@" + vkey}},
		{name: "a bundle, its own key", args: []string{dir}, says: "the log's own"},
		{name: "a bundle and a kept checkpoint", args: with(dir, "--since", kept), says: "ANCHORED"},
		{name: "a witnessed bundle", args: with(dir, "--policy", policy, "--require-witness"), says: "WITNESSED"},
		{name: "witnesses that are not named", args: with(dir, "--require-witness"), code: verify.Usage},
		{name: "a bundle that no witness has seen", args: with(p.bundle(t, "unwitnessed", bundle.with(bundleFiles{verify.WitnessedPath: nil})), "--policy", policy, "--require-witness"), code: verify.AnchorAbsent},
		{name: "an archive", args: with(p.file(t, "whole.tar.zst", archive.whole))},
		{name: "a served log", args: with(url)},
		{name: "a store", args: with("--store", store)},
		{name: "a proof", args: []string{p.file(t, "proof", proof), "--vkey", main.keys[1].vkey}},
		{name: "a proof without a key", args: []string{filepath.Join(p.dir, "proof")}, code: verify.Usage},
		{name: "an altered proof", args: []string{p.file(t, "proof-1", append([]byte("c2sp.org/tlog-proof@v1\nextra eHl6"), proof[bytes.Index(proof, []byte("\nindex")):]...)), "--vkey", main.keys[1].vkey}, code: verify.Tampered},
		{name: "half a proof", args: []string{p.file(t, "proof-2", proof[:100]), "--vkey", main.keys[1].vkey}, code: verify.Incomplete, or: verify.Tampered},
		{name: "a proof of a later kind", args: []string{p.file(t, "proof-3", bytes.Replace(proof, []byte("@v1"), []byte("@v2"), 1)), "--vkey", main.keys[1].vkey}, code: verify.Usage},
		{name: "an altered bundle", args: with(p.bundle(t, "altered", altered)), code: verify.Tampered, says: "entry 123"},
		{name: "an altered archive", args: with(p.file(t, "altered.tar.zst", archive.packFiles(altered))), code: verify.Tampered, says: "entry 123"},
		{name: "an altered log, served", args: with(alteredURL), code: verify.Tampered, says: "entry 123"},
		{name: "an altered store", args: with("--store", p.data(t, "altered-store", main.closed[tamperSize], row)), code: verify.Tampered, says: "entry 123"},
		{name: "a store without its anchor", args: with("--store", anchorless), code: verify.AnchorAbsent},
		{name: "a store with its anchor elsewhere", args: with("--store", anchorless, "--anchor", p.file(t, "elsewhere", main.checkpoints[tamperSize]))},
		{name: "an older store with its anchor elsewhere", args: with("--store", p.data(t, "older-store", main.closed[olderSize], nil), "--anchor", filepath.Join(p.dir, "elsewhere")), code: verify.Rollback},
		{name: "half an archive", args: with(p.file(t, "half.tar.zst", archive.whole[:len(archive.whole)/2])), code: verify.Incomplete},
		{name: "an absent file", args: with(p.bundle(t, "absent", bundle.with(bundleFiles{"tile/entries/001": nil}))), code: verify.Incomplete, says: "tile/entries/001"},
		{name: "an older bundle", args: with(p.bundle(t, "older", main.bundles[olderSize]))},
		{name: "an older bundle and a kept checkpoint", args: with(filepath.Join(p.dir, "older"), "--since", kept), code: verify.Rollback, says: "fewer entries"},
		{name: "a fork", args: with(p.bundle(t, "fork", s.fork.bundles[tamperSize]))},
		{name: "a fork and a kept checkpoint", args: with(filepath.Join(p.dir, "fork"), "--since", kept), code: verify.Rollback},
		{name: "the key of another log", args: []string{dir, "--vkey", s.foreign.keys[0].vkey}, code: verify.Tampered},
		{name: "another key of the same name", args: []string{dir, "--vkey", s.usurper.keys[0].vkey}, code: verify.Tampered},
		{name: "no key", args: []string{dir, "--vkey", "x"}, code: verify.Usage},
		{name: "the kept checkpoint of another log", args: with(dir, "--since", p.file(t, "foreign.checkpoint", s.foreign.checkpoints[olderSize])), code: verify.Usage},
		{name: "something else as a kept checkpoint", args: with(dir, "--since", vkey), code: verify.Usage},
		{name: "a kept checkpoint that is not there", args: with(dir, "--since", filepath.Join(p.dir, "nothing")), code: verify.Usage},
		{name: "a policy that is none", args: with(dir, "--policy", vkey), code: verify.Usage},
	}
}
