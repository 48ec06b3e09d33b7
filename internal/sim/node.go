package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/balance"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/softstate"
	"porcupine/internal/cluster/usermap"
)

const (
	scanTime      = 10 * time.Millisecond // a scan starts and ends within this
	registerLimit = 4 * time.Second       // a commit waits this long for its registration
	inboxMax      = 20_000                // packets held for a stopped process
	collectPeriod = time.Minute           // between two rounds of collecting what is over
	messageSize   = 1000                  // bytes
	diskSize      = 1 << 30
)

// node is a machine: a disk that stays, and a process that comes and goes around it.
type node struct {
	w       *World
	index   int
	id      cluster.NodeID
	rng     *rand.Rand
	disk    *disk
	machine cluster.Machine // that it shares with other nodes

	// Faults that lie on the machine.
	slow       time.Duration // more for every packet in and out
	slowDisk   time.Duration // more for every fsync
	stalled    int64         // no fsync ends before
	syncFails  bool          // the next fsync fails
	full       bool          // the disk takes no new contents
	unreadable bool          // contents cannot be read
	off        bool          // switched off
	skew       time.Duration // of the wall clock
	drift      float64       // and how it grows
	driftFrom  int64
	paused     bool
	draining   bool
	dying      int  // dies at the so-manieth boundary between two effects; 0: does not
	gone       bool // left for good

	life int     // counts processes
	held []event // fell due while the process was stopped

	// The process; core is nil when there is none.
	core     *membership.Core
	manager  *softstate.Manager
	reporter *softstate.Reporter
	log      *replication.Log
	loads    *balance.Table
	clock    *cluster.Clock
	clocks   *cluster.Clocks // the others'
	calls    map[uint64]call
	waiters  []waiter
	struck   cluster.ReplicaSet
	repairs  *softstate.Repairs
	together int64 // wall time since when no known node has been away; 0: one is
	reserved int64 // timestamps up to it may be given
	queue    []op  // for the next group
	syncing  bool
	pending  int            // commits
	open     map[string]int // owners with commits of which the reporter has not heard
	retiring map[cluster.NodeID][]cluster.Retirement
	retireAt int64           // when they go at the latest
	locks    map[string]bool // names whose profile is being changed
	upkeep   upkeep
	hang
	leaving bool
	next    time.Time // when the membership core wants a tick
	wake    int64     // the earliest wake scheduled
}

// waiter is a commit that waits for its registration.
type waiter struct {
	owners []string
	until  int64
	then   func(late []string)
}

func (n *node) String() string { return fmt.Sprintf("n%d", n.index) }
func (n *node) addr() string   { return fmt.Sprintf("n%d", n.index) }
func (n *node) up() bool       { return n.core != nil }

// view gives the installed view, nil without a process.
func (n *node) view() *cluster.View {
	if n.core == nil {
		return nil
	}
	return n.core.View()
}

// wall reads the node's wall clock.
func (n *node) wall() time.Time {
	return n.w.time().Truncate(n.w.grain).Add(n.skew + time.Duration(n.drift*float64(n.w.now-n.driftFrom)))
}

// after runs do in this process after a while, unless it is dead by then.
func (n *node) after(d time.Duration, do func()) {
	n.w.queue.push(event{at: n.w.now + int64(d), node: n, life: n.life, do: do})
}

