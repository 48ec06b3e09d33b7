package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"porcupine/internal/config"
)

// Run runs a node until ctx ends or the node can no longer keep its promises, and stops it in
// order. Logs go to logs. The error is nil after an orderly stop; sessions that did not finish
// within their grace do not change that.
//
// A node that the others refuse for good stops in order, sets its hard state aside, and begins a new
// life as a new node, all within Run.
func Run(ctx context.Context, cfg config.Config, logs io.Writer) error {
	log, err := newLogger(cfg.Log, logs)
	if err != nil {
		return err
	}
	for pause := rebirthMin; ; pause = min(2*pause, rebirthMax) {
		began := time.Now()
		err := live(ctx, cfg, log)
		var refused *refusedError
		if !errors.As(err, &refused) {
			return err
		}
		if err := refused.marker.write(cfg.DataDir); err != nil {
			return err
		}
		if time.Since(began) > rebirthMax {
			pause = rebirthMin
		}
		if !sleep(ctx, pause) {
			return nil // the next start sets it aside
		}
	}
}

// The pause before a new life. One that is refused again and again does not fill the disk with what it
// sets aside.
const (
	rebirthMin = 100 * time.Millisecond
	rebirthMax = 10 * time.Minute
)

// live is one life of a node under one id.
func live(ctx context.Context, cfg config.Config, log *slog.Logger) (err error) {
	d := newDaemon(cfg, log)
	defer func() { d.end(ctx, err) }()
	if err := d.open(ctx); err != nil {
		return err
	}
	log.Info("node is up", "node", d.node.ID(), "name", cfg.Name, "version", Version(), "cluster", d.advertise)
	select {
	case <-ctx.Done():
	case <-d.drained:
		log.Info("this node is empty and leaves; do not start it again, unless after 'porcupine node drain --cancel'", "node", d.node.ID())
	case <-d.failed:
		return fmt.Errorf("node stopped: %w", errors.Join(d.failure, d.stop()))
	}
	log.Info("node is stopping", "node", d.node.ID())
	began := time.Now()
	if err := d.stop(); err != nil {
		return err
	}
	log.Info("node has stopped", "node", d.id.Node(), "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// open opens the parts of the node, one after the other, until it serves. After an error stop undoes what
// was opened.
func (d *daemon) open(ctx context.Context) error {
	steps := []struct {
		name string
		do   func() error
	}{
		{"set the garbage collector", d.collectLess},
		{"open the data directory", d.openSubstrate},
		{"start the mail service", d.openMail},
		{"start the upkeep", d.openUpkeep},
		{"start the node", d.startNode},
		{"open the doors", d.openDoors},
		{"look for the other nodes", func() error { return d.meetOthers(ctx) }},
		{"open the front ends", d.openFrontEnds},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	d.phase.Store(phaseServing)
	return nil
}

// The phases of a daemon's life; only in the middle one it is ready for clients.
const (
	phaseStarting int32 = iota
	phaseServing
	phaseStopping
)

func newDaemon(cfg config.Config, log *slog.Logger) *daemon {
	return &daemon{cfg: cfg, log: log, failed: make(chan struct{}), drained: make(chan struct{})}
}

// fatal ends the process in order: the node can no longer keep its promises, for that reason. The
// first call counts.
func (d *daemon) fatal(err error) {
	d.failOnce.Do(func() {
		d.log.Error("the node cannot go on", "err", err)
		d.failure = err
		close(d.failed)
	})
}

// hasFailed reports whether fatal was called.
func (d *daemon) hasFailed() bool {
	select {
	case <-d.failed:
		return true
	default:
		return false
	}
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

// Bounds of the end of each part. After a failure nothing more can be saved, and somebody waits to
// start the node again.
const (
	stopTimeout        = 10 * time.Second // beyond the grace that sessions get
	stopTimeoutFailed  = 2 * time.Second
	abandonAfterExpiry = time.Second // a part that does not heed its context is left behind
)

// stop undoes, last first, what was opened. Calling it again does nothing.
func (d *daemon) stop() error {
	d.phase.Store(phaseStopping)
	closers := d.closers
	d.closers = nil
	var errs error
	for i := len(closers) - 1; i >= 0; i-- {
		timeout := d.cfg.Limits.ShutdownGrace.D() + stopTimeout
		if d.hasFailed() {
			timeout = stopTimeoutFailed
		}
		left, err := closers[i].end(timeout)
		if left != nil {
			d.left = append(d.left, left)
		}
		if err != nil {
			d.log.Error("a part did not stop in order", "part", closers[i].name, "err", err)
			errs = errors.Join(errs, fmt.Errorf("stop %s: %w", closers[i].name, err))
		}
	}
	return errs
}

// leftBehindMax is how long the next life in this process waits for what the last one has left behind.
const leftBehindMax = 2 * time.Minute

// end stops what runs still at the end of a life; the errors are in the log. err is why it ends. Where another life
// follows, it waits for what did not stop in time: the new life sets aside the store that the old one may have
// open still.
func (d *daemon) end(ctx context.Context, err error) {
	_ = d.stop()
	var refused *refusedError
	if !errors.As(err, &refused) || len(d.left) == 0 {
		return
	}
	d.log.Info("the new life waits for what has not stopped yet", "parts", len(d.left), "at_most", leftBehindMax)
	patience := time.NewTimer(leftBehindMax)
	defer patience.Stop()
	for _, ended := range d.left {
		select {
		case <-ended:
		case <-patience.C:
			return // setting aside says what is in use
		case <-ctx.Done():
			return
		}
	}
}

// end closes one part. A disk that hangs must not keep the process: what does not end soon after
// its time is left behind, and left is where its end is told.
func (c *closer) end(timeout time.Duration) (left <-chan struct{}, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	done, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		done <- c.close(ctx)
	}()
	patience := time.NewTimer(timeout + abandonAfterExpiry)
	defer patience.Stop()
	select {
	case err := <-done:
		return nil, err
	case <-patience.C:
		return ended, fmt.Errorf("it did not end within %v and was left behind", timeout+abandonAfterExpiry)
	}
}
