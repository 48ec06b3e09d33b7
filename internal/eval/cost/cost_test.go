package cost

import (
	"testing"

	"porcupine/internal/eval"
)

// TestMeasure loads two real nodes for a moment. With one copy some messages lie where they came in; with two, one of them always
// goes to the other node.
func TestMeasure(t *testing.T) {
	all, err := measure(t.Context(), eval.Env{Quick: true, Dir: t.TempDir(), Progress: t.Logf}, []int{2}, 60)
	if err != nil {
		t.Fatal(err)
	}
	one, two := all[0][0], all[1][0]
	for _, p := range []point{one, two} {
		if p.ms <= 0 || p.calls() <= 0.5 || p.bytes() < 300 {
			t.Errorf("%+v: want time, calls and bytes", p)
		}
	}
	if two.bytes() <= one.bytes() {
		t.Errorf("two copies cost %.0f bytes, one %.0f", two.bytes(), one.bytes())
	}
}

func TestClaims(t *testing.T) {
	row := func(of func(nodes float64) float64) (list []point) {
		for _, n := range []int{2, 4, 8, 16} {
			v := of(float64(n))
			list = append(list, point{nodes: n, copies: 1, ms: v, sum: usage{delivered: 1000, calls: int64(1000 * v), bytes: int64(1000_000 * v)}})
		}
		return list
	}
	flat := row(func(n float64) float64 { return 3 * (1 - 1/n) })
	linear := row(func(n float64) float64 { return n })
	for _, c := range checks(flat, "flat") {
		if !c.OK {
			t.Errorf("does not hold: %s (%s)", c.Claim, c.Figures)
		}
	}
	for _, c := range checks(linear, "linear") {
		if c.OK {
			t.Errorf("holds: %s (%s)", c.Claim, c.Figures)
		}
	}
	for _, f := range figures([2][]point{flat, linear}) {
		if _, err := f.Drawing.SVG(); err != nil {
			t.Error(err)
		}
	}
	if got := table(flat, "x").Rows[0].Cells[0]; got.Published < 3 || got.Published > 3.1 {
		t.Errorf("published for 2 nodes: %v, want 2 nodes over 663.9 a second", got.Published)
	}
}