// start runs a process on the node's disk.
func (n *node) start() {
	w := n.w
	n.life++
	n.calls = make(map[uint64]call)
	n.loads = balance.NewTable()
	n.clock = cluster.NewClock(n.id, n.disk.clock)
	n.reserved = n.disk.clock
	n.clocks = cluster.NewClocks(cluster.ClockSkewMax + 2*w.opt.timing.config().PingPeriod)
	n.queue, n.syncing, n.open, n.retiring = nil, false, make(map[string]int), nil
	n.locks, n.together = make(map[string]bool), 0
	n.manager = softstate.NewManager(n.id, w.id)
	n.reporter = softstate.NewReporter(n.id, w.id)
	n.waiters, n.pending, n.leaving, n.dying = nil, 0, false, 0
	n.wake = 0
	n.hang, n.stalled = hang{}, 0 // a process does not start before the disk answers
	cfg := w.opt.timing.config()
	cfg.Self, cfg.Assign, cfg.Grace, cfg.Found = n.endpoint(), usermap.Assign, w.grace, n.disk.solid
	core, out, err := membership.New(cfg, n.disk.persist, w.time(), rand.New(rand.NewPCG(n.rng.Uint64(), n.rng.Uint64())))
	if err != nil {
		panic(fmt.Sprintf("start %v: %v", n, err)) // invariant: the configuration is ours, and valid
	}
	n.core = core
	n.disk.opened()
	n.log = replication.NewLog(n.id, core.Struck(), 0)
	n.log.Wait(func(id cluster.ObjectID) bool { return n.open[id.Owner] == 0 && !n.reporter.Owes(id.Owner) })
	n.struck, n.repairs = cluster.NewReplicaSet(core.Struck()...), softstate.NewRepairs(n.disk.repaired)
	w.record("start", n)
	for _, id := range n.disk.recordIDs() {
		n.log.Load(*n.disk.records[id], w.time())
	}
	n.obey(out)
	n.tellSole() // BEFORE the first message, as the node does
	for _, peer := range w.nodes {
		if n.up() && peer != n && !peer.gone && peer.index < w.opt.seeds() {
			n.obey(n.core.AddPeer(w.time(), peer.addr()))
		}
	}
	if !n.up() {
		return
	}
	n.collect()
	n.upkeep = upkeep{healing: make(map[cluster.ObjectID]bool), lost: make(map[cluster.ObjectID][32]byte)}
	n.keepUp()
	n.schedule()
	w.client.burst(n)
}

// collect drops what is over, now and then.
func (n *node) collect() {
	now := n.wall().UnixNano()
	switch away := len(n.core.Absent(n.w.time())) > 0; {
	case away:
		n.together = 0
	case n.together == 0:
		n.together = now
	}
	for _, owner := range n.disk.collect(now, n.together, n.w.grace) {
		n.report(n.reporter.Register(n.disk.holding(owner), n.w.time()))
	}
	n.after(collectPeriod, n.collect)
}

// crash ends the process. The disk stays.
func (n *node) crash() {
	if n.core == nil {
		return
	}
	n.w.record("crash", n)
	n.life++
	if lost := len(n.disk.log); lost > 0 {
		keep := n.w.faults.survivors(lost)
		n.w.stats.Unsynced += int64(lost - keep)
		n.disk.crash(keep, func(c change) { n.w.oracle.durable(n, c) })
	}
	n.core, n.manager, n.reporter, n.calls, n.log = nil, nil, nil, nil, nil
	n.waiters, n.held, n.paused, n.hang = nil, nil, false, hang{}
}

// obey carries out what the membership core wants, in the order it asks for.
func (n *node) obey(out membership.Output) {
	if n.core == nil {
		return
	}
	w := n.w
	if n.blocked || out.Persist != nil && n.hangs() {
		n.deferred = append(n.deferred, out)
		if !n.blocked {
			n.block()
		}
		return
	}
	if out.Persist != nil {
		if n.boundary("before membership is durable") {
			return
		}
		n.disk.persist = *out.Persist
		if n.boundary("after membership is durable") {
			return
		}
	}
	if out.View != nil {
		n.install(out.View)
	} else if out.Persist != nil {
		n.known()
	}
	for i := range out.Send {
		if n.out {
			break
		}
		e := &out.Send[i]
		to := w.byID[e.To.ID]
		if to == nil {
			to = w.byAddr[e.To.Addr]
		}
		if to == nil {
			continue
		}
		p := w.net.packet()
		p.from, p.to, p.member, p.clock = n, to, e.Message, n.clock.Read(n.wall())
		w.stats.Membership++
		w.send(p)
	}
	if w.opt.Log != nil {
		for _, e := range out.Events {
			w.record(e.String(), n)
		}
	}
	n.next = out.Next
	if out.Persist != nil && n.up() {
		n.strike()
	}
	if out.Left {
		n.crash()
		if out.Refused != membership.RefusalNone {
			w.refused(n, out.Refused)
		}
	}
}

// strike takes nodes that were removed for good out of the log.
func (n *node) strike() {
	now := cluster.NewReplicaSet(n.core.Struck()...)
	for _, id := range now.Without(n.struck) {
		n.replicate(n.log.Strike(id, n.w.time()))
	}
	n.struck = now
}

// install makes a view current, in the manager BEFORE the reporter.
func (n *node) install(v *cluster.View) {
	w := n.w
	before := n.reporter.OwedBuckets()
	done := n.manager.Install(v, w.time())
	n.known()
	out := n.reporter.Install(v, w.time())
	n.loads.Retain(v.IDs())
	n.clocks.Retain(v.IDs())
	w.check.installed(n, v, done, before)
	n.report(out)
	if n.up() {
		n.replicate(n.log.Install(v.IDs(), w.time()))
	}
}

