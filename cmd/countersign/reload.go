package main

import (
	"errors"
	"os"

	"github.com/countersign-dev/countersign/config"
)

// reload reads the configuration again and takes over what it can, saying
// for each difference what became of it. When the new one is not sound the
// old one stays.
func (r *runner) reload() {
	next, err := config.Load(r.sources)
	if err == nil {
		err = r.take(next)
	}
	if err == nil {
		return
	}
	problems, found := errors.AsType[config.Problems](err)
	if !found {
		r.log.Error("not reloaded, the old configuration stays", "error", err)
	}
	for _, p := range problems {
		r.log.Error("not reloaded, the old configuration stays", "error", p.Error())
	}
}

func (r *runner) take(next *config.Loaded) error {
	merged, changes := r.loaded.Reload(next)
	var needRestart []string
	if p := r.sidecar.proxy; p != nil {
		var err error
		if needRestart, err = p.Reload(merged.Proxy()); err != nil {
			return err
		}
	}
	r.level.Set(merged.LogLevel())
	r.loaded = merged
	for _, c := range changes {
		if c.Applied {
			r.log.Info("reloaded", "setting", c.Field.Key, "old", c.Old, "new", c.New)
		} else {
			r.log.Warn("changed, but needs a restart", "setting", c.Field.Key, "running", c.Old, "file", c.New)
		}
	}
	for _, name := range needRestart {
		r.log.Warn("changed, but needs a restart", "setting", name)
	}
	r.comparePolicy()
	r.log.Info("configuration reloaded", "changes", len(changes))
	return nil
}

// comparePolicy says so when the policy's document is another than the one in
// force, which does not change while it decides.
func (r *runner) comparePolicy() {
	running := r.sidecar.policy
	switch next, err := r.loaded.LoadPolicy(os.Getenv); {
	case err != nil:
		r.log.Warn("the policy that is there now cannot be used: the next start will fail", "error", err)
	case next.Digest() != running.Digest():
		r.log.Warn("the policy changed, but needs a restart", "running", running.Version, "running_digest", running.Digest(),
			"file", next.Version, "file_digest", next.Digest())
	}
}
