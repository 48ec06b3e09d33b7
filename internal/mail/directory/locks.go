package directory

import (
	"context"
	"sync"

	"porcupine/internal/cluster"
)

// changesMax bounds the changes that run or wait at one manager.
const changesMax = 256

// nameLocks lets one change run at a time for each name. A name's lock is a channel of one
// element and not a mutex, so that waiting ends with the caller's context.
type nameLocks struct {
	mu    sync.Mutex
	locks map[string]*nameLock
	total int
}

type nameLock struct {
	held  chan struct{}
	users int // that hold it or wait for it
}

func newNameLocks() *nameLocks { return &nameLocks{locks: make(map[string]*nameLock)} }

// lock waits for the name. KindLimit: too many changes at once.
func (l *nameLocks) lock(ctx context.Context, name string) (unlock func(), err error) {
	l.mu.Lock()
	if l.total == changesMax {
		l.mu.Unlock()
		return nil, cluster.Errorf(cluster.KindLimit, "change "+name, "%d changes run already: try again in a moment", changesMax)
	}
	l.total++
	n := l.locks[name]
	if n == nil {
		n = &nameLock{held: make(chan struct{}, 1)}
		l.locks[name] = n
	}
	n.users++
	l.mu.Unlock()

	select {
	case n.held <- struct{}{}:
		return func() { <-n.held; l.leave(name, n) }, nil
	case <-ctx.Done():
		l.leave(name, n)
		return nil, cluster.Errorf(cluster.KindUnavailable, "change "+name, "%w", context.Cause(ctx))
	}
}

func (l *nameLocks) leave(name string, n *nameLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if n.users--; n.users == 0 {
		delete(l.locks, name)
	}
}
