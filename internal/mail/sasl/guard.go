package sasl

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// Defaults of GuardConfig.
const (
	GuardEntriesMaxDefault    = 32 << 10
	GuardParallelMaxDefault   = 64
	GuardPerNetworkMaxDefault = 32
	GuardQueueMaxDefault      = 1024
	GuardWaitMaxDefault       = 30 * time.Second
	GuardForgetAfterDefault   = 15 * time.Minute
)

// GuardConfig holds the limits of a Guard; zero means the default.
type GuardConfig struct {
	EntriesMax    int // networks and accounts remembered; the longest untouched is forgotten first
	ParallelMax   int // passwords being checked at once
	PerNetworkMax int // attempts from one network being checked or delayed at once
	// QueueMax bounds the attempts that wait for anything at once: those of trusted pairs, and
	// those of all others. Of the latter, one network may have an eighth.
	QueueMax    int
	WaitMax     time.Duration // longest an attempt is made to wait; one that owes more is refused
	ForgetAfter time.Duration // failures are forgotten so long after the last one
	// Secret keys the hashes that networks and accounts are kept as. Nodes that share their records
	// (Guard.Share) have the same one. Empty: drawn at random.
	Secret []byte
}

// queueShare is which part of QueueMax one network may have: one in so many.
const queueShare = 8

// Guard slows down the guessing of passwords (attack 9). It counts failures by network (one IPv4
// address or one IPv6 /64; also the IPv6 /48, which forgives more) and by account. Before the
// next attempt's password is looked at, the attempt waits: 2 s after one failure, then 4, 8, 15.
// Attempts from one network wait one after the other, however many connections they come by, so
// a network in disgrace gets four guesses a minute. Attempts on one account from many networks
// wait each for itself, so that nobody can lock the owner out.
//
// A pair of network and account that has logged in before is trusted: it pays for its own
// failures only. So the owner of an account under attack is not slowed down where he is known,
// nor by a neighbour behind the same address who has forgotten his password. A success takes
// back the failures that the same pair had caused, and no others: an attacker cannot clear his
// record by logging in to an account of his own.
//
// What is too much to wait (WaitMax, QueueMax) is refused with KindLimit, which is temporary.
//
// Nodes tell each other what happened (Share), so that an attacker gains nothing by going from node to node: a
// failure elsewhere counts here, and puts off the next attempt here by as much as one here would, after those
// that wait already. Without it, or while the network is parted, each node counts for itself. Memory is
// bounded by EntriesMax; names are kept as keyed hashes.
type Guard struct {
	cfg      GuardConfig
	news     chan event    // for the other nodes; nil: nobody is told
	parallel chan struct{} // a slot for each password being checked

	mu       sync.Mutex
	record   record
	waiting  [2]int                  // of untrusted pairs, of trusted ones
	networks map[netip.Prefix]*queue // only of networks with attempts under way
}

// queue is the slots of one network.
type queue struct {
	slots chan struct{}
	users int // attempts that hold or want a slot; the queue goes when there are none
}

// NewGuard makes a Guard; the error says which limit is negative.
func NewGuard(cfg GuardConfig) (*Guard, error) {
	for _, l := range []struct {
		name     string
		value    *int
		fallback int
	}{
		{"EntriesMax", &cfg.EntriesMax, GuardEntriesMaxDefault},
		{"ParallelMax", &cfg.ParallelMax, GuardParallelMaxDefault},
		{"PerNetworkMax", &cfg.PerNetworkMax, GuardPerNetworkMaxDefault},
		{"QueueMax", &cfg.QueueMax, GuardQueueMaxDefault},
	} {
		if *l.value < 0 {
			return nil, fmt.Errorf("sasl guard: %s is %d; want a positive number, or 0 for the default", l.name, *l.value)
		}
		if *l.value == 0 {
			*l.value = l.fallback
		}
	}
	if cfg.WaitMax < 0 || cfg.ForgetAfter < 0 {
		return nil, fmt.Errorf("sasl guard: WaitMax %v and ForgetAfter %v must not be negative", cfg.WaitMax, cfg.ForgetAfter)
	}
	if cfg.WaitMax == 0 {
		cfg.WaitMax = GuardWaitMaxDefault
	}
	if cfg.ForgetAfter == 0 {
		cfg.ForgetAfter = GuardForgetAfterDefault
	}
	if len(cfg.Secret) == 0 {
		cfg.Secret = make([]byte, 32)
		rand.Read(cfg.Secret) // never fails (crypto/rand)
	}
	return &Guard{
		cfg:      cfg,
		parallel: make(chan struct{}, cfg.ParallelMax),
		record:   newRecord(cfg.EntriesMax, cfg.ForgetAfter),
		networks: make(map[netip.Prefix]*queue),
	}, nil
}

// Outcome is how an attempt ended.
type Outcome uint8

const (
	Undecided Outcome = iota // nothing was learned of the password
	Succeeded
	Failed
)

// Attempt is a permission to look at one password.
type Attempt struct {
	guard   *Guard
	keys    keys
	network netip.Prefix
	queue   *queue // nil if trusted
}

