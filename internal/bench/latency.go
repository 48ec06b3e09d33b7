package bench

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// histogramStep is the ratio of neighbouring bucket bounds: a percentile is at most 2 % off.
const histogramStep = 1.02

// histogramBuckets reaches from 1 µs to beyond DurationMax in steps of histogramStep.
const histogramBuckets = 1300

// Latency is a distribution of durations. It keeps counts, not samples, so a long run needs no
// more memory than a short one. The zero value is empty and ready. Not safe for concurrent use.
type Latency struct {
	counts [histogramBuckets]uint32
	n      int64
	sum    time.Duration
	max    time.Duration
}

// Record adds one duration.
func (l *Latency) Record(d time.Duration) {
	d = max(d, 0)
	i := 0
	if us := float64(d) / float64(time.Microsecond); us > 1 {
		i = min(int(math.Ceil(math.Log(us)/math.Log(histogramStep))), histogramBuckets-1)
	}
	l.counts[i]++
	l.n++
	l.sum += d
	l.max = max(l.max, d)
}

// Add adds all of o's durations.
func (l *Latency) Add(o *Latency) {
	for i, c := range o.counts {
		l.counts[i] += c
	}
	l.n += o.n
	l.sum += o.sum
	l.max = max(l.max, o.max)
}

// Count gives the number of durations recorded.
func (l *Latency) Count() int64 { return l.n }

// Max gives the largest duration recorded, exactly.
func (l *Latency) Max() time.Duration { return l.max }

// Mean gives the mean, 0 if nothing was recorded.
func (l *Latency) Mean() time.Duration {
	if l.n == 0 {
		return 0
	}
	return l.sum / time.Duration(l.n)
}

// Percentile gives a duration that is not exceeded by the share p (0 to 1) of all; it is at most
// 2 % too large. 0 if nothing was recorded.
func (l *Latency) Percentile(p float64) time.Duration {
	rank := int64(math.Ceil(p * float64(l.n)))
	var seen int64
	for i, c := range l.counts {
		if seen += int64(c); c > 0 && seen >= rank {
			return min(time.Duration(math.Pow(histogramStep, float64(i))*float64(time.Microsecond)), l.max)
		}
	}
	return l.max
}

// String gives the count and the usual percentiles.
func (l Latency) String() string {
	return fmt.Sprintf("%d, ms: p50 %.1f p90 %.1f p99 %.1f p99.9 %.1f max %.1f", l.n,
		ms(l.Percentile(.5)), ms(l.Percentile(.9)), ms(l.Percentile(.99)), ms(l.Percentile(.999)), ms(l.max))
}

// MarshalJSON gives the count, mean and percentiles in milliseconds.
func (l Latency) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Count int64   `json:"count"`
		Mean  float64 `json:"mean_ms"`
		P50   float64 `json:"p50_ms"`
		P90   float64 `json:"p90_ms"`
		P99   float64 `json:"p99_ms"`
		P999  float64 `json:"p999_ms"`
		Max   float64 `json:"max_ms"`
	}{l.n, ms(l.Mean()), ms(l.Percentile(.5)), ms(l.Percentile(.9)), ms(l.Percentile(.99)), ms(l.Percentile(.999)), ms(l.max)})
}

func ms(d time.Duration) float64 { return math.Round(float64(d)/float64(time.Microsecond)) / 1000 }
