package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite the expected drawings")

type drawing interface{ SVG() ([]byte, error) }

func points(ys map[float64]float64, xs ...float64) (p []Point) {
	for _, x := range xs {
		p = append(p, Point{x, ys[x]})
	}
	return p
}

func timeline() (p []Point) {
	for t := range 180 {
		y := 556.0
		if t > 60 && t < 120 {
			y = 440 + 20*math.Sin(float64(t))
		}
		p = append(p, Point{float64(t) * 5, y})
	}
	return p
}

func examples() map[string]drawing {
	sizes := []float64{2, 4, 8, 16, 30}
	return map[string]drawing{
		"lines": &Chart{Title: "Throughput against the number of nodes", Note: "Closed loop, simulated disks of 36 ms a write",
			X: Axis{Label: "nodes", Ticks: sizes}, Y: Axis{Label: "messages received", Unit: "1/s"}, Series: []Series{
				{"no replication", Measured, points(map[float64]float64{2: 55, 4: 110, 8: 219, 16: 436, 30: 811}, sizes...)},
				{"no replication", Published, points(map[float64]float64{2: 56.11, 4: 108.04, 8: 224.43, 16: 425.65, 30: 790.98}, sizes...)},
				{"two copies", Measured, points(map[float64]float64{2: 21, 4: 40, 8: 81, 16: 155, 30: 291}, sizes...)},
				{"two copies", Published, points(map[float64]float64{2: 19.73, 4: 41.39, 8: 80.35, 16: 148.77, 30: 273.82}, sizes...)},
				{"two copies, log in NVRAM", Published, points(map[float64]float64{2: 26.27, 4: 55.59, 8: 110.23, 16: 207.34, 30: 385.24}, sizes...)},
				{"sendmail + popd", Published, points(map[float64]float64{2: 14.99, 4: 47.56, 8: 89.62, 16: 169.24, 30: 289.93}, sizes...)},
			}},
		"log": &Chart{Title: "Cost of <reconstruction> & \"escape\"", X: Axis{Label: "buckets", Log: true, Ticks: []float64{128, 256, 512, 1024, 2048}},
			Y: Axis{Label: "time", Unit: "ms", Log: true}, Series: []Series{
				{"100,000 users", Measured, points(map[float64]float64{128: 32, 256: 33, 512: 35, 1024: 40, 2048: 51}, 128, 256, 512, 1024, 2048)},
				{"the thesis", Published, points(map[float64]float64{128: 637, 256: 651, 512: 680, 1024: 737, 2048: 851}, 128, 256, 512, 1024, 2048)},
				{"line", Computed, []Point{{128, 20}, {2048, 2000}}},
			}},
		"timeline": &Chart{Title: "Six of 30 nodes fail and come back", X: Axis{Label: "time", Unit: "s"}, Y: Axis{Label: "messages received", Unit: "1/s"},
			Series: []Series{{"", Measured, timeline()}}, Marks: []Mark{{300, "they die"}, {600, "they come back"}}},
		"bars": &Bars{Title: "Gain by fast nodes", X: "policy", Y: Axis{Label: "gain", Unit: "messages/s"}, Groups: []string{"D2", "D4", "R", "S2", "S4"}, Series: []BarSeries{
			{"1 fast node", Measured, []float64{60, 90, 1, 5, 22}},
			{"1 fast node", Published, []float64{45, 63, 2, 9, 30}},
			{"3 fast nodes", Measured, []float64{171, 284, 3, math.NaN(), 80.25}},
			{"3 fast nodes", Published, []float64{174, 194, 3, 31, 71}},
		}},
		"bars_log": &Bars{Title: "Bytes", X: "what", Y: Axis{Label: "bytes", Log: true}, Groups: []string{"a", "b"}, Series: []BarSeries{
			{"", Measured, []float64{3, 4_700_000}},
		}},
	}
}

// TestGolden compares drawings with those that somebody has looked at.
func TestGolden(t *testing.T) {
	for name, d := range examples() {
		t.Run(name, func(t *testing.T) {
			got, err := d.SVG()
			if err != nil {
				t.Fatal(err)
			}
			wellFormed(t, got)
			path := filepath.Join("testdata", name+".svg")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("the drawing is another than %s: look at it, then run this test with -update", path)
			}
		})
	}
}

// wellFormed parses a drawing and gives all its text.
func wellFormed(t interface{ Fatalf(string, ...any) }, svg []byte) (text string) {
	d := xml.NewDecoder(bytes.NewReader(svg))
	d.Strict = true
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return text
		}
		if err != nil {
			t.Fatalf("not XML: %v", err)
		}
		if s, ok := token.(xml.CharData); ok {
			text += string(s)
		}
		if e, ok := token.(xml.StartElement); ok {
			for _, a := range e.Attr {
				name := a.Name.Local
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Fatalf("<%s %s=%q>", e.Name.Local, name, a.Value)
				}
				if place := strings.ContainsAny(name, "xy") && len(name) <= 2; place {
					v, err := strconv.ParseFloat(a.Value, 64)
					if err != nil || v < -1 || v > Width+1 || strings.Contains(name, "y") && v > Height+1 {
						t.Fatalf("<%s %s=%q>: not on the canvas", e.Name.Local, name, a.Value)
					}
				}
			}
		}
	}
}

