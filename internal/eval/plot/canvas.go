package plot

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
)

// Size of every drawing, in pixels of the screen; it scales.
const (
	Width  = 800
	Height = 500
)

// Places around the field of the chart.
const (
	marginRight  = 28
	marginBottom = 62
	titleSize    = 19
	noteSize     = 13.5
	textSize     = 13.5
	lineHeight   = 22
)

// Greys: of text, of what is less important, of axes, of the grid.
const (
	ink   = "#1a1a1a"
	faint = "#555555"
	rule  = "#888888"
	grid  = "#e4e4e4"
)

// canvas collects the elements of a drawing.
type canvas struct{ buf bytes.Buffer }

// num writes a place: a tenth of a pixel is enough.
func num(v float64) string {
	s := strconv.FormatFloat(v, 'f', 1, 64)
	s = strings.TrimSuffix(s, ".0")
	if s == "-0" {
		return "0"
	}
	return s
}

// escape makes text safe inside an element and inside a quoted attribute.
func escape(s string) string {
	var b bytes.Buffer
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		panic(err) // invariant: a buffer in memory takes all writes
	}
	return b.String()
}

func (c *canvas) printf(format string, args ...any) { fmt.Fprintf(&c.buf, format, args...) }

func (c *canvas) begin(title, description string) {
	c.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="t d"`+
		` font-family="Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif">`+"\n", Width, Height, Width, Height)
	c.printf("<title id=\"t\">%s</title>\n<desc id=\"d\">%s</desc>\n", escape(title), escape(description))
	c.printf("<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n", Width, Height)
}

func (c *canvas) end() []byte {
	c.printf("</svg>\n")
	return c.buf.Bytes()
}

// text writes a line; anchor is start, middle or end; more holds further attributes.
func (c *canvas) text(x, y, size float64, colour, anchor, more, s string) {
	if s != "" {
		c.printf("<text x=\"%s\" y=\"%s\" font-size=\"%s\" fill=\"%s\" text-anchor=\"%s\"%s>%s</text>\n",
			num(x), num(y), num(size), colour, anchor, more, escape(s))
	}
}

func (c *canvas) line(x1, y1, x2, y2 float64, colour string, width float64, more string) {
	c.printf("<line x1=\"%s\" y1=\"%s\" x2=\"%s\" y2=\"%s\" stroke=\"%s\" stroke-width=\"%s\"%s/>\n",
		num(x1), num(y1), num(x2), num(y2), colour, num(width), more)
}

// textWidth estimates how wide a line of text will be; fonts differ, so it is rather too wide.
func textWidth(s string, size float64) float64 {
	w := 0.0
	for _, r := range s {
		switch {
		case strings.ContainsRune("iljtfrI.,:;'|!()[] ", r):
			w += 0.36
		case strings.ContainsRune("mwMW%@", r):
			w += 0.92
		case r >= 'A' && r <= 'Z':
			w += 0.72
		default:
			w += 0.6
		}
	}
	return w * size
}

// caption is an axis's label with its unit.
func (a *Axis) caption() string {
	if a.Unit == "" {
		return a.Label
	}
	return a.Label + " (" + a.Unit + ")"
}

// field is the place of the chart itself.
type field struct{ left, right, top, bottom float64 }

// head draws title, note and legend, and gives where the field may begin.
func (c *canvas) head(title, note string, keys []key, bars bool) (top float64) {
	const left = 20
	c.text(left, 32, titleSize, ink, "start", ` font-weight="bold"`, title)
	y := 32.0
	if note != "" {
		y += 20
		c.text(left, y, noteSize, faint, "start", "", note)
	}
	return c.legend(left, y+26, keys, bars) + 16
}

// yAxis draws grid, numbers and label of the y axis.
func (c *canvas) yAxis(f field, s *scale, a *Axis) {
	for _, v := range s.ticks {
		y := s.at(v)
		c.line(f.left, y, f.right, y, grid, 1, "")
		c.text(f.left-8, y+4.5, textSize, faint, "end", "", label(v))
	}
	middle := (f.top + f.bottom) / 2
	c.text(24, middle, textSize, ink, "middle", fmt.Sprintf(` transform="rotate(-90 24 %s)"`, num(middle)), a.caption())
}

// leftOf gives where the field begins, so that the numbers of the y axis have room.
func leftOf(s *scale) float64 {
	widest := 0.0
	for _, v := range s.ticks {
		widest = max(widest, textWidth(label(v), textSize))
	}
	return 24 + 12 + widest + 10
}
