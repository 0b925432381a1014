package main

import (
	"io"
	"log/slog"

	"github.com/countersign-dev/countersign/config"
)

// newLog returns the logger and its level, which SIGHUP may change.
func newLog(c config.Config, w io.Writer) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(c.LogLevel())
	options := &slog.HandlerOptions{Level: level}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), level
	}
	return slog.New(slog.NewTextHandler(w, options)), level
}