// report carries out what the reporter wants.
func (n *node) report(out softstate.Output) {
	w := n.w
	for _, s := range out.Scans {
		begin := time.Duration(n.rng.Int64N(int64(scanTime)))
		n.after(begin, func() {
			got := make([]softstate.Scanned, len(s.Buckets))
			for i, b := range s.Buckets {
				got[i] = softstate.Scanned{Bucket: b, Holdings: n.disk.scan(b)}
			}
			n.after(scanTime-begin, func() { n.report(n.reporter.Scanned(s.Attempt, got, w.time())) })
		})
	}
	for _, o := range out.Pushes {
		id := o.Push.ID
		w.stats.Pushes++
		n.call(o.To, &request{method: methodPush, push: o.Push}, func(a *answer) {
			n.report(n.reporter.Answered(id, a.err, w.time()))
		})
	}
	n.settle()
}

// register tells the managers of owners whose holdings a commit has changed; then is called when
// they have heard, or with those that have not in time. The reporter goes on for them.
func (n *node) register(owners []string, then func(late []string)) {
	if len(owners) == 0 {
		then(nil)
		return
	}
	n.tellSole() // BEFORE a commit is acknowledged that makes this node the only one
	for _, owner := range owners {
		if !n.up() {
			return
		}
		if n.open[owner]--; n.open[owner] == 0 {
			delete(n.open, owner)
		}
		n.report(n.reporter.Register(n.disk.holding(owner), n.w.time()))
	}
	if !n.up() {
		return
	}
	n.waiters = append(n.waiters, waiter{owners, n.w.now + int64(registerLimit), then})
	n.settle()
	n.after(registerLimit, n.settle)
}

// settle answers the commits whose registration is through, or overdue.
func (n *node) settle() {
	for i := 0; i < len(n.waiters); {
		wt := n.waiters[i]
		var late []string
		for _, owner := range wt.owners {
			if n.reporter.Owes(owner) {
				late = append(late, owner)
			}
		}
		if len(late) > 0 && n.w.now < wt.until {
			i++
			continue
		}
		n.waiters = append(n.waiters[:i], n.waiters[i+1:]...)
		wt.then(late)
		if !n.up() {
			return
		}
	}
}

// tellSole tells the membership core whether this node has the only copy of a profile.
func (n *node) tellSole() {
	if n.core != nil {
		n.obey(n.core.SetSole(n.w.time(), n.id, n.disk.isSole()))
	}
}

// take handles what the network brought.
func (n *node) take(p *packet) {
	switch {
	case p.request != nil:
		n.serve(p.from, p.request)
	case p.answer != nil:
		n.answered(p.from, p.answer)
	case n.out:
	default:
		n.seesClock(p.from, p.clock)
		n.core.SetDurable(n.disk.solid)
		n.obey(n.core.Step(n.w.time(), p.member))
	}
}

// tick does what is due.
func (n *node) tick() {
	if n.out {
		return
	}
	now := n.w.time()
	if !n.next.IsZero() && !now.Before(n.next) {
		n.core.SetDurable(n.disk.solid)
		n.obey(n.core.Tick(now))
	}
	if n.core == nil {
		return
	}
	if due(n.reporter.Deadline(), now) {
		n.report(n.reporter.Tick(now))
	}
	if !n.up() {
		return
	}
	if len(n.struck) > 0 && n.watchRepairs() {
		n.known()
	}
	if due(n.manager.Deadline(), now) {
		n.manager.Tick(now)
	}
	if n.up() && due(n.log.Deadline(), now) {
		n.replicate(n.log.Tick(now))
	}
}

func due(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

// schedule sees to it that a wake comes no later than the earliest deadline.
func (n *node) schedule() {
	if n.core == nil || n.out {
		return
	}
	at := n.next
	for _, d := range [...]time.Time{n.reporter.Deadline(), n.manager.Deadline(), n.log.Deadline()} {
		if !d.IsZero() && (at.IsZero() || d.Before(at)) {
			at = d
		}
	}
	if at.IsZero() {
		return
	}
	ns := max(int64(at.Sub(start)), n.w.now+1)
	if n.wake > n.w.now && n.wake <= ns {
		return
	}
	n.wake = ns
	n.w.queue.push(event{at: ns, node: n, life: n.life})
}
