package mailbox

import (
	"context"
	"errors"
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// substrate is what the locks need of the node.
type substrate interface {
	ID() cluster.NodeID
	View() *cluster.View
	Ask(ctx context.Context, owner, method string, payload []byte) ([]byte, error)
	Serve(method string, handler func(ctx context.Context, from cluster.NodeID, payload []byte) ([]byte, error))
}

// Config of Locks. Zero fields are the defaults.
type Config struct {
	ClusterID cluster.ID    // what owners are hashed to buckets with; required
	Lease     time.Duration // default 30 s
	// Grace is how long after a bucket was assigned only running sessions get their locks;
	// default 700 ms. A failover is longer by this for those who log in anew.
	Grace time.Duration
	// Wait is how long Acquire waits for another session to end, and for the grace; default 2 s.
	Wait     time.Duration
	LocksMax int              // at one manager; default 200,000
	Now      func() time.Time // of the manager's table; default time.Now
}

func (c Config) withDefaults() Config {
	cluster.Default(&c.Lease, 30*time.Second)
	cluster.Default(&c.Grace, 700*time.Millisecond)
	cluster.Default(&c.Wait, 2*time.Second)
	cluster.Default(&c.LocksMax, 200_000)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

const (
	// leaseMargin is the part of a lease by which a session's ends before the manager's.
	leaseMargin = 10 // a tenth
	// renewals is how often a lease is renewed before it would end.
	renewals = 3
	// viewPoll is how often a node looks for a new view on behalf of its sessions.
	viewPoll = 50 * time.Millisecond
	// retryPause is between two questions that were answered "not yet".
	retryPause = 30 * time.Millisecond
	// askTimeout bounds one question to the manager.
	askTimeout = 5 * time.Second
	// releaseTimeout bounds the last one, which a lease can do without.
	releaseTimeout = 2 * time.Second
)

// Locks gives and takes the maildrop locks on one node: for its own sessions, and as manager for
// everybody's. Caller's duties: New, Register before the node starts, Run while it runs.
type Locks struct {
	cluster substrate
	cfg     Config

	mu       sync.Mutex
	table    *table
	sessions map[*Lock]struct{} // of this node
}

// New makes the locks of a node.
func New(node substrate, cfg Config) (*Locks, error) {
	if node == nil {
		return nil, errors.New("mailbox: the node is missing")
	}
	if cfg.ClusterID == (cluster.ID{}) {
		return nil, errors.New("mailbox: the cluster id is missing")
	}
	cfg = cfg.withDefaults()
	return &Locks{
		cluster:  node,
		cfg:      cfg,
		table:    newTable(cfg.Lease, cfg.Grace, cfg.LocksMax),
		sessions: make(map[*Lock]struct{}),
	}, nil
}

// Register makes the node answer for the locks of the users it manages. Call it once, before the
// node starts.
func (l *Locks) Register() { l.cluster.Serve(methodLock, l.serve) }

// Run looks for new views until ctx ends, so that running sessions assert their locks at once
// when their manager changes. Without it they do so at their next renewal.
func (l *Locks) Run(ctx context.Context) {
	ticker := time.NewTicker(viewPoll)
	defer ticker.Stop()
	var last *cluster.View
	for {
		if v := l.cluster.View(); v != last {
			last = v
			l.sawView(v)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// sawView starts the grace of the buckets that came, and wakes the sessions.
func (l *Locks) sawView(v *cluster.View) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.table.observe(v, l.cfg.Now())
	for s := range l.sessions {
		select {
		case s.wake <- struct{}{}:
		default: // it is awake
		}
	}
}

// Held gives the number of locks that this node gives as manager, and that of its own sessions.
// For metrics.
func (l *Locks) Held() (given, sessions int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.table.held), len(l.sessions)
}

// Acquire takes the lock of a user's maildrop for a new session. If another session has it, or
// the manager has just changed, it waits up to Config.Wait. KindUnavailable with mail.ErrInUse:
// another session has it. KindLimit: the manager's table is full. KindUnavailable: the manager
// cannot be asked. The caller must Close the Lock.
func (l *Locks) Acquire(ctx context.Context, u mail.User) (*Lock, error) {
	s := newLock(l, u)
	deadline := time.Now().Add(l.cfg.Wait)
	for {
		err := s.ask(ctx, false)
		if err == nil && s.holds() {
			break
		}
		// A lock of a term that this node does not see yet (or any more) is asked for again.
		if err != nil && !errors.Is(err, errNotYet) && !errors.Is(err, mail.ErrInUse) || !time.Now().Before(deadline) {
			if err == nil {
				err = cluster.Errorf(cluster.KindUnavailable, "lock mailbox "+string(u), "the view is changing: try again")
			}
			s.giveUp(ctx)
			return nil, err
		}
		if err := pause(ctx, retryPause); err != nil {
			s.giveUp(ctx)
			return nil, cluster.Errorf(cluster.KindUnavailable, "lock mailbox "+string(u), "%w", err)
		}
	}
	l.mu.Lock()
	l.sessions[s] = struct{}{}
	l.mu.Unlock()
	go s.keep()
	return s, nil
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
