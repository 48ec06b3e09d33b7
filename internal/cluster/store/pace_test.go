package store

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	var p pace
	step := func(name string, calls, groups int, since, want time.Duration) {
		t.Helper()
		for range groups {
			p.committed(calls)
		}
		if d := p.wait(since); d != want {
			t.Errorf("%s: waits %v, want %v", name, d, want)
		}
	}
	step("nothing committed yet", 0, 0, 0, 0)
	step("a lone caller", 1, 1000, 0, 0)
	step("one crowded group", 12, 1, 0, 0)
	step("a crowd", 5, 100, 0, commitSpacing)
	step("a crowd, some time after", 5, 0, commitSpacing/3, commitSpacing-commitSpacing/3)
	step("a slow disk", 5, 0, 20*time.Millisecond, 0)
	step("a lone caller again", 1, 50, 0, 0)
}
