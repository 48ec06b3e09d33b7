package node

import (
	"context"
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/softstate"
)

// Limits of the usage reports.
const (
	// UsagePeriod is how often the managers are told what the commits since the last time made of
	// the counts and sizes of fragments. Quotas and listings are that much behind.
	UsagePeriod = 2 * time.Second
	// UsageOwnersMax bounds the owners that wait for it; the next commit of one that found no
	// room reports for both.
	UsageOwnersMax = 1 << 16
)

// usage collects the owners whose fragments have grown or shrunk, but neither come nor gone: their
// managers need not hear of every message, which would double the calls of a delivery, only soon.
type usage struct {
	mu     sync.Mutex
	owners map[string]struct{}
	at     time.Time // of the last report
}

func (u *usage) touch(owner string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.owners == nil {
		u.owners = map[string]struct{}{}
	}
	if len(u.owners) < UsageOwnersMax {
		u.owners[owner] = struct{}{}
	}
}

// due takes the owners to report, none before UsagePeriod has passed since the last time.
func (u *usage) due(now time.Time) map[string]struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.owners) == 0 || now.Sub(u.at) < UsagePeriod {
		return nil
	}
	owners := u.owners
	u.owners, u.at = nil, now
	return owners
}

// reportUsage registers the holdings of the owners that are due, as after a commit, but nobody
// waits for it.
func (l *loop) reportUsage(now time.Time) {
	if !l.roomForUsage() {
		return
	}
	owners := l.n.usage.due(now)
	if len(owners) == 0 {
		return
	}
	l.n.async(func(ctx context.Context) {
		for owner := range owners {
			h, err := l.n.cfg.Store.Holding(owner)
			if err != nil {
				l.n.log.Warn("usage not reported", "owner", owner, "err", err)
				continue
			}
			if l.n.post(ctx, func(l *loop) { l.owe(h) }) != nil {
				return // the node is stopping
			}
		}
	})
}

// owe adds one holding to what the reporter owes.
func (l *loop) owe(h cluster.Holding) {
	if !l.roomForUsage() {
		l.n.usage.touch(h.Owner) // next time
		return
	}
	l.carry(l.reporter.Register(h, l.now()))
}

// roomForUsage keeps half of what the reporter may owe for commits that are waiting: usage must
// never make the node refuse new objects because a manager is slow.
func (l *loop) roomForUsage() bool { return l.reporter.OwedHoldings() < softstate.RegistrationsMax/2 }
