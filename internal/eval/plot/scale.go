package plot

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// ticksMax is how many ticks an axis may be given.
const ticksMax = 24

// About how many ticks are chosen where none are given: up and down, and from left to right.
const (
	ticksUp     = 6
	ticksAcross = 10
)

// scale maps numbers to places on the canvas.
type scale struct {
	log      bool
	min, max float64 // numbers at the ends
	from, to float64 // their places
	ticks    []float64
}

// newScale gives a scale that shows all values, and zero if asked, with about so many ticks at round numbers.
func newScale(a *Axis, values []float64, zero bool, wanted float64) scale {
	lo, hi := slices.Min(values), slices.Max(values)
	for _, v := range a.Ticks {
		lo, hi = min(lo, v), max(hi, v)
	}
	s := scale{log: a.Log}
	if a.Log {
		s.min, s.max = lo, hi
		if hi/lo < 1.01 {
			s.min, s.max = lo/2, hi*2
		}
		s.ticks = logTicks(s.min, s.max, wanted)
		if a.Ticks != nil {
			s.ticks = slices.Clone(a.Ticks)
		}
		s.min, s.max = min(s.min, slices.Min(s.ticks)), max(s.max, slices.Max(s.ticks))
		return s
	}
	if zero {
		lo, hi = min(lo, 0), max(hi, 0)
	}
	if hi == lo {
		hi++
	}
	step := roundStep((hi - lo) / wanted)
	s.min, s.max = math.Floor(lo/step+1e-9)*step, math.Ceil(hi/step-1e-9)*step
	if a.Ticks != nil {
		s.ticks = slices.Clone(a.Ticks)
		s.min, s.max = lo, hi
		return s
	}
	for i := 0.0; s.min+i*step <= s.max+step/2; i++ {
		s.ticks = append(s.ticks, s.min+i*step)
	}
	return s
}

// roundStep gives the 1, 2 or 5 times a power of ten that is next above.
func roundStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*power*(1+1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// logTicks gives powers of ten around a range; in a short one also twice and five times each.
func logTicks(lo, hi, wanted float64) []float64 {
	first, last := math.Floor(math.Log10(lo)+1e-9), math.Ceil(math.Log10(hi)-1e-9)
	if last == first {
		last++
	}
	every := math.Ceil((last - first) / (2 * wanted))
	var all []float64
	for e := first; e <= last; e += every {
		for _, m := range []float64{1, 2, 5} {
			if m == 1 || last-first <= 3 && e < last {
				all = append(all, m*math.Pow(10, e))
			}
		}
	}
	// What lies outside and is not needed to enclose the range goes away.
	from, to := 0, len(all)-1
	for from+1 < len(all) && all[from+1] <= lo*(1+1e-9) {
		from++
	}
	for to-1 > from && all[to-1] >= hi*(1-1e-9) {
		to--
	}
	return all[from : to+1]
}

// at gives the place of a number.
func (s *scale) at(v float64) float64 {
	lo, hi := s.min, s.max
	if s.log {
		v, lo, hi = math.Log(v), math.Log(lo), math.Log(hi)
	}
	return s.from + (v-lo)/(hi-lo)*(s.to-s.from)
}

// label formats a number as short as it can be told from its neighbours: 1,500 and 2.5 and 10 million.
func label(v float64) string {
	switch abs := math.Abs(v); {
	case abs >= 1e9:
		return strconv.FormatFloat(v/1e9, 'g', 4, 64) + " billion"
	case abs >= 1e6:
		return strconv.FormatFloat(v/1e6, 'g', 4, 64) + " million"
	case abs >= 1000:
		return thousands(math.Round(v))
	case abs < 1e-6:
		return "0"
	default:
		return strconv.FormatFloat(round(v, 6), 'f', -1, 64)
	}
}

// thousands writes a whole number with commas.
func thousands(v float64) string {
	digits := strconv.FormatFloat(math.Abs(v), 'f', 0, 64)
	var b strings.Builder
	if v < 0 {
		b.WriteByte('-')
	}
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// value formats a measured number with three digits that mean something.
func value(v float64) string {
	if math.Abs(v) >= 1000 {
		return label(v)
	}
	return label(round(v, 3))
}

// round keeps so many digits of a number.
func round(v float64, digits int) float64 {
	r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', digits, 64), 64)
	if err != nil {
		return v
	}
	return r
}