// Admit waits until a password for that login, from that client, may be looked at. The caller
// then looks, at once, and calls Done. An error is of KindLimit (too many attempts) or
// KindUnavailable (ctx ended).
func (g *Guard) Admit(ctx context.Context, c mail.Client, login string) (*Attempt, error) {
	a := &Attempt{guard: g, keys: g.keysOf(c.Remote, login), network: mail.NetworkOf(c.Remote)}
	waiting, err := g.enqueue(a)
	if err != nil {
		return nil, err
	}
	err = a.wait(ctx)
	g.mu.Lock()
	*waiting--
	g.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return a, nil
}

// enqueue lets an attempt wait, and gives the count that it is in until it has waited.
func (g *Guard) enqueue(a *Attempt) (waiting *int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	trusted := g.record.isTrusted(a.keys)
	if waiting = &g.waiting[0]; trusted {
		waiting = &g.waiting[1]
	}
	if *waiting >= g.cfg.QueueMax {
		return nil, cluster.Errorf(cluster.KindLimit, "admit login", "%d attempts are waiting; try again later", *waiting)
	}
	if !trusted {
		q := g.networks[a.network]
		if q != nil && q.users >= g.cfg.PerNetworkMax+g.cfg.QueueMax/queueShare {
			return nil, cluster.Errorf(cluster.KindLimit, "admit login", "%d attempts from one network are waiting; try again later", q.users)
		}
		a.queue = g.joinLocked(a.network)
	}
	*waiting++
	return waiting, nil
}

// wait takes the network's slot, sits out the penalty and takes a slot for checking. On an error
// it has given back what it had taken.
func (a *Attempt) wait(ctx context.Context) error {
	g := a.guard
	deadline := time.Now().Add(g.cfg.WaitMax)
	limited, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if a.queue != nil && !take(limited, a.queue.slots) {
		a.leave(false)
		return tooMuch(ctx)
	}
	if !a.penance(limited, deadline) || !take(limited, g.parallel) {
		a.leave(true)
		return tooMuch(ctx)
	}
	return nil
}

// penance sits out the penalty, and what failures at other nodes add to it meanwhile; false if that takes until
// after the deadline, or ctx ends.
func (a *Attempt) penance(ctx context.Context, deadline time.Time) bool {
	g := a.guard
	now := time.Now()
	g.mu.Lock()
	wait, mark, ok := g.record.reserve(a.keys, now, deadline.Sub(now))
	g.mu.Unlock()
	for ok && wait > 0 {
		if !sleep(ctx, wait) {
			return false
		}
		g.mu.Lock()
		added := g.record.added(a.keys)
		g.mu.Unlock()
		wait, mark = added-mark, added
	}
	return ok
}

// Done ends the attempt; it must be called exactly once.
func (a *Attempt) Done(o Outcome) {
	g := a.guard
	<-g.parallel
	g.mu.Lock()
	e, told := g.record.settle(a.keys, time.Now(), o)
	g.mu.Unlock()
	if told {
		g.publish(e)
	}
	a.leave(true)
}

// leave gives the network's slot back, if the attempt holds one, and leaves its queue.
func (a *Attempt) leave(holds bool) {
	if a.queue == nil {
		return
	}
	if holds {
		<-a.queue.slots
	}
	a.guard.mu.Lock()
	defer a.guard.mu.Unlock()
	if a.queue.users--; a.queue.users == 0 {
		delete(a.guard.networks, a.network)
	}
}

// joinLocked joins the queue of a network. Preconditions: g.mu is held.
func (g *Guard) joinLocked(n netip.Prefix) *queue {
	q := g.networks[n]
	if q == nil {
		q = &queue{slots: make(chan struct{}, g.cfg.PerNetworkMax)}
		g.networks[n] = q
	}
	q.users++
	return q
}

// take takes a slot of a semaphore; false if ctx ended first.
func take(ctx context.Context, slots chan struct{}) bool {
	select {
	case slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// sleep waits that long; false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// tooMuch is the error of an attempt that waited long enough, or whose ctx ended.
func tooMuch(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return cluster.Errorf(cluster.KindUnavailable, "admit login", "%w", err)
	}
	return cluster.Errorf(cluster.KindLimit, "admit login", "too many failed attempts; try again later")
}

// keysOf gives the keys under which an attempt is counted.
func (g *Guard) keysOf(from netip.Addr, login string) keys {
	network := mail.NetworkOf(from)
	login = nameOf(login)
	k := keys{
		network: g.hash("network", network.String()),
		account: g.hash("account", login),
		pair:    g.hash("pair", network.String(), login),
	}
	if site, ok := mail.SiteOf(network); ok {
		k.site, k.hasSite = g.hash("site", site.String()), true
	}
	return k
}

// hash is the same on all nodes with one secret, and tells nothing without it.
func (g *Guard) hash(parts ...string) uint64 {
	mac := hmac.New(sha256.New, g.cfg.Secret)
	for _, part := range parts {
		mac.Write([]byte(part))
		mac.Write([]byte{0})
	}
	return binary.BigEndian.Uint64(mac.Sum(nil))
}
