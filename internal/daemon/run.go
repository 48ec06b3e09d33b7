package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"porcupine/internal/config"
)

// pidName is the file in the data directory with the process id, while the node runs.
const pidName = "pid"

// Run runs a node until ctx ends or the node can no longer keep its promises, and stops it in
// order. Logs go to logs.
func Run(ctx context.Context, cfg config.Config, logs io.Writer) error {
	log, err := newLogger(cfg.Log, logs)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	d := &daemon{cfg: cfg, log: log, fatal: cancel}
	defer d.stop()
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"open the data directory", d.openSubstrate},
		{"start the mail service", d.openMail},
		{"start the node", d.startNode},
		{"open the front ends", d.openFrontEnds},
		{"open the doors", d.openDoors},
	}
	for _, s := range steps {
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	log.Info("node is up", "node", d.node.ID(), "name", cfg.Name, "version", Version(), "cluster", cfg.Cluster.Listen)
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return fmt.Errorf("node stopped: %w", cause)
	}
	log.Info("stopping")
	return d.stop()
}

func newLogger(cfg config.Log, w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		return nil, fmt.Errorf("log.level: %w", err)
	}
	o := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return slog.New(slog.NewTextHandler(w, o)), nil
}

// closer is one thing to undo at the end.
type closer struct {
	name  string
	close func(context.Context) error
}

// atEnd has close called by stop, in reverse order.
func (d *daemon) atEnd(name string, f func(context.Context) error) {
	d.closers = append(d.closers, closer{name, f})
}

// stopTimeout bounds the end of each part beyond the grace that sessions get.
const stopTimeout = 10 * time.Second

// stop undoes, last first, what was opened. Calling it again does nothing.
func (d *daemon) stop() error {
	closers := d.closers
	d.closers = nil
	var errs error
	for i := len(closers) - 1; i >= 0; i-- {
		ctx, cancel := context.WithTimeout(context.Background(), d.cfg.Limits.ShutdownGrace.D()+stopTimeout)
		if err := closers[i].close(ctx); err != nil {
			d.log.Warn("stop", "part", closers[i].name, "err", err)
			errs = errors.Join(errs, fmt.Errorf("stop %s: %w", closers[i].name, err))
		}
		cancel()
	}
	return errs
}

// writePID keeps the process id where scripts look for it.
func (d *daemon) writePID() error {
	path := filepath.Join(d.cfg.DataDir, pidName)
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return err
	}
	d.atEnd("pid file", func(context.Context) error { return os.Remove(path) })
	return nil
}