func TestTextIsEscaped(t *testing.T) {
	const evil = `a<b>&"c'</text><script>`
	c := Chart{Title: evil, Note: evil, X: Axis{Label: evil, Unit: evil}, Y: Axis{Label: evil}, Series: []Series{{evil, Measured, []Point{{1, 1}}}}}
	b := Bars{Title: evil, X: evil, Y: Axis{Label: evil}, Groups: []string{evil}, Series: []BarSeries{{evil, Published, []float64{1}}}}
	for _, d := range []drawing{&c, &b} {
		svg, err := d.SVG()
		if err != nil {
			t.Fatal(err)
		}
		if text := wellFormed(t, svg); !strings.Contains(text, evil) || bytes.Contains(svg, []byte("<script>")) {
			t.Errorf("%q does not come back as text of the drawing", evil)
		}
	}
}

func TestWhatCannotBeDrawn(t *testing.T) {
	one := []Point{{1, 1}}
	many := make([]Series, SeriesMax+1)
	for i := range many {
		many[i] = Series{strings.Repeat("x", i), Measured, one}
	}
	for name, d := range map[string]drawing{
		"no curve":            &Chart{},
		"no points":           &Chart{Series: []Series{{"a", Measured, nil}}},
		"not a number":        &Chart{Series: []Series{{"a", Measured, []Point{{1, math.NaN()}}}}},
		"infinite":            &Chart{Series: []Series{{"a", Measured, []Point{{math.Inf(1), 1}}}}},
		"zero, logarithmic":   &Chart{Y: Axis{Log: true}, Series: []Series{{"a", Measured, []Point{{1, 0}}}}},
		"twice the same":      &Chart{Series: []Series{{"a", Measured, one}, {"a", Measured, one}}},
		"too many curves":     &Chart{Series: many},
		"too many names":      &Chart{Series: many[:NamesMax+1]},
		"too many marks":      &Chart{Series: many[:1], Marks: make([]Mark, MarksMax+1)},
		"a mark nowhere":      &Chart{Series: many[:1], Marks: []Mark{{X: math.NaN()}}},
		"too many points":     &Chart{Series: []Series{{"a", Measured, make([]Point, PointsMax+1)}}},
		"a long title":        &Chart{Title: strings.Repeat("x", TextMax+1), Series: []Series{{"a", Measured, one}}},
		"many ticks":          &Chart{X: Axis{Ticks: make([]float64, ticksMax+1)}, Series: []Series{{"a", Measured, one}}},
		"a tick at zero, log": &Chart{X: Axis{Log: true, Ticks: []float64{0}}, Series: []Series{{"a", Measured, one}}},
		"no group":            &Bars{Series: []BarSeries{{"a", Measured, nil}}},
		"values and groups":   &Bars{Groups: []string{"a", "b"}, Series: []BarSeries{{"a", Measured, []float64{1}}}},
		"an infinite bar":     &Bars{Groups: []string{"a"}, Series: []BarSeries{{"a", Measured, []float64{math.Inf(-1)}}}},
		"no bars":             &Bars{Groups: []string{"a"}},
	} {
		if svg, err := d.SVG(); err == nil {
			t.Errorf("%s: drawn, in %d octets, want an error", name, len(svg))
		}
	}
}

func TestTicksAreRound(t *testing.T) {
	for _, c := range []struct {
		axis   Axis
		values []float64
		want   string
	}{
		{Axis{}, []float64{0, 811}, "0 200 400 600 800 1,000"},
		{Axis{}, []float64{0, 30}, "0 5 10 15 20 25 30"},
		{Axis{}, []float64{0.013}, "0 0.005 0.01 0.015"},
		{Axis{}, []float64{-3, 9}, "-4 -2 0 2 4 6 8 10"},
		{Axis{}, []float64{0}, "0 0.2 0.4 0.6 0.8 1"},
		{Axis{}, []float64{5e6, 2e7}, "0 5 million 10 million 15 million 20 million"},
		{Axis{Log: true}, []float64{3, 70}, "2 5 10 20 50 100"},
		{Axis{Log: true}, []float64{1, 1e6}, "1 10 100 1,000 10,000 100,000 1 million"},
		{Axis{Log: true}, []float64{10}, "5 10 20"},
		{Axis{Log: true}, []float64{1e-3, 1}, "0.001 0.002 0.005 0.01 0.02 0.05 0.1 0.2 0.5 1"},
		{Axis{Ticks: []float64{2, 30}}, []float64{4}, "2 30"},
	} {
		s := newScale(&c.axis, c.values, true, ticksUp)
		var got []string
		for _, v := range s.ticks {
			got = append(got, label(v))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("ticks for %v, %+v: %v, want %s", c.values, c.axis, got, c.want)
		}
	}
}

// TestAnyChart draws whatever is within the limits: it never fails, is XML, and all lies on the canvas.
func TestAnyChart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 30, 60)
		number := rapid.OneOf(rapid.Float64Range(1e-12, 1e12), rapid.Float64Range(0.5, 500))
		c := Chart{Title: text.Draw(t, "title"), X: Axis{Label: text.Draw(t, "x"), Log: rapid.Bool().Draw(t, "xlog")},
			Y: Axis{Label: text.Draw(t, "y"), Log: rapid.Bool().Draw(t, "ylog")}}
		for i := range rapid.IntRange(1, NamesMax).Draw(t, "curves") {
			s := Series{Name: strings.Repeat("n", i), Whose: Whose(rapid.IntRange(0, 2).Draw(t, "whose"))}
			for range rapid.IntRange(1, 60).Draw(t, "points") {
				s.Points = append(s.Points, Point{number.Draw(t, "px"), number.Draw(t, "py")})
			}
			c.Series = append(c.Series, s)
		}
		svg, err := c.SVG()
		if err != nil {
			t.Fatal(err)
		}
		wellFormed(t, svg)
		if len(svg) > 1<<20 {
			t.Fatalf("%d octets", len(svg))
		}
	})
}
