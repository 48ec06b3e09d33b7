package eval

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// ErrClaim says that a claim about a shape did not hold.
var ErrClaim = errors.New("a claim does not hold")

// errExact says that noise cannot have been the cause.
var errExact = errors.New("which is exact")

// Options say how experiments are run.
type Options struct {
	Quick bool
	// OutDir is where drawings and results are written: EXPERIMENT.json and the SVG files, which replace those
	// of earlier runs. It is made if absent; empty: nothing is written.
	OutDir string
	Text   io.Writer // tables, for people
	Log    io.Writer // what is going on
}

// record is a result as it is kept in a file.
type record struct {
	Experiment string    `json:"experiment"`
	Title      string    `json:"title"`
	Source     string    `json:"source"`
	Form       string    `json:"form"`
	Processors int       `json:"processors"`
	Finished   time.Time `json:"finished"`
	Seconds    float64   `json:"seconds"`
	Result
}

// besideMax is how many experiments that wait run at the same time.
const besideMax = 2

// quickTries is how often an experiment is carried out in the quick form until its claims hold. Its windows are short and the
// machine may do other work: noise can break a claim once, a wrong shape breaks it each time.
const quickTries = 3

// Run carries out experiments: first those that wait, besideMax at a time, then the others one after the
// other. One that fails does not stop the others. In the quick form those of which a claim does not hold that noise can break are
// carried out again when the others are through, each alone, quickTries times in all at most. What they found is written in the
// order in which they end. The error says which could not be carried out, and, with ErrClaim in its chain, which claims do not hold.
func Run(ctx context.Context, list []Experiment, o Options) error {
	o.Log, o.Text = &locked{w: o.Log}, &locked{w: o.Text}
	failed := make([]error, len(list))
	run := func(i int) {
		failed[i] = nil
		if ctx.Err() != nil {
			failed[i] = fmt.Errorf("experiment %s: %w", list[i].Name, context.Cause(ctx))
		} else if err := o.runOne(ctx, &list[i]); err != nil {
			failed[i] = fmt.Errorf("experiment %s: %w", list[i].Name, err)
		}
	}
	var g errgroup.Group
	g.SetLimit(besideMax)
	for i := range list {
		if list[i].Waits {
			g.Go(func() error { run(i); return nil })
		}
	}
	_ = g.Wait() // their errors are in failed
	for i := range list {
		if !list[i].Waits {
			run(i)
		}
	}
	for try := 2; o.Quick && try <= quickTries; try++ {
		for i, err := range failed {
			if isNoise(err) && ctx.Err() == nil {
				_, _ = fmt.Fprintf(o.Log, "again, time %d of at most %d: %v\n", try, quickTries, err) // who does not read it misses nothing
				run(i)
			}
		}
	}
	return errors.Join(failed...)
}

// isNoise reports whether nothing is wrong with an experiment but claims that noise can break.
func isNoise(err error) bool { return errors.Is(err, ErrClaim) && !errors.Is(err, errExact) }

// locked lets several write, each call whole.
type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func (o *Options) runOne(ctx context.Context, x *Experiment) (err error) {
	dir, err := os.MkdirTemp("", "porcupine-eval-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	began := time.Now()
	progress := func(format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		_, _ = fmt.Fprintf(o.Log, "%s %6.1fs %s\n", x.Name, time.Since(began).Seconds(), line) // who does not read it misses nothing
	}
	progress("%s", x.Title)
	r, err := x.Run(ctx, Env{Quick: o.Quick, Dir: dir, Progress: progress})
	if err != nil {
		return err
	}
	if err := o.tell(x, &r); err != nil {
		return err
	}
	if o.OutDir != "" {
		if err := o.keep(x, &r, time.Since(began)); err != nil {
			return err
		}
	}
	return r.broken()
}

// tell writes what an experiment found, for people, in one piece.
func (o *Options) tell(x *Experiment, r *Result) error {
	var text bytes.Buffer
	fmt.Fprintf(&text, "=== %s: %s (%s)\n", x.Name, x.Title, x.Source)
	if err := r.WriteText(&text); err != nil {
		return err
	}
	_, err := o.Text.Write(text.Bytes())
	return err
}

// keep writes what an experiment found into files.
func (o *Options) keep(x *Experiment, r *Result, took time.Duration) error {
	if err := os.MkdirAll(o.OutDir, 0o755); err != nil { //nolint:gosec // reports are there to be read
		return err
	}
	form := "full"
	if o.Quick {
		form = "quick"
	}
	text, err := json.MarshalIndent(record{Experiment: x.Name, Title: x.Title, Source: x.Source, Form: form,
		Processors: runtime.GOMAXPROCS(0), Finished: time.Now().UTC().Truncate(time.Second), Seconds: took.Seconds(), Result: *r}, "", "  ")
	if err != nil {
		return err
	}
	if err := o.write(x.Name+".json", append(text, '\n')); err != nil {
		return err
	}
	for _, f := range r.Figures {
		svg, err := f.Drawing.SVG()
		if err != nil {
			return fmt.Errorf("draw %s: %w", f.Name, err)
		}
		if err := o.write(f.Name+".svg", svg); err != nil {
			return err
		}
	}
	return nil
}

// write replaces a file whole. Everybody may read it: it becomes part of the documents.
func (o *Options) write(name string, data []byte) error {
	path := filepath.Join(o.OutDir, name)
	if err := os.WriteFile(path+".new", data, 0o644); err != nil { //nolint:gosec // reports are there to be read
		return err
	}
	return os.Rename(path+".new", path)
}
