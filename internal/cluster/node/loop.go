package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/softstate"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/usermap"
	"porcupine/internal/cluster/wire"
	"porcupine/internal/cluster/wire/call"
)

// loop owns the cores that only one goroutine may touch. Its methods run on that goroutine.
type loop struct {
	n        *Node
	ctx      context.Context // of the node's life
	events   chan func(*loop)
	members  *membership.Core
	first    membership.Output // of the core's birth, obeyed by begin
	reporter *softstate.Reporter
	next     time.Time                  // when the membership core wants its Tick
	waiters  map[string][]chan struct{} // owner -> commits that wait for the manager to have heard
	sending  chan struct{}              // bounds membership messages in flight
	calling  chan struct{}              // bounds pushes in flight
	left     []chan struct{}            // those that wait for Left
	failed   bool
}

func newLoop(n *Node) (*loop, error) {
	persistent, err := loadPersistent(n.cfg.Store)
	if err != nil {
		return nil, err
	}
	cfg := n.cfg.Membership
	cfg.Self, cfg.Assign = n.cfg.Self, usermap.Assign
	core, first, err := membership.New(cfg, persistent, n.cfg.Now(), rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())))
	if err != nil {
		return nil, err
	}
	return &loop{
		n:        n,
		events:   make(chan func(*loop), EventsMax),
		members:  core,
		first:    first,
		reporter: softstate.NewReporter(n.cfg.Self.ID, n.cfg.Cluster),
		waiters:  map[string][]chan struct{}{},
		sending:  make(chan struct{}, MessagesInFlight),
		calling:  make(chan struct{}, CallsInFlight),
	}, nil
}

// begin obeys the core's first output: the view of one is durable and installed when it returns.
func (l *loop) begin(ctx context.Context) error {
	l.ctx = ctx
	l.obey(l.first)
	l.obey(l.members.SetSole(l.now(), l.n.cfg.Self.ID, l.n.cfg.Store.Load().Sole))
	for _, addr := range l.n.cfg.Peers {
		l.obey(l.members.AddPeer(l.now(), addr))
	}
	if l.failed {
		return fmt.Errorf("the membership state cannot be made durable")
	}
	return nil
}

func (l *loop) now() time.Time { return l.n.cfg.Now() }

// run takes events until the context ends.
func (l *loop) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-l.events:
			f(l)
		case <-timer.C:
		}
		l.tick()
		timer.Reset(max(0, l.deadline().Sub(l.now())))
	}
}

// idleTick is the longest wait of the loop when no core asks for a Tick.
const idleTick = time.Second

func (l *loop) deadline() time.Time {
	d := l.now().Add(idleTick)
	l.n.soft.mu.Lock()
	manager := l.n.soft.manager.Deadline()
	l.n.soft.mu.Unlock()
	for _, t := range []time.Time{l.next, l.reporter.Deadline(), manager} {
		if !t.IsZero() && t.Before(d) {
			d = t
		}
	}
	return d
}

func (l *loop) tick() {
	now := l.now()
	if !now.Before(l.next) {
		l.obey(l.members.Tick(now))
	}
	if d := l.reporter.Deadline(); !d.IsZero() && !now.Before(d) {
		l.carry(l.reporter.Tick(now))
	}
	l.n.soft.mu.Lock()
	if d := l.n.soft.manager.Deadline(); !d.IsZero() && !now.Before(d) {
		l.n.soft.manager.Tick(now)
	}
	l.n.soft.mu.Unlock()
}

// obey carries out what the membership core wants, in the order that membership.Output demands.
func (l *loop) obey(o membership.Output) {
	l.next = o.Next
	if l.failed {
		return
	}
	if o.Persist != nil {
		if err := savePersistent(context.WithoutCancel(l.ctx), l.n.cfg.Store, *o.Persist); err != nil {
			l.failed = true
			l.n.cfg.OnFatal(fmt.Errorf("membership state: %w", err))
			return
		}
		l.known()
	}
	if o.View != nil {
		l.install(o.View)
	}
	for _, e := range o.Send {
		l.send(e)
	}
	for _, e := range o.Events {
		l.event(e)
	}
	if o.Left {
		for _, c := range l.left {
			close(c)
		}
		l.left = nil
	}
}

// known tells the manager of the soft state which nodes exist: they decide what is conclusive.
func (l *loop) known() {
	known := l.members.Known()
	l.n.soft.mu.Lock()
	l.n.soft.manager.SetKnown(known)
	l.n.soft.mu.Unlock()
	l.n.stats.known.Store(&known)
}

// install makes v the current view, in the manager BEFORE requests of its epoch are admitted.
func (l *loop) install(v *cluster.View) {
	l.known()
	l.n.soft.mu.Lock()
	did := l.n.soft.manager.Install(v, l.now())
	l.n.soft.mu.Unlock()
	before := l.n.view.Swap(&installed{view: v, over: make(chan struct{})})
	l.n.senses.retain(v)
	l.n.log.Info("view installed", "epoch", v.Epoch, "members", len(v.Members),
		"buckets_kept", did.Kept, "buckets_fresh", did.Fresh, "buckets_dropped", did.Dropped)
	l.carry(l.reporter.Install(v, l.now()))
	close(before.over)
}

// send gives a membership message to the transport; what exceeds the bound is lost, as on a network.
func (l *loop) send(e membership.Envelope) {
	select {
	case l.sending <- struct{}{}:
	default:
		l.n.stats.dropped.Add(1)
		return
	}
	payload := wire.MarshalMessage(&e.Message)
	begun := l.n.async(l.ctx, func(ctx context.Context) {
		defer func() { <-l.sending }()
		ctx, cancel := context.WithTimeout(ctx, MessageTimeout)
		defer cancel()
		_, err := l.n.cfg.Link.Call(ctx, e.To, &transport.Request{Method: call.MethodMembership, Payload: payload})
		if err != nil {
			l.n.log.Debug("membership message not delivered", "to", e.To.Addr, "kind", e.Message.Kind, "err", err)
		}
	})
	if !begun {
		<-l.sending
	}
}

func (l *loop) event(e membership.Event) {
	l.n.stats.event(e.Kind)
	level := eventLevels[e.Kind]
	l.n.log.Log(l.ctx, level, "membership "+e.Kind.String(), "epoch", e.Epoch, "peer", e.Node, "addr", e.Addr, "count", e.Count)
}

// behind asks a node that spoke in a newer epoch for its view, by way of the core.
func (l *loop) behind(id cluster.NodeID) { l.obey(l.members.Suspect(l.now(), id)) }

// heardSole records what a stamp said of its sender's profiles.
func (l *loop) heardSole(id cluster.NodeID, sole bool) {
	l.obey(l.members.SetSole(l.now(), id, sole))
	l.known()
}

func (l *loop) leave(left chan struct{}) {
	l.left = append(l.left, left)
	l.obey(l.members.Leave(l.now()))
}

// suspect tells the core that a call to a member failed.
func (n *Node) suspect(id cluster.NodeID, err error) {
	if id != cluster.NoNode && transport.Unreachable(err) {
		n.post(func(l *loop) { l.obey(l.members.Suspect(l.now(), id)) })
	}
}
