package plot

// colours are those of Okabe and Ito without the yellow, which is pale on white; the order puts those
// first that differ most.
func colour(i int) string {
	return [NamesMax]string{"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F"}[i%NamesMax]
}

// paint gives each name its colour and marker: by the order in which names first come.
func paint(keys []key) map[string]int {
	m := map[string]int{}
	for _, k := range keys {
		if _, ok := m[k.name]; !ok {
			m[k.name] = len(m)
		}
	}
	return m
}

// dashes gives the attributes of a curve's line.
func (w Whose) dashes() string {
	switch w {
	case Published:
		return ` stroke-dasharray="8 5"`
	case Computed:
		return ` stroke-dasharray="1.5 4.5" stroke-linecap="round"`
	default:
		return ""
	}
}

// String names the source, as the legend does.
func (w Whose) String() string {
	switch w {
	case Published:
		return "published"
	case Computed:
		return "computed"
	default:
		return "measured here"
	}
}

// legend draws a key for each name, then one for each source if there are several. It gives the
// place of its last line.
func (c *canvas) legend(left, y float64, keys []key, bars bool) float64 {
	const swatch, gap = 30, 22
	names := paint(keys)
	sources := map[Whose]bool{}
	for _, k := range keys {
		sources[k.whose] = true
	}
	x := left
	place := func(name string) {
		w := swatch + 6 + textWidth(name, textSize)
		if x > left && x+w > Width-marginRight {
			x, y = left, y+lineHeight
		}
		c.text(x+swatch+6, y, textSize, ink, "start", "", name)
		x += w + gap
	}
	drawn := map[string]bool{}
	if len(names) > 1 || keys[0].name != "" {
		for _, k := range keys {
			if drawn[k.name] {
				continue
			}
			drawn[k.name] = true
			own := soleSource(keys, k.name)
			x0 := x
			y0 := y
			place(k.name)
			if y != y0 { // it went to the next line
				x0 = left
			}
			if bars {
				c.bar(x0+6, y-11, 18, 13, colour(names[k.name]), own)
			} else {
				c.line(x0, y-4.5, x0+swatch, y-4.5, colour(names[k.name]), 2.5, own.dashes())
				c.marker(x0+swatch/2, y-4.5, names[k.name], own)
			}
		}
	}
	if len(sources) < 2 && !sources[Published] && !sources[Computed] {
		return y
	}
	if len(drawn) > 0 {
		x, y = left, y+lineHeight
	}
	for _, w := range []Whose{Measured, Published, Computed} {
		if !sources[w] {
			continue
		}
		x0 := x
		place(w.String())
		if bars {
			c.bar(x0+6, y-11, 18, 13, faint, w)
		} else {
			c.line(x0, y-4.5, x0+swatch, y-4.5, faint, 2.5, w.dashes())
		}
	}
	return y
}

// soleSource gives the source of a name: how its key is drawn. With several it is the first in the
// order of the sources, so that what was measured wins.
func soleSource(keys []key, name string) Whose {
	best := Computed
	for _, k := range keys {
		if k.name == name {
			best = min(best, k.whose)
		}
	}
	return best
}

// marker draws the mark of a point: full for what was measured, hollow for the rest.
func (c *canvas) marker(x, y float64, i int, w Whose) {
	fill, stroke := colour(i), colour(i)
	if w != Measured {
		fill = "#ffffff"
	}
	style := ` fill="` + fill + `" stroke="` + stroke + `" stroke-width="1.6"`
	p := func(dx, dy float64) string { return num(x+dx) + "," + num(y+dy) }
	switch i % 5 {
	case 0:
		c.printf("<circle cx=\"%s\" cy=\"%s\" r=\"4\"%s/>\n", num(x), num(y), style)
	case 1:
		c.printf("<rect x=\"%s\" y=\"%s\" width=\"7.4\" height=\"7.4\"%s/>\n", num(x-3.7), num(y-3.7), style)
	case 2:
		c.printf("<polygon points=\"%s %s %s\"%s/>\n", p(0, -5), p(4.8, 3.6), p(-4.8, 3.6), style)
	case 3:
		c.printf("<polygon points=\"%s %s %s %s\"%s/>\n", p(0, -5.2), p(5.2, 0), p(0, 5.2), p(-5.2, 0), style)
	default:
		c.printf("<polygon points=\"%s %s %s\"%s/>\n", p(0, 5), p(4.8, -3.6), p(-4.8, -3.6), style)
	}
}

// bar draws one: full for what was measured, pale with a dashed edge for the rest.
func (c *canvas) bar(x, y, w, h float64, fill string, whose Whose) {
	more := ` fill="` + fill + `"`
	if whose != Measured {
		more = ` fill="` + fill + `" fill-opacity="0.18" stroke="` + fill + `" stroke-width="1.4" stroke-dasharray="4 2.5"`
	}
	c.printf("<rect x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\"%s/>\n", num(x), num(y), num(w), num(h), more)
}
