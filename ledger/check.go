package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/countersign-dev/countersign/ledger/dirlock"
)

// Check finds what an operator can get wrong with Options before the log is
// opened, without reading or changing the log: a key that cannot be read or is
// another log's, an origin that cannot be one, a directory that cannot be made
// or written to, a log that is open already (ErrLocked), and a store or an
// anchor that is not where the other is (*IntegrityError).
//
// That it returns nil does not mean that Open will succeed.
func Check(o Options) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	if o.Witnesses != nil {
		if _, err := (&Log{options: o}).newClient(); err != nil {
			return fmt.Errorf("the ledger's witnesses: %w", err)
		}
	}
	var given *key
	if o.Signer != "" {
		if given, err = parseKey(o.Signer, "the key given"); err != nil {
			return err
		}
	}
	if err := checkFree(o); err != nil {
		return err
	}
	f, err := look(o)
	if err != nil {
		return err
	}
	if f.anchor == nil {
		return checkNew(o, given)
	}
	return checkKey(o, given, f.anchor)
}

// checkFree makes sure that nobody has the log open.
func checkFree(o Options) error {
	for _, dir := range []string{o.Dir, o.storeDir()} {
		lock, err := lockDir(dir, dirlock.Exclusive)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := lock.Close(); err != nil {
			return fmt.Errorf("unlocking %s: %w", dir, err)
		}
	}
	return nil
}

// checkNew makes sure that a log can be made.
func checkNew(o Options, given *key) error {
	origin := o.Origin
	switch {
	case given != nil && origin == "":
		origin = given.Name()
	case given != nil && given.Name() != origin:
		return errOrigin(given, origin)
	}
	if err := checkOrigin(origin); err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(o.Dir, keyName)); err == nil && given == nil {
		return errOrphanKey(filepath.Join(o.Dir, keyName))
	}
	return errors.Join(checkWritable(o.Dir), checkWritable(o.AnchorDir))
}

// checkWritable makes sure that files can be made in a directory, which need
// not be there yet.
func checkWritable(dir string) error {
	at := filepath.Clean(dir)
	info, err := os.Stat(at)
	for errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at) {
		at = filepath.Dir(at)
		info, err = os.Stat(at)
	}
	if err == nil && !info.IsDir() {
		err = unix.ENOTDIR
	}
	if err == nil {
		err = unix.Access(at, unix.W_OK|unix.X_OK)
	}
	if err != nil {
		return fmt.Errorf("the ledger's directory %s cannot be used, because of %s: %w", dir, at, err)
	}
	return nil
}

// checkKey makes sure that there is a key, and that it can be that of the log
// of the anchor. Whether it is the present one only Open can tell.
func checkKey(o Options, k *key, anchor *Checkpoint) (err error) {
	if k == nil {
		k, err = optionalKey(filepath.Join(o.Dir, keyName))
		if k == nil && err == nil {
			k, err = readKey(filepath.Join(o.Dir, nextKeyName))
		}
		if err != nil {
			return err
		}
	}
	if k.Name() != anchor.Origin {
		return fmt.Errorf("%s is the key %s, and the ledger in %s is %s", k.from, k.id(), o.Dir, anchor.Origin)
	}
	return nil
}
