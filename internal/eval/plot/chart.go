package plot

import (
	"fmt"
	"math"
)

// Limits of a chart: more could not be read.
const (
	SeriesMax = 16    // curves, or kinds of bars
	NamesMax  = 8     // different names among them: as many as there are colours
	PointsMax = 20000 // points of one curve
	GroupsMax = 40    // groups of bars
	MarksMax  = 6     // marks of a chart
	TextMax   = 120   // runes of a title, name or label
)

// Whose says where the numbers of a curve come from.
type Whose int

// The sources, and how each is drawn.
const (
	Measured  Whose = iota // here, on this code: solid
	Published              // in the papers: dashed, hollow markers
	Computed               // on a model: dotted, hollow markers
)

// Axis describes one axis.
type Axis struct {
	Label string
	Unit  string // appended in parentheses; empty: none
	Log   bool   // logarithmic: all numbers must be above zero
	// Ticks are the places of the numbers, in place of round ones: the sizes that were tried.
	Ticks []float64
}

// Point is one point of a curve.
type Point struct{ X, Y float64 }

// Series is one curve. Curves of one name have one colour.
type Series struct {
	Name   string
	Whose  Whose
	Points []Point // in the order in which they are joined
}

// Mark says what happens at one place of the x axis: an upright line with a text beside its foot.
type Mark struct {
	X    float64 // within the curves
	Text string
}

// Chart is a chart of lines.
type Chart struct {
	Title  string
	Note   string // a line under the title; empty: none
	X, Y   Axis
	Series []Series
	Marks  []Mark
}

// BarSeries is one kind of bars: a number for each group.
type BarSeries struct {
	Name   string
	Whose  Whose
	Values []float64 // NaN: there is none for this group
}

// Bars is a chart of grouped bars.
type Bars struct {
	Title  string
	Note   string // a line under the title; empty: none
	X      string // what the groups are
	Y      Axis
	Groups []string
	Series []BarSeries
}

// check gives the first reason why the chart cannot be drawn.
func (c *Chart) check() error {
	keys := make([]key, 0, len(c.Series))
	texts := []string{c.Title, c.Note, c.X.Label, c.X.Unit, c.Y.Label, c.Y.Unit}
	for _, s := range c.Series {
		keys = append(keys, key{s.Name, s.Whose})
		texts = append(texts, s.Name)
		if len(s.Points) == 0 || len(s.Points) > PointsMax {
			return fmt.Errorf("plot %q: curve %q has %d points, want 1 to %d", c.Title, s.Name, len(s.Points), PointsMax)
		}
		for _, p := range s.Points {
			if !c.X.has(p.X) || !c.Y.has(p.Y) {
				return fmt.Errorf("plot %q: curve %q has the point (%v, %v), which its axes cannot show", c.Title, s.Name, p.X, p.Y)
			}
		}
	}
	if len(c.Marks) > MarksMax {
		return fmt.Errorf("plot %q: %d marks, want at most %d", c.Title, len(c.Marks), MarksMax)
	}
	for _, m := range c.Marks {
		texts = append(texts, m.Text)
		if !c.X.has(m.X) {
			return fmt.Errorf("plot %q: a mark at %v, which the axis cannot show", c.Title, m.X)
		}
	}
	if err := checkNames(c.Title, keys, texts); err != nil {
		return err
	}
	for _, a := range []Axis{c.X, c.Y} {
		if err := a.check(c.Title); err != nil {
			return err
		}
	}
	return nil
}

// check gives the first reason why the chart cannot be drawn.
func (b *Bars) check() error {
	if len(b.Groups) == 0 || len(b.Groups) > GroupsMax {
		return fmt.Errorf("plot %q: %d groups, want 1 to %d", b.Title, len(b.Groups), GroupsMax)
	}
	keys := make([]key, 0, len(b.Series))
	texts := append([]string{b.Title, b.Note, b.X, b.Y.Label, b.Y.Unit}, b.Groups...)
	for _, s := range b.Series {
		keys = append(keys, key{s.Name, s.Whose})
		texts = append(texts, s.Name)
		if len(s.Values) != len(b.Groups) {
			return fmt.Errorf("plot %q: bars %q have %d values for %d groups", b.Title, s.Name, len(s.Values), len(b.Groups))
		}
		for _, v := range s.Values {
			if !math.IsNaN(v) && !b.Y.has(v) {
				return fmt.Errorf("plot %q: bars %q have the value %v, which the axis cannot show", b.Title, s.Name, v)
			}
		}
	}
	if err := checkNames(b.Title, keys, texts); err != nil {
		return err
	}
	return b.Y.check(b.Title)
}

// check gives the first reason why the axis cannot be drawn.
func (a *Axis) check(title string) error {
	if len(a.Ticks) > ticksMax {
		return fmt.Errorf("plot %q: %d ticks on one axis, want at most %d", title, len(a.Ticks), ticksMax)
	}
	for _, v := range a.Ticks {
		if !a.has(v) {
			return fmt.Errorf("plot %q: a tick at %v, which the axis cannot show", title, v)
		}
	}
	return nil
}

// has reports whether the axis can show a number. Beyond 1e15 a float no longer counts in ones.
func (a *Axis) has(v float64) bool {
	const most = 1e15
	return math.Abs(v) <= most && (!a.Log || v >= 1/most)
}

// key tells curves apart.
type key struct {
	name  string
	whose Whose
}

func checkNames(title string, keys []key, texts []string) error {
	if len(keys) == 0 || len(keys) > SeriesMax {
		return fmt.Errorf("plot %q: %d curves, want 1 to %d", title, len(keys), SeriesMax)
	}
	seen, names := map[key]bool{}, map[string]bool{}
	for _, k := range keys {
		if seen[k] {
			return fmt.Errorf("plot %q: two curves %q from one source", title, k.name)
		}
		seen[k], names[k.name] = true, true
	}
	if len(names) > NamesMax {
		return fmt.Errorf("plot %q: %d names, want at most %d", title, len(names), NamesMax)
	}
	for _, s := range texts {
		if n := len([]rune(s)); n > TextMax {
			return fmt.Errorf("plot %q: a text of %d characters, want at most %d", title, n, TextMax)
		}
	}
	return nil
}
