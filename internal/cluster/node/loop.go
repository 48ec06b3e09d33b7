package node

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/softstate"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/usermap"
	"porcupine/internal/cluster/wire/call"
)

// loop owns the cores that only one goroutine may touch. Its methods run on that goroutine.
type loop struct {
	n          *Node
	events     chan func(*loop)
	members    *membership.Core
	first      membership.Output // of the core's birth, obeyed by begin
	reporter   *softstate.Reporter
	log        *replication.Log
	reconciled time.Time            // when holders were last compared
	owedAt     time.Time            // when Owed was last counted
	struck     cluster.ReplicaSet   // that the log knows of
	repairs    repairs              // of what they had
	viewAt     time.Time            // when the view was installed
	next       time.Time            // when the membership core wants its Tick
	waiters    map[string][]*waiter // owner -> commits that wait for the manager to have heard
	sending    chan struct{}        // bounds membership messages in flight
	calling    chan struct{}        // bounds pushes in flight
	encoder    encoder
	left       []chan struct{} // those that wait for Left
	met        bool            // this node has met others, in this life or before
	sole       bool            // this node's Sole flag, as the core has it
	soleAt     time.Time       // when it was last looked at
	begun      bool            // begin is over
	slowSaid   time.Time       // when people were last told that the disk is slow
	failed     error           // why the membership state is not durable
}

func newLoop(n *Node) (*loop, error) {
	persistent, err := loadPersistent(n.cfg.Store)
	if err != nil {
		return nil, err
	}
	repairs, err := loadRepairs(n)
	if err != nil {
		return nil, err
	}
	cfg := n.cfg.Membership
	cfg.Self, cfg.Assign, cfg.Found = n.cfg.Self, usermap.Assign, n.cfg.Store.FoundSeq()
	core, first, err := membership.New(cfg, persistent, n.cfg.Now(), rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())))
	if err != nil {
		return nil, err
	}
	l := &loop{
		n:        n,
		events:   make(chan func(*loop), EventsMax),
		members:  core,
		first:    first,
		reporter: softstate.NewReporter(n.cfg.Self.ID, n.cfg.Cluster),
		log:      replication.NewLog(n.cfg.Self.ID, core.Struck(), n.cfg.RecordsMax),
		struck:   core.Struck(),
		repairs:  repairs,
		waiters:  map[string][]*waiter{},
		sending:  make(chan struct{}, MessagesInFlight),
		calling:  make(chan struct{}, CallsInFlight),
		met:      len(persistent.Contacts) > 0 || !slices.ContainsFunc(n.cfg.Peers, func(a string) bool { return a != n.cfg.Self.Addr }),
	}
	l.log.Wait(func(id cluster.ObjectID) bool { return !l.reporter.Owes(id.Owner) })
	return l, nil
}

// begin obeys the core's first output. When it returns the view of one is durable and installed,
// the link serves, and the peers are being looked for. It runs before run does.
func (l *loop) begin() error {
	l.tellDurable()
	if err := l.loadRecords(); err != nil {
		return err
	}
	l.obey(l.first)
	l.tellSole()
	if l.failed != nil {
		return l.failed
	}
	l.n.cfg.Link.Serve(l.n) // BEFORE the first message: the answer may be quick
	for _, addr := range l.n.cfg.Peers {
		l.obey(l.members.AddPeer(l.now(), addr))
	}
	l.begun = true
	return l.failed
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
			l.tellDurable()
			f(l)
		case f := <-l.n.facts:
			l.learn(f)
		case <-l.n.notices.wake:
			l.notice()
		case <-timer.C:
		}
		l.tellDurable()
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
	if l.n.isOut() {
		return d
	}
	for _, t := range [...]time.Time{l.next, l.reporter.Deadline(), manager, l.log.Deadline(), l.n.retirer.deadline()} {
		if !t.IsZero() && t.Before(d) {
			d = t
		}
	}
	return d
}

func (l *loop) tick() {
	if l.n.isOut() {
		return // the cores stand still
	}
	now := l.now()
	if now.Sub(l.soleAt) >= solePeriod {
		l.tellSole()
	}
	if !l.next.IsZero() && !now.Before(l.next) {
		l.obey(l.members.Tick(now))
	}
	if d := l.reporter.Deadline(); !d.IsZero() && !now.Before(d) {
		l.carry(l.reporter.Tick(now))
	}
	l.reportUsage(now)
	l.tickRecords(now)
	l.tickRepairs(now)
	l.n.soft.mu.Lock()
	if d := l.n.soft.manager.Deadline(); !d.IsZero() && !now.Before(d) {
		l.n.soft.manager.Tick(now)
	}
	l.n.soft.mu.Unlock()
}

