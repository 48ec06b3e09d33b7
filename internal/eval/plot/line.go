package plot

import (
	"slices"
	"strings"
)

// markersMax is how many points of a curve get a marker; with more they would hide the curve.
const markersMax = 40

// zeroShare is how far from zero the x axis may begin before it leaves zero out.
const zeroShare = 0.4

// SVG draws the chart as a document of its own.
func (c *Chart) SVG() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	var xs, ys []float64
	keys := make([]key, 0, len(c.Series))
	for _, s := range c.Series {
		keys = append(keys, key{s.Name, s.Whose})
		for _, p := range s.Points {
			xs, ys = append(xs, p.X), append(ys, p.Y)
		}
	}
	x := newScale(&c.X, xs, slices.Min(xs) < zeroShare*slices.Max(xs), ticksAcross)
	y := newScale(&c.Y, ys, true, ticksUp)
	var out canvas
	out.begin(c.Title, describe(c.Note, c.X.caption(), c.Y.caption(), keys))
	f := field{top: out.head(c.Title, c.Note, keys, false), bottom: Height - marginBottom, left: leftOf(&y), right: Width - marginRight}
	x.from, x.to = f.left, f.right
	y.from, y.to = f.bottom, f.top
	out.yAxis(f, &y, &c.Y)
	out.xAxis(f, &x, &c.X)
	for _, m := range c.Marks {
		out.mark(m, f, &x)
	}
	colours := paint(keys)
	// What was published lies under what was measured.
	for _, w := range []Whose{Computed, Published, Measured} {
		for _, s := range c.Series {
			if s.Whose == w {
				out.curve(s, &x, &y, colours[s.Name])
			}
		}
	}
	return out.end(), nil
}

// xAxis draws the axis itself, its numbers and its label. Numbers that would touch are left out.
func (c *canvas) xAxis(f field, s *scale, a *Axis) {
	c.line(f.left, f.bottom, f.right, f.bottom, rule, 1.2, "")
	last := -1e9
	for _, v := range s.ticks {
		x, half := s.at(v), textWidth(label(v), textSize)/2
		c.line(x, f.bottom, x, f.bottom+5, rule, 1.2, "")
		if x-half > last+4 {
			c.text(x, f.bottom+20, textSize, faint, "middle", "", label(v))
			last = x + half
		}
	}
	c.text((f.left+f.right)/2, Height-16, textSize, ink, "middle", "", a.caption())
}

// mark draws one mark. The text has a white rim, so that it can be read on a curve.
func (c *canvas) mark(m Mark, f field, s *scale) {
	x := s.at(m.X)
	c.line(x, f.top, x, f.bottom, rule, 1, ` stroke-dasharray="2 4"`)
	c.text(x+5, f.bottom-8, noteSize, faint, "start", ` paint-order="stroke" stroke="#ffffff" stroke-width="3"`, m.Text)
}

func (c *canvas) curve(s Series, x, y *scale, i int) {
	points := make([]string, len(s.Points))
	for k, p := range s.Points {
		points[k] = num(x.at(p.X)) + "," + num(y.at(p.Y))
	}
	width := "2.5"
	if len(s.Points) > markersMax {
		width = "1.8"
	}
	if len(points) > 1 {
		c.printf("<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"%s\" stroke-linejoin=\"round\"%s/>\n",
			strings.Join(points, " "), colour(i), width, s.Whose.dashes())
	}
	if len(s.Points) > markersMax {
		return
	}
	for _, p := range s.Points {
		c.marker(x.at(p.X), y.at(p.Y), i, s.Whose)
	}
}

// describe says in words what a drawing shows, for those who cannot see it.
func describe(note, x, y string, keys []key) string {
	var b strings.Builder
	if note != "" {
		b.WriteString(note + ". ")
	}
	b.WriteString(y + " over " + x + ": ")
	for i, k := range keys {
		if i > 0 {
			b.WriteString("; ")
		}
		if k.name != "" {
			b.WriteString(k.name + ", ")
		}
		b.WriteString(k.whose.String())
	}
	return b.String()
}
