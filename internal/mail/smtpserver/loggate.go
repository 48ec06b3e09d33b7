package smtpserver

import (
	"sync"
	"time"
)

// Pace of the loud log lines of one Server; see logGate.
const (
	logPeriod    = 10 * time.Second
	logPeriodMax = 20 // lines in a period
)

// logGate keeps one cause, such as a full disk or a manager that is away, from writing a loud line
// for each command of each client.
type logGate struct {
	mu    sync.Mutex
	began time.Time
	lines int // in this period, those kept back included
}

// pass reports whether a line may be loud, and how many were kept back in the period before.
func (g *logGate) pass(now time.Time) (ok bool, keptBack int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Sub(g.began) >= logPeriod {
		keptBack = max(0, g.lines-logPeriodMax)
		g.began, g.lines = now, 0
	}
	g.lines++
	return g.lines <= logPeriodMax, keptBack
}
