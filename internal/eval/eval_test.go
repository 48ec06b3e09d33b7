package eval

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

func TestResultText(t *testing.T) {
	r := Result{
		Tables: []Table{{Title: "throughput", Corner: "nodes", Unit: "msg/s", Columns: []string{"R=1", "R=2"}, Rows: []Row{
			{Label: "2", Cells: []Cell{Both(56.11, 54.26), Published(19.73)}},
			{Label: "30", Cells: []Cell{Measured(801.4), {None(), None()}}},
		}}},
		Notes:  []string{"a note"},
		Checks: []Check{Checked(true, "flat", "%d %%", 3), Checked(false, "linear", "no")},
	}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	const want = `
throughput, msg/s (published / measured)
nodes  R=1          R=2
2      56.1 / 54.3  19.7 / -
30     801          -
note: a note
holds: flat (3 %)
DOES NOT HOLD: linear (no)

`
	if got := b.String(); got != want {
		t.Errorf("WriteText = %q, want %q", got, want)
	}
	if r.OK() {
		t.Error("OK with a check that does not hold")
	}
}

func TestNoneIsNull(t *testing.T) {
	got, err := json.Marshal(Published(1.5))
	if want := `{"published":1.5,"measured":null}`; err != nil || string(got) != want {
		t.Errorf("Marshal = %s, %v, want %s", got, err, want)
	}
}

type drawing string

func (d drawing) SVG() ([]byte, error) { return []byte(d), nil }

func TestRun(t *testing.T) {
	var seen string
	list := []Experiment{
		{Name: "broken", Run: func(context.Context, Env) (Result, error) { return Result{}, errors.New("no disk") }},
		{Name: "wrong", Run: func(_ context.Context, e Env) (Result, error) {
			seen = e.Dir
			e.Progress("half of %d", 2)
			return Result{Figures: []Figure{{Name: "wrong-curve", Drawing: drawing("<svg/>")}}, Checks: []Check{{Claim: "flat", Figures: "it is steep"}}},
				os.WriteFile(filepath.Join(e.Dir, "x"), nil, 0o600)
		}},
		{Name: "right", Run: func(_ context.Context, e Env) (Result, error) {
			return Result{Checks: []Check{Checked(e.Quick, "quick", "")}}, nil
		}},
	}
	var text, log strings.Builder
	o := Options{Quick: true, OutDir: filepath.Join(t.TempDir(), "out"), Text: &text, Log: &log}
	err := Run(t.Context(), list, o)
	if !errors.Is(err, ErrClaim) || !strings.Contains(err.Error(), "experiment broken: no disk") || !strings.Contains(err.Error(), "experiment wrong") || strings.Contains(err.Error(), "right") {
		t.Errorf("Run = %v", err)
	}
	if _, err := os.Stat(seen); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory of an experiment afterwards: %v, want none", err)
	}
	if got, err := os.ReadFile(filepath.Join(o.OutDir, "wrong-curve.svg")); err != nil || string(got) != "<svg/>" {
		t.Errorf("the drawing = %q, %v", got, err)
	}
	if got, err := os.ReadFile(filepath.Join(o.OutDir, "right.json")); err != nil || !strings.Contains(string(got), `"form": "quick"`) {
		t.Errorf("the record = %q, %v", got, err)
	}
	if !strings.Contains(log.String(), "half of 2") || !strings.Contains(text.String(), "DOES NOT HOLD: flat (it is steep)") {
		t.Errorf("log %q, text %q", log.String(), text.String())
	}
	if err := Run(t.Context(), list[2:], o); err != nil {
		t.Errorf("Run of an experiment that is right = %v", err)
	}
}

// In the quick form a claim that noise can break is measured again when the others are through, and that is told. What it cannot
// break, a lost message or an error, is not; and in the full form nothing is.
func TestRunAgain(t *testing.T) {
	steep := Check{Claim: "flat", Figures: "it is steep"}
	lost := Check{Claim: "no message is lost", Figures: "1 lost", Exact: true}
	for _, c := range []struct {
		name  string
		quick bool
		bad   int // so many times the first is wrong
		wrong []Check
		cut   error // instead
		times int
		err   bool
	}{
		{"at once", true, 0, nil, nil, 1, false},
		{"noise", true, 1, []Check{steep}, nil, 2, false},
		{"noise twice", true, 2, []Check{steep}, nil, 3, false},
		{"wrong shape", true, quickTries, []Check{steep}, nil, quickTries, true},
		{"a loss", true, 1, []Check{lost}, nil, 1, true},
		{"a loss among noise", true, 1, []Check{steep, lost}, nil, 1, true},
		{"no disk", true, 1, nil, errors.New("no disk"), 1, true},
		{"full form", false, 1, []Check{steep}, nil, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			times, others := 0, 0
			list := []Experiment{{Name: "tried", Run: func(context.Context, Env) (Result, error) {
				if times++; times > 1 && others != 1 {
					t.Errorf("tried again before the other was through")
				}
				if times > c.bad {
					return Result{}, nil
				}
				return Result{Checks: c.wrong}, c.cut
			}}, {Name: "other", Run: func(context.Context, Env) (Result, error) { others++; return Result{}, nil }}}
			var log strings.Builder
			err := Run(t.Context(), list, Options{Quick: c.quick, Text: io.Discard, Log: &log})
			if (err != nil) != c.err || times != c.times || others != 1 || strings.Count(log.String(), "again, time") != c.times-1 {
				t.Errorf("Run = %v after %d times and %d of the other, log %q", err, times, others, log.String())
			}
		})
	}
}

// Those that wait run beside each other, the others alone and afterwards.
func TestRunBeside(t *testing.T) {
	var running atomic.Int32
	met := make(chan struct{})
	waits := func(context.Context, Env) (Result, error) {
		if running.Add(1) == besideMax {
			close(met)
		}
		<-met // never ends unless both run at once
		running.Add(-1)
		return Result{}, nil
	}
	alone := func(context.Context, Env) (Result, error) {
		if n := running.Load(); n != 0 {
			return Result{}, fmt.Errorf("%d others run", n)
		}
		return Result{}, nil
	}
	list := []Experiment{{Name: "measures", Run: alone}, {Name: "waits", Waits: true, Run: waits}, {Name: "waits too", Waits: true, Run: waits}}
	if err := Run(t.Context(), list, Options{Text: io.Discard, Log: io.Discard}); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, list, Options{Text: io.Discard, Log: io.Discard}); !errors.Is(err, context.Canceled) {
		t.Errorf("Run after its end = %v", err)
	}
}
