package eval

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// WriteText writes a result for people.
func (r *Result) WriteText(w io.Writer) error {
	for i := range r.Tables {
		if err := r.Tables[i].WriteText(w); err != nil {
			return err
		}
	}
	for _, n := range r.Notes {
		if _, err := fmt.Fprintf(w, "note: %s\n", n); err != nil {
			return err
		}
	}
	for _, c := range r.Checks {
		verdict := "holds"
		if !c.OK {
			verdict = "DOES NOT HOLD"
		}
		if _, err := fmt.Fprintf(w, "%s: %s (%s)\n", verdict, c.Claim, c.Figures); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}

// WriteText writes a table for people: each cell is "published / measured".
func (t *Table) WriteText(w io.Writer) error {
	title := t.Title
	if t.Unit != "" {
		title += ", " + t.Unit
	}
	if t.hasPublished() {
		title += " (published / measured)"
	}
	if _, err := fmt.Fprintf(w, "\n%s\n", title); err != nil {
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := fmt.Fprintf(tw, "%s\t%s\n", t.Corner, strings.Join(t.Columns, "\t")); err != nil {
		return err
	}
	for _, row := range t.Rows {
		cells := make([]string, len(row.Cells))
		for i, c := range row.Cells {
			cells[i] = c.String()
		}
		if _, err := fmt.Fprintf(tw, "%s\t%s\n", row.Label, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return tw.Flush()
}

func (t *Table) hasPublished() bool {
	for _, row := range t.Rows {
		for _, c := range row.Cells {
			if c.Published.Is() {
				return true
			}
		}
	}
	return false
}

// String writes "published / measured", or the one there is.
func (c Cell) String() string {
	switch {
	case c.Published.Is() && c.Measured.Is():
		return c.Published.String() + " / " + c.Measured.String()
	case c.Published.Is():
		return c.Published.String() + " / -"
	}
	return c.Measured.String()
}

// String writes a value with as many digits as it is good for; "-" if there is none.
func (v Value) String() string {
	f := float64(v)
	switch size := math.Abs(f); {
	case !v.Is():
		return "-"
	case size >= 100 || f == math.Trunc(f):
		return fmt.Sprintf("%.0f", f)
	case size >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.3g", f)
}
