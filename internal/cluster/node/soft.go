package node

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/softstate"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
)

// soft is the soft state that this node manages.
type soft struct {
	mu      sync.Mutex // never held across I/O; the view changes under it, too
	manager *softstate.Manager
}

// carry carries out what the reporter wants: scans of the disk and pushes to managers.
func (l *loop) carry(o softstate.Output) {
	for _, s := range o.Scans {
		l.n.async(func(ctx context.Context) { l.n.scan(ctx, s) })
	}
	for _, p := range o.Pushes {
		l.push(p)
	}
	l.wake()
}

// scan reads the buckets asked for, until they come to more than one push can take.
func (n *Node) scan(ctx context.Context, s softstate.Scan) {
	var got []softstate.Scanned
	holdings, bytes := 0, 0
	for _, b := range s.Buckets {
		if holdings > softstate.PushHoldingsMax || bytes > softstate.PushBytesMax {
			break
		}
		one := softstate.Scanned{Bucket: b}
		_, err := n.cfg.Store.ScanBucket(b, func(h cluster.Holding) error {
			one.Holdings = append(one.Holdings, h)
			bytes += softstate.SizeOf(&h)
			return ctx.Err()
		})
		if ctx.Err() != nil {
			return // the node is stopping
		}
		if err != nil {
			n.log.Error("bucket scan failed; it will be tried again", "bucket", b, "err", err)
			n.answer(func(l *loop) { l.reporter.ScanFailed(s.Attempt, l.now()) })
			return
		}
		holdings += len(one.Holdings)
		got = append(got, one)
	}
	n.stats.scanned.Add(int64(len(got)))
	n.answer(func(l *loop) { l.carry(l.reporter.Scanned(s.Attempt, got, l.now())) })
}

// push delivers a push to its manager: to this node by a plain call, to others by the transport.
// The answer comes back as an event: the reporter is in the middle of its output now.
func (l *loop) push(o softstate.Outgoing) {
	n := l.n
	answered := func(err error) {
		n.answer(func(l *loop) { l.carry(l.reporter.Answered(o.Push.ID, err, l.now())) })
	}
	if o.To == n.cfg.Self.ID {
		err := n.receive(o.Push)
		n.async(func(context.Context) { answered(err) })
		return
	}
	n.async(func(ctx context.Context) {
		select {
		case l.calling <- struct{}{}:
			defer func() { <-l.calling }()
		case <-ctx.Done():
			return
		}
		answered(n.sendPush(ctx, o))
	})
}

func (n *Node) sendPush(ctx context.Context, o softstate.Outgoing) error {
	m, ok := n.View().Member(o.To)
	if !ok {
		return departed(call.MethodPush, o.To)
	}
	ctx, cancel := context.WithTimeout(ctx, softstate.PushTimeout)
	defer cancel()
	req := call.PushRequest{Epoch: o.Push.Epoch, Holdings: o.Push.Holdings, Complete: o.Push.Complete}
	_, err := n.call(ctx, m, &transport.Request{Method: call.MethodPush, Payload: req.Marshal()})
	n.stats.pushes.Add(1)
	if err != nil {
		n.stats.pushFailures.Add(1)
	}
	return err
}

// receive hands a push to the manager of this node.
func (n *Node) receive(p *softstate.Push) error {
	n.soft.mu.Lock()
	defer n.soft.mu.Unlock()
	err := n.soft.manager.Receive(p, n.cfg.Now())
	n.owners.Store(n.soft.manager.Counts().Owners)
	return err
}

// waiter is a commit that waits until the owner's manager has heard of a holding.
type waiter struct {
	holding cluster.Holding
	heard   chan struct{}
	gone    atomic.Bool // nobody waits any more
}

var errLate = errors.New("the manager did not answer in time")

// register tells the managers of owners whose holdings a commit has changed, and waits until they
// have heard, at most RegisterWait for all. It gives the owners whose managers have not: for them
// the reporter goes on, in this view and the next, until they have. The error is of a holding that
// could not be read.
func (n *Node) register(ctx context.Context, owners []string) (late []cluster.Holding, err error) {
	waiters := make([]*waiter, 0, len(owners))
	for _, owner := range owners {
		h, readErr := n.cfg.Store.Holding(owner)
		if readErr != nil {
			err = readErr // the others are told all the same
			continue
		}
		waiters = append(waiters, &waiter{holding: h, heard: make(chan struct{})})
	}
	ctx, cancel := context.WithTimeoutCause(ctx, RegisterWait, errLate)
	defer cancel()
	tell := func(l *loop) { l.register(waiters) }
	if n.post(ctx, tell) != nil { // the commit is made: the manager must hear of it all the same
		n.async(func(context.Context) { n.answer(tell) })
	}
	for _, w := range waiters {
		select {
		case <-w.heard:
			continue
		case <-ctx.Done():
		case <-n.stopped:
		}
		w.gone.Store(true)
		late = append(late, w.holding)
	}
	if len(late) > 0 && errors.Is(context.Cause(ctx), errLate) {
		n.stats.registerLate.Add(int64(len(late)))
		n.log.Warn("managers not told yet of changed holdings; going on in the background", "owners", len(late), "owner", late[0].Owner)
	}
	return late, err
}

// register adds to what the reporter owes.
func (l *loop) register(waiters []*waiter) {
	l.tellSole() // BEFORE a commit is acknowledged that makes this node the only one
	for _, w := range waiters {
		owner := w.holding.Owner
		l.waiters[owner] = append(l.waiters[owner], w)
	}
	var all softstate.Output
	for _, w := range waiters {
		o := l.reporter.Register(w.holding, l.now())
		all.Scans = append(all.Scans, o.Scans...)
		all.Pushes = append(all.Pushes, o.Pushes...)
	}
	l.carry(all)
}

// wake releases the commits whose managers have heard, and forgets those that have given up.
func (l *loop) wake() {
	for owner, list := range l.waiters {
		rest := list[:0]
		for _, w := range list {
			switch {
			case w.gone.Load():
			case l.reporter.Heard(owner, w.holding.Seq):
				close(w.heard)
			default:
				rest = append(rest, w)
			}
		}
		clear(list[len(rest):])
		if l.waiters[owner] = rest; len(rest) == 0 {
			delete(l.waiters, owner)
		}
	}
	l.n.stats.owedBuckets.Store(int64(l.reporter.OwedBuckets()))
	l.n.stats.owedHoldings.Store(int64(l.reporter.OwedHoldings()))
	l.n.stats.full.Store(l.reporter.Full())
}

// counts is the size of the soft state managed here.
func (n *Node) counts() softstate.Counts {
	n.soft.mu.Lock()
	defer n.soft.mu.Unlock()
	c := n.soft.manager.Counts()
	n.owners.Store(c.Owners)
	return c
}
