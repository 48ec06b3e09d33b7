package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/balance"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/softstate"
	"porcupine/internal/cluster/usermap"
)

const (
	commitTime    = 2 * time.Millisecond  // of one durable commit
	scanTime      = 10 * time.Millisecond // a scan starts and ends within this
	registerLimit = 4 * time.Second       // a commit waits this long for its registration
	inboxMax      = 20_000                // packets held for a stopped process
)

// node is a machine: a disk that stays, and a process that comes and goes around it.
type node struct {
	w     *World
	index int
	id    cluster.NodeID
	rng   *rand.Rand
	disk  *disk

	// Faults that lie on the machine.
	slow   time.Duration // more for every packet in and out
	skew   time.Duration // of the wall clock
	paused bool
	dying  bool // dies right after the next thing it makes durable
	gone   bool // left for good, or not yet joined

	life  int       // counts processes
	inbox []*packet // came while the process was stopped
	held  []event   // fell due while the process was stopped

	// The process; core is nil when there is none.
	core     *membership.Core
	manager  *softstate.Manager
	reporter *softstate.Reporter
	loads    *balance.Table
	clock    *cluster.Clock
	calls    map[uint64]call
	waiters  []waiter
	pending  int // commits
	leaving  bool
	next     time.Time // when the membership core wants a tick
	wake     int64     // the earliest wake scheduled
}

// waiter is a commit that waits for its registration.
type waiter struct {
	owner string
	until int64
	then  func(error)
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
func (n *node) wall() time.Time { return n.w.time().Add(n.skew) }

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
	n.clock = cluster.NewClock(n.id, n.disk.lastTime)
	n.manager = softstate.NewManager(n.id, w.id)
	n.reporter = softstate.NewReporter(n.id, w.id)
	n.waiters, n.pending, n.leaving, n.dying = nil, 0, false, false
	n.wake = 0
	cfg := w.opt.timing.config()
	cfg.Self, cfg.Assign = n.endpoint(), usermap.Assign
	core, out, err := membership.New(cfg, n.disk.persist, w.time(), rand.New(rand.NewPCG(n.rng.Uint64(), n.rng.Uint64())))
	if err != nil {
		panic(fmt.Sprintf("start %v: %v", n, err)) // invariant: the configuration is ours, and valid
	}
	n.core = core
	n.disk.started = true
	w.record("start", n)
	n.obey(out)
	for _, peer := range w.nodes {
		if n.up() && peer != n && !peer.gone && peer.index < w.opt.seeds() {
			n.obey(n.core.AddPeer(w.time(), peer.addr()))
		}
	}
	n.tellSole()
	n.schedule()
	w.client.burst(n)
}

// crash ends the process. The disk stays.
func (n *node) crash() {
	if n.core == nil {
		return
	}
	n.w.record("crash", n)
	n.life++
	n.core, n.manager, n.reporter, n.calls = nil, nil, nil, nil
	n.waiters, n.inbox, n.held, n.paused = nil, nil, nil, false
}

// obey carries out what the membership core wants, in the order it asks for.
func (n *node) obey(out membership.Output) {
	if n.core == nil {
		return
	}
	w := n.w
	if out.Persist != nil {
		n.disk.persist = *out.Persist
		if n.dying {
			n.crash()
			return
		}
	}
	if out.View != nil {
		n.install(out.View)
	} else if out.Persist != nil {
		n.manager.SetKnown(n.core.Known())
	}
	for i := range out.Send {
		e := &out.Send[i]
		to := w.byID[e.To.ID]
		if to == nil {
			to = w.byAddr[e.To.Addr]
		}
		if to == nil {
			continue
		}
		p := w.net.packet()
		p.from, p.to, p.member = n, to, e.Message
		w.stats.Membership++
		w.send(p)
	}
	if w.opt.Log != nil {
		for _, e := range out.Events {
			w.record(e.String(), n)
		}
	}
	n.next = out.Next
	if out.Left {
		n.crash()
	}
}

// install makes a view current, in the manager BEFORE the reporter.
func (n *node) install(v *cluster.View) {
	w := n.w
	before := n.reporter.OwedBuckets()
	done := n.manager.Install(v, w.time())
	n.manager.SetKnown(n.core.Known())
	out := n.reporter.Install(v, w.time())
	n.loads.Retain(v.IDs())
	w.check.installed(n, v, done, before)
	n.report(out)
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

// settle answers the commits whose registration is through, or overdue.
func (n *node) settle() {
	for i := 0; i < len(n.waiters); {
		wt := n.waiters[i]
		var err error
		switch {
		case !n.reporter.Owes(wt.owner):
		case n.w.now >= wt.until:
			err = cluster.Errorf(cluster.KindUnavailable, "store", "manager does not answer")
		default:
			i++
			continue
		}
		n.waiters = append(n.waiters[:i], n.waiters[i+1:]...)
		wt.then(err)
	}
}

// commit makes a change durable and registers it if it must be announced; then is called when
// the manager has heard of it.
func (n *node) commit(owner string, change func() bool, then func(error)) {
	n.pending++
	n.after(commitTime+n.slow, func() {
		n.pending--
		if change() {
			n.report(n.reporter.Register(n.disk.holding(owner), n.w.time()))
		}
		n.waiters = append(n.waiters, waiter{owner, n.w.now + int64(registerLimit), then})
		n.settle()
		n.after(registerLimit, n.settle)
		n.tellSole()
	})
}

// tellSole tells the membership core whether this node has the only copy of a profile.
func (n *node) tellSole() {
	if n.core != nil {
		n.obey(n.core.SetSole(n.w.time(), n.id, n.disk.sole > 0))
	}
}

// take handles what the network brought.
func (n *node) take(p *packet) {
	switch {
	case p.request != nil:
		n.serve(p.from, p.request)
	case p.answer != nil:
		n.answered(p.from, p.answer)
	default:
		n.obey(n.core.Step(n.w.time(), p.member))
	}
}

// tick does what is due.
func (n *node) tick() {
	now := n.w.time()
	if !n.next.IsZero() && !now.Before(n.next) {
		n.obey(n.core.Tick(now))
	}
	if n.core == nil {
		return
	}
	if due(n.reporter.Deadline(), now) {
		n.report(n.reporter.Tick(now))
	}
	if due(n.manager.Deadline(), now) {
		n.manager.Tick(now)
	}
}

func due(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

// schedule sees to it that a wake comes no later than the earliest deadline.
func (n *node) schedule() {
	if n.core == nil {
		return
	}
	at := n.next
	for _, d := range [...]time.Time{n.reporter.Deadline(), n.manager.Deadline()} {
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
