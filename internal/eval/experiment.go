package eval

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// Experiment is one experiment of the evaluation.
type Experiment struct {
	Name   string // one word, lower case: the command's argument and the beginning of its files' names
	Title  string // a line for people
	Source string // where the published values are from: "TOCS §5.2"
	// Waits says that it waits for simulated disks most of the time, so that another such one may run beside it.
	// One that measures the machine runs alone.
	Waits bool
	// Run carries it out. An error says that it could not be carried out; a claim that does not hold is
	// not one, but a Check. What it starts has ended when it returns.
	Run func(ctx context.Context, env Env) (Result, error)
}

// Env is what an experiment gets from who runs it.
type Env struct {
	Quick    bool   // fewer points, shorter windows
	Dir      string // a directory for whatever must lie in files; it is there, empty, and removed afterwards
	Progress func(format string, args ...any)
}

// Result is what an experiment found.
type Result struct {
	Tables  []Table  `json:"tables"`
	Figures []Figure `json:"figures,omitempty"`
	Checks  []Check  `json:"checks"`
	Notes   []string `json:"notes,omitempty"` // sentences that a reader of the tables needs
}

// Figure is one drawing.
type Figure struct {
	Name    string  `json:"name"` // of its file, without the ending: it begins with the experiment's name
	Drawing Drawing `json:"-"`
}

// Drawing is what can be drawn; a chart of room plot is one.
type Drawing interface{ SVG() ([]byte, error) }

// Table is one table of values that were published and of those that were measured.
type Table struct {
	Title   string   `json:"title"`
	Corner  string   `json:"rows"` // what the rows are: "nodes"
	Unit    string   `json:"unit"` // of all values: "msg/s"; empty where the columns say it
	Columns []string `json:"columns"`
	Rows    []Row    `json:"lines"`
}

// Row is one line of a table, with a cell for each column.
type Row struct {
	Label string `json:"label"`
	Cells []Cell `json:"cells"`
}

// Cell is a published value and the measured one. What there is not is None.
type Cell struct {
	Published Value `json:"published"`
	Measured  Value `json:"measured"`
}

// Value is a number of a table, or None.
type Value float64

// None says that there is no value.
func None() Value { return Value(math.NaN()) }

// Is reports whether there is a value.
func (v Value) Is() bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }

// MarshalJSON writes None as null.
func (v Value) MarshalJSON() ([]byte, error) {
	if !v.Is() {
		return []byte("null"), nil
	}
	return fmt.Appendf(nil, "%.6g", float64(v)), nil
}

// Published makes a cell of a value that was not measured, Measured one of a value that was not published, and
// Both one of the two.
func Published(p float64) Cell { return Cell{Published: Value(p), Measured: None()} }

// Measured makes a cell of a value that was not published.
func Measured(m float64) Cell { return Cell{Published: None(), Measured: Value(m)} }

// Both makes a cell of a published value and the measured one.
func Both(published, measured float64) Cell {
	return Cell{Published: Value(published), Measured: Value(measured)}
}

// Check is a claim about the shape of what was measured.
type Check struct {
	Claim   string `json:"claim"` // "linear within 10 % from 2 to 30 nodes"
	OK      bool   `json:"ok"`
	Figures string `json:"figures"` // by which it is told: "per node 27.1 at 2, 26.8 at 30: 1.1 %"
	// Exact says that noise cannot break it, as that nothing is lost: once is enough.
	Exact bool `json:"-"`
}

// Checked makes a check; the figures are as of fmt.Sprintf.
func Checked(ok bool, claim, figures string, args ...any) Check {
	return Check{Claim: claim, OK: ok, Figures: fmt.Sprintf(figures, args...)}
}

// OK reports whether all claims hold.
func (r *Result) OK() bool { return r.broken() == nil }

// broken gives an error for each claim that does not hold, with ErrClaim in its chain, or errExact if it is Exact; nil: all hold.
func (r *Result) broken() (err error) {
	for _, c := range r.Checks {
		switch {
		case c.OK:
		case c.Exact:
			err = errors.Join(err, fmt.Errorf("%w: %w: %s (%s)", ErrClaim, errExact, c.Claim, c.Figures))
		default:
			err = errors.Join(err, fmt.Errorf("%w: %s (%s)", ErrClaim, c.Claim, c.Figures))
		}
	}
	return err
}
