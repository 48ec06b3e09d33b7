package plot

import "math"

// valuesSize is the size of the numbers at bars: the largest that fits between these.
const (
	valuesSizeMax = 12.5
	valuesSizeMin = 9
)

// SVG draws the bars as a document of its own.
func (b *Bars) SVG() ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	values := []float64{}
	if !b.Y.Log {
		values = append(values, 0)
	}
	keys := make([]key, 0, len(b.Series))
	for _, s := range b.Series {
		keys = append(keys, key{s.Name, s.Whose})
		for _, v := range s.Values {
			if !math.IsNaN(v) {
				values = append(values, v)
			}
		}
	}
	if len(values) == 0 {
		values = append(values, 1)
	}
	y := newScale(&b.Y, values, true, ticksUp)
	var out canvas
	out.begin(b.Title, describe(b.Note, b.X, b.Y.caption(), keys))
	f := field{top: out.head(b.Title, b.Note, keys, true), bottom: Height - marginBottom, left: leftOf(&y), right: Width - marginRight}
	y.from, y.to = f.bottom, f.top
	out.yAxis(f, &y, &b.Y)
	step := (f.right - f.left) / float64(len(b.Groups))
	w := min(step*0.8/float64(len(b.Series)), 64)
	size := b.valueSize(w)
	colours := paint(keys)
	for g, name := range b.Groups {
		middle := f.left + (float64(g)+0.5)*step
		out.text(middle, f.bottom+20, textSize, faint, "middle", "", name)
		for i, s := range b.Series {
			v := s.Values[g]
			if math.IsNaN(v) {
				continue
			}
			x := middle + (float64(i)-float64(len(b.Series))/2)*w
			from, to := y.at(base(&y)), y.at(v)
			out.bar(x+w*0.06, min(from, to), w*0.88, math.Abs(from-to), colour(colours[s.Name]), s.Whose)
			if size > 0 {
				out.text(x+w/2, min(from, to)-4, size, ink, "middle", "", value(v))
			}
		}
	}
	out.line(f.left, y.at(base(&y)), f.right, y.at(base(&y)), rule, 1.2, "")
	out.text((f.left+f.right)/2, Height-16, textSize, ink, "middle", "", b.X)
	return out.end(), nil
}

// base is where bars begin.
func base(s *scale) float64 {
	if s.log {
		return s.min
	}
	return 0
}

// valueSize gives the size at which the numbers of all bars fit above them, or zero.
func (b *Bars) valueSize(w float64) float64 {
	widest := 1.0
	for _, s := range b.Series {
		for _, v := range s.Values {
			if !math.IsNaN(v) {
				widest = max(widest, textWidth(value(v), 1))
			}
		}
	}
	// The numbers of neighbours are rarely at one height, and the estimate of widths is wide.
	size := min(valuesSizeMax, w*1.12/widest)
	if size < valuesSizeMin {
		return 0
	}
	return size
}
