package node

import (
	"context"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/softstate"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
)

// carry carries out what the reporter wants: scans of the disk and pushes to managers.
func (l *loop) carry(o softstate.Output) {
	for _, s := range o.Scans {
		l.n.async(l.ctx, func(ctx context.Context) { l.n.scan(s) })
	}
	for _, p := range o.Pushes {
		l.push(p)
	}
	l.wake()
}

// scan reads the buckets asked for, until they come to more than one push can take.
func (n *Node) scan(s softstate.Scan) {
	var got []softstate.Scanned
	holdings := 0
	for _, b := range s.Buckets {
		if holdings > softstate.PushHoldingsMax {
			break
		}
		one := softstate.Scanned{Bucket: b}
		_, err := n.cfg.Store.ScanBucket(b, func(h cluster.Holding) error {
			one.Holdings = append(one.Holdings, h)
			return nil
		})
		if err != nil {
			n.log.Error("bucket scan failed; it will be tried again", "bucket", b, "err", err)
			n.post(func(l *loop) { l.reporter.ScanFailed(s.Attempt, l.now()) })
			return
		}
		holdings += len(one.Holdings)
		got = append(got, one)
	}
	n.stats.scanned.Add(int64(len(got)))
	n.post(func(l *loop) { l.carry(l.reporter.Scanned(s.Attempt, got, l.now())) })
}

// push delivers a push to its manager: to this node by a plain call, to others by the transport.
func (l *loop) push(o softstate.Outgoing) {
	answered := func(err error) {
		l.n.post(func(l *loop) { l.carry(l.reporter.Answered(o.Push.ID, err, l.now())) })
	}
	if o.To == l.n.cfg.Self.ID {
		err := l.n.receive(o.Push)
		// Not answered within this call: the reporter is in the middle of its output.
		l.n.async(l.ctx, func(context.Context) { answered(err) })
		return
	}
	l.n.async(l.ctx, func(ctx context.Context) {
		select {
		case l.calling <- struct{}{}:
			defer func() { <-l.calling }()
		case <-ctx.Done():
			return
		}
		answered(l.n.sendPush(ctx, o))
	})
}

func (n *Node) sendPush(ctx context.Context, o softstate.Outgoing) error {
	m, ok := n.View().Member(o.To)
	if !ok {
		return cluster.Errorf(cluster.KindStale, "push", "node %s has left", o.To)
	}
	ctx, cancel := context.WithTimeout(ctx, softstate.PushTimeout)
	defer cancel()
	req := call.PushRequest{Epoch: o.Push.Epoch, Holdings: o.Push.Holdings, Complete: o.Push.Complete}
	_, err := n.cfg.Link.Call(ctx, m.Endpoint, &transport.Request{Method: call.MethodPush, Payload: req.Marshal()})
	n.stats.pushes.Add(1)
	if err != nil {
		n.stats.pushFailures.Add(1)
		n.suspect(o.To, err)
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

// register tells the owner's manager of a changed holding and waits until it has heard, at most
// RegisterWait: the change is durable already, so a manager that is away does not fail it. The
// reporter goes on until the manager of the then current view has heard.
func (n *Node) register(ctx context.Context, owner string) error {
	h, err := n.cfg.Store.Holding(owner)
	if err != nil {
		return err
	}
	heard := make(chan struct{})
	n.post(func(l *loop) {
		l.waiters[owner] = append(l.waiters[owner], heard)
		l.carry(l.reporter.Register(h, l.now()))
	})
	timeout := time.NewTimer(RegisterWait)
	defer timeout.Stop()
	select {
	case <-heard:
	case <-timeout.C:
		n.stats.registerLate.Add(1)
		n.log.Warn("manager not told yet of a changed holding; going on in the background", "owner", owner)
	case <-ctx.Done():
	case <-n.stopped:
	}
	return nil
}

// wake releases the commits whose managers have heard.
func (l *loop) wake() {
	for owner, cs := range l.waiters {
		if l.reporter.Owes(owner) {
			continue
		}
		for _, c := range cs {
			close(c)
		}
		delete(l.waiters, owner)
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
