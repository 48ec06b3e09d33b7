package upkeep

import (
	"context"
	"sync"
	"time"
)

// throttle bounds a rate of objects and of bytes. What it lets pass is owed: the next one waits until
// the debt is paid. So one large object passes at once, and what follows waits for it.
type throttle struct {
	perObject time.Duration
	perByte   float64 // seconds

	mu   sync.Mutex
	free time.Time // when the debt is paid
}

func newThrottle(objects int, bytes int64) *throttle {
	return &throttle{perObject: time.Second / time.Duration(max(objects, 1)), perByte: 1 / float64(max(bytes, 1))}
}

// wait lets one object pass; false if ctx ended first.
func (t *throttle) wait(ctx context.Context, bytes int64) bool {
	cost := max(t.perObject, time.Duration(float64(bytes)*t.perByte*float64(time.Second)))
	t.mu.Lock()
	now := time.Now()
	if t.free.Before(now) {
		t.free = now
	}
	pause := t.free.Sub(now)
	t.free = t.free.Add(cost)
	t.mu.Unlock()
	if pause < minPause {
		return ctx.Err() == nil // timers are coarser: the debt adds up until one pays
	}
	return sleep(ctx, pause)
}

// minPause is the shortest pause that is made.
const minPause = 5 * time.Millisecond
