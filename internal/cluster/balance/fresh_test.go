package balance

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkFresh computes the throughput for how old a load may be and still count. "calls" are news as they are in a
// cluster: on each call and each answer, and no others. "1s" and "2s" are news of all nodes at once every so often. Run it
// with -benchtime 1x: it is no measure of time.
func BenchmarkFresh(b *testing.B) {
	queue, fsync := disk{each: modelService}, disk{base: 8 * time.Millisecond, each: time.Millisecond / 2}
	for _, c := range []struct {
		name  string
		disks []disk
	}{
		{"queue,30", alike(30, queue)}, {"queue,30,1 of a tenth", slowOne()},
		{"queue,100", alike(100, queue)}, {"queue,100,1 of a tenth", with(alike(100, queue), 1, disk{each: 10 * modelService})},
		{"fsync,30", alike(30, fsync)}, {"fsync,30,1 of a tenth", with(alike(30, fsync), 1, disk{base: 10 * fsync.base, each: 10 * fsync.each})},
	} {
		for _, news := range []string{"calls", "1s", "2s"} {
			for _, outstanding := range []int{1, 6} {
				for _, spread := range []int{2, 4} {
					for _, fresh := range []time.Duration{200 * time.Millisecond, 500 * time.Millisecond, time.Second, FreshMax, 10 * time.Second} {
						b.Run(fmt.Sprintf("%s/%s/%d under way/D%d/%v", c.name, news, outstanding, spread, fresh), func(b *testing.B) {
							p := play{disks: c.disks, measure: perGroup, spread: spread, fresh: fresh, outstanding: outstanding, length: 24 * time.Second}
							var err error
							if p.age, err = time.ParseDuration(news); err != nil {
								p.age, p.calls = time.Hour, true
							}
							var o outcome
							for b.Loop() {
								o = p.run()
							}
							b.ReportMetric(o.rate, "messages/s")
							b.ReportMetric(float64(o.mean.Milliseconds()), "ms-mean")
							b.ReportMetric(float64(o.p99.Milliseconds()), "ms-p99")
						})
					}
				}
			}
		}
	}
}

// Where one disk of thirty is ten times slower and there is little to do, news of seconds ago are what keeps messages away
// from it: who forgets them after half a second loses a seventh.
func TestModel_NewsOfSecondsStillCount(t *testing.T) {
	if testing.Short() {
		t.Skip("seconds of computing")
	}
	p := play{disks: slowOne(), measure: perGroup, spread: 2, age: time.Hour, calls: true, outstanding: 1, length: 24 * time.Second}
	ours := p.run()
	p.fresh = 500 * time.Millisecond
	if short := p.run(); ours.rate < 1.1*short.rate {
		t.Errorf("%.0f messages/s, and %.0f if news counted for %v: want a tenth more", ours.rate, short.rate, p.fresh)
	}
}