// obey carries out what the membership core wants, in the order that membership.Output demands.
//
// The durable write is made here, in the loop: nothing may overtake it. While the disk is slow the
// node is mute, and the core takes the time for a pause of the process; if it is slow for
// long, the others go on without a node that could promise them nothing. If it hangs, the node is out
// (Outage), and the loop waits here for as long as it does.
func (l *loop) obey(o membership.Output) {
	l.next = o.Next
	if l.failed != nil {
		return
	}
	if o.Persist != nil {
		if err := l.persist(o.Persist); err != nil {
			l.fail(err)
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
		l.release()
	}
	if o.Refused != membership.RefusalNone {
		l.refused(o.Refused)
	}
}

// refused ends this node's part in the cluster: the others take nothing from it any more.
func (l *loop) refused(why membership.Refusal) {
	l.failed = cluster.Errorf(cluster.KindUnavailable, "take part in the cluster as node "+l.n.cfg.Self.ID.String(), "the other nodes refuse it: %v", why)
	l.n.log.Error("this node is refused", "why", why, "err", l.failed)
	l.n.failed.Store(true)
	l.release()
	if l.n.cfg.OnStruck != nil {
		l.n.cfg.OnStruck(why)
	} else {
		l.n.cfg.OnFatal(l.failed)
	}
}

// install makes v the current view: in the manager, then for all who ask, then in the reporter. A
// lookup sees manager and view change together.
func (l *loop) install(v *cluster.View) {
	l.known()
	l.viewAt = l.now()
	n := l.n
	before := n.view.Load()
	after := newInstalled(n.ctx, v, before)
	n.soft.mu.Lock()
	did := n.soft.manager.Install(v, l.now())
	n.owners.Store(n.soft.manager.Counts().Owners)
	n.view.Store(after)
	n.soft.mu.Unlock()
	n.senses.retain(v)
	n.log.Info("view installed", "epoch", v.Epoch, "members", len(v.Members),
		"buckets_kept", did.Kept, "buckets_fresh", did.Fresh, "buckets_dropped", did.Dropped)
	l.carry(l.reporter.Install(v, l.now()))
	l.follow(l.log.Install(v.IDs(), l.now()))
	before.finish(after)
}

// send gives a membership message to the transport; what exceeds the bound is lost, as on a network.
func (l *loop) send(e membership.Envelope) {
	if l.n.isOut() {
		l.n.stats.dropped.Add(1)
		return
	}
	select {
	case l.sending <- struct{}{}:
	default:
		l.n.stats.dropped.Add(1)
		return
	}
	payload := l.encoder.encode(&e.Message)
	begun := l.n.async(func(ctx context.Context) {
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

// event counts an event of the core and logs it with the fields that its kind has.
func (l *loop) event(e membership.Event) {
	l.n.stats.event(e.Kind)
	if e.Kind == membership.EventInstalled {
		return // install has said more
	}
	attrs := make([]slog.Attr, 0, 5)
	if !e.Epoch.IsZero() {
		attrs = append(attrs, slog.Any("epoch", e.Epoch))
	}
	if e.Node != cluster.NoNode {
		attrs = append(attrs, slog.Any("peer", e.Node))
	}
	if e.Addr != "" {
		attrs = append(attrs, slog.String("addr", e.Addr))
	}
	if e.Count != 0 {
		attrs = append(attrs, slog.Int("count", e.Count))
	}
	if e.Why != membership.RefusalNone {
		attrs = append(attrs, slog.String("why", e.Why.String()))
	}
	if e.Kind == membership.EventPaused {
		attrs = append(attrs, slog.Duration("for", e.For), slog.String("why", whyPaused))
	}
	l.n.log.LogAttrs(l.n.ctx, levelOf(e.Kind), "membership "+e.Kind.String(), attrs...)
}

// whyPaused is all that a process can know of a time in which it did nothing.
const whyPaused = "this process did not run in that time, or waited for its disk: the machine is overloaded, was suspended, or its disk is slow; nobody is taken for dead for that time"

// notice takes what has been noted since the last time. While the node is out it stays noted.
func (l *loop) notice() {
	if l.n.isOut() {
		return
	}
	suspects, soles := l.n.notices.take()
	for _, id := range slices.Sorted(maps.Keys(suspects)) {
		l.obey(l.members.Suspect(l.now(), id))
	}
	if len(soles) == 0 {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(soles)) {
		l.obey(l.members.SetSole(l.now(), id, soles[id]))
	}
	l.known()
}

// solePeriod is how often the disk is asked whether it holds the only copy of something.
const solePeriod = 100 * time.Millisecond

// tellSole tells the core this node's own Sole flag, which travels with every message of its.
func (l *loop) tellSole() {
	l.soleAt = l.now()
	if sole := l.n.cfg.Store.Load().Sole; sole != l.sole {
		l.sole = sole
		l.obey(l.members.SetSole(l.now(), l.n.cfg.Self.ID, sole))
		l.known()
	}
}

// tellDurable tells the core how far this node's disk has come. Every message carries that.
func (l *loop) tellDurable() { l.members.SetDurable(l.n.cfg.Store.DurableSeq()) }

// leave begins the departure; left is closed when nobody counts on this node any more.
func (l *loop) leave(left chan struct{}) {
	l.left = append(l.left, left)
	if l.n.isOut() {
		l.release() // the others have gone on, or will by themselves: nothing can be promised them
		return
	}
	l.retire(l.now().Add(RetireDelay)) // what waits, BEFORE nobody takes calls of this node any more
	l.obey(l.members.Leave(l.now()))
	if l.failed != nil {
		l.release() // nobody will be told
	}
}

func (l *loop) release() {
	for _, c := range l.left {
		close(c)
	}
	l.left = nil
}

// Forget strikes an absent node, at all members: its disk will not come back. Until then, what may lie
// on it alone counts as existing. KindInvalid for a member, KindNotFound for a node that is not
// known. A node that comes back all the same is refused under that id, for ever.
func (n *Node) Forget(ctx context.Context, id cluster.NodeID) error {
	if err := n.takesPart("forget node "+id.String(), cluster.KindUnavailable); err != nil {
		return err
	}
	var result error // read only after the loop has written it
	err := n.ask(ctx, func(l *loop) {
		o, err := l.members.Forget(l.now(), id)
		l.obey(o)
		l.known()
		result = err
	})
	if err != nil {
		return fmt.Errorf("forget node %s: %w", id, err)
	}
	return result
}
