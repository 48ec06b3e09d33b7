package sim

import (
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
)

// start is the wall time at which every run begins.
var start = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// World is one run.
type World struct {
	opt    Options
	given  time.Duration // opt.Break as it was given
	id     cluster.ID
	now    int64 // nanoseconds since start
	queue  queue
	net    network
	nodes  []*node
	byID   map[cluster.NodeID]*node
	byAddr map[string]*node
	calls  uint64 // numbers requests
	faults faults
	client clients
	check  check
	oracle oracle
	trace  trace
	stats  Stats
	meter  *meter // nil: octets are not counted
	second int64
	burst  int // events in this second

	acts        int // of the administrator, still to be done
	copies      int // replicas wanted of a message
	copiesMin   int // replicas that suffice when there are no others
	spread      int
	grain       time.Duration // of the wall clocks
	grace       time.Duration
	repairAfter time.Duration // see placement.World
	healing     bool          // the second phase
	machines    int           // that nodes are on; 0: each is one of its own
}

// stormMax is how many events a node may cause in one second.
const stormMax = 20_000

// Options say what to run. The seed decides all that is left zero.
type Options struct {
	Seed     uint64
	Nodes    int           // at the start
	Break    time.Duration // length of the first phase
	Log      io.Writer     // every event of note goes there; nil: nowhere
	Quiet    bool          // no clients
	Dense    bool          // minutes with many faults, no days
	Days     bool          // days alone
	Sparse   bool          // with Days: the sparsest timing alone, with which days cost seconds
	Only     string        // classes of faults, separated by commas, in place of those drawn
	Machines bool          // several nodes on one machine, and one is lost in the end
	timing   timing
}

// seeds is the number of nodes whose addresses are in everybody's configuration.
func (o *Options) seeds() int { return 3 }

// timing is a choice of periods for the membership core. Longer ones make an hour cheaper, and
// faults shorter by comparison.
type timing int

const (
	timingDefault timing = iota // as in production: pings every 200 ms
	timingSlow                  // pings every second
	timingSlowest               // pings every four seconds
	timingDays                  // pings every fifteen seconds, for days of operation
)

// config gives the membership configuration.
func (t timing) config() membership.Config {
	switch t {
	case timingSlow:
		return membership.Config{PingPeriod: time.Second, DoubtPeriod: 250 * time.Millisecond}
	case timingSlowest:
		return membership.Config{PingPeriod: 4 * time.Second, DoubtPeriod: 500 * time.Millisecond}
	case timingDays:
		return membership.Config{PingPeriod: 15 * time.Second, DoubtPeriod: time.Second}
	}
	return membership.Config{}
}

// Stats count what a run did.
type Stats struct {
	Events     int64
	Messages   int64 // sent, of all kinds
	Membership int64 // sent by the membership cores
	Pushes     int64
	Epochs     int64 // different views installed
	Faults     int64
	Kinds      [faultKinds]int64 // of faults, as in classes
	Ops        [opKinds]int64    // by clients
	Acked      int64             // messages
	Refused    int64             // users refused for good
	Reads      int64             // of messages
	Removed    int64             // messages, acknowledged
	Changes    int64             // of profiles, acknowledged
	Flags      int64             // set, acknowledged
	Reconciled int64             // divergences that no record remembered
	Joined     int64             // updates of which neither knew the other
	Offers     int64             // of update records
	Offered    int64             // update records in them
	Refusals   int64             // processes that were refused for good
	Moves      int64             // of objects, for repair and balance
	Healed     int64             // damaged copies brought in order
	Outages    int64             // nodes that went out because their disk hung
	Skewed     int64             // stamps too far in the future
	Unstamped  int64             // timestamps refused, since this node's own clock was ahead
	Late       int64             // requests too old to be executed
	Boundaries int64             // crashes between two effects
	Unsynced   int64             // writes lost in crashes
	Lost       int64             // messages whose last disk was destroyed
	Machines   int64             // lost with all their nodes
	Simulated  time.Duration
	Default    time.Duration // of it with the periods of production
	Converged  time.Duration // after the heal
}

// add sums up.
func (s *Stats) add(o *Stats) {
	s.Events += o.Events
	s.Messages += o.Messages
	s.Membership += o.Membership
	s.Pushes += o.Pushes
	s.Epochs += o.Epochs
	s.Faults += o.Faults
	s.Acked += o.Acked
	s.Refused += o.Refused
	s.Reads += o.Reads
	s.Removed += o.Removed
	s.Changes += o.Changes
	s.Flags += o.Flags
	s.Joined += o.Joined
	s.Reconciled += o.Reconciled
	s.Offers += o.Offers
	s.Offered += o.Offered
	s.Refusals += o.Refusals
	s.Moves += o.Moves
	s.Healed += o.Healed
	s.Outages += o.Outages
	s.Skewed += o.Skewed
	s.Unstamped += o.Unstamped
	s.Late += o.Late
	s.Boundaries += o.Boundaries
	s.Unsynced += o.Unsynced
	s.Lost += o.Lost
	s.Machines += o.Machines
	s.Simulated += o.Simulated
	s.Default += o.Default
	s.Converged = max(s.Converged, o.Converged)
	for i := range s.Kinds {
		s.Kinds[i] += o.Kinds[i]
	}
	for i := range s.Ops {
		s.Ops[i] += o.Ops[i]
	}
}

func (s *Stats) String() string {
	return fmt.Sprintf("%.1f h simulated (%.1f with the periods of production), %d events, %d messages (%d of membership), %d pushes, %d epochs, %d faults, operations %v, %d messages accepted, %d read, %d deleted, %d profiles changed, %d refused for good, %d offers, %d crashes between effects, %d un-synced writes lost, %d messages lost with all their disks, slowest to converge %v",
		s.Simulated.Hours(), s.Default.Hours(), s.Events, s.Messages, s.Membership, s.Pushes, s.Epochs, s.Faults, s.Ops, s.Acked, s.Reads, s.Removed, s.Changes, s.Refused, s.Offers, s.Boundaries, s.Unsynced, s.Lost, s.Converged)
}

// Result is the outcome of a run.
type Result struct {
	Seed    uint64
	Nodes   int
	Stats   Stats
	Trace   uint64 // hash of every event
	Failure *Failure
}

// Failure is a broken invariant.
type Failure struct {
	Seed      uint64
	Break     time.Duration // Options.Break, if it was given
	Dense     bool          // Options.Dense
	Days      bool          // Options.Days
	Sparse    bool          // Options.Sparse
	Only      string        // Options.Only
	Machines  bool          // Options.Machines
	Invariant string
	At        time.Duration
	Text      string
	Last      []string // the last events, oldest first
}

func (f *Failure) Error() string {
	s := fmt.Sprintf("seed %d breaks %s at %v: %s\nlast events:\n", f.Seed, f.Invariant, f.At, f.Text)
	for _, l := range f.Last {
		s += "  " + l + "\n"
	}
	s += fmt.Sprintf("replay: go test ./internal/sim -run TestReplay -v -sim.seed=%d", f.Seed)
	if f.Break != 0 {
		s += fmt.Sprintf(" -sim.break=%v", f.Break)
	}
	if f.Dense {
		s += " -sim.dense"
	}
	if f.Days {
		s += " -sim.days"
	}
	if f.Sparse {
		s += " -sim.sparse"
	}
	if f.Machines {
		s += " -sim.machines"
	}
	if f.Only != "" {
		s += fmt.Sprintf(" -sim.only=%q", f.Only)
	}
	return s
}

// newWorld prepares a run.
func newWorld(opt Options) *World {
	w := &World{opt: opt, given: opt.Break, byID: make(map[cluster.NodeID]*node), byAddr: make(map[string]*node)}
	w.trace.hash = opt.Seed
	w.check.init(w)
	w.oracle.init(w)
	w.copies, w.copiesMin, w.spread, w.grace = 2, 1, 2, 7*24*time.Hour
	w.repairAfter = 30 * time.Second
	w.faults.w, w.faults.rng = w, w.stream("faults")
	w.net.rng = w.stream("network")
	w.net.latency = 200 * time.Microsecond
	ids := w.stream("ids")
	for i := range w.id {
		w.id[i] = byte(ids.Uint32())
	}
	w.client.init(w)
	return w
}

// stream gives the random stream of one part of the run.
func (w *World) stream(part string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(part)) // never fails (hash.Hash)
	return rand.New(rand.NewPCG(w.opt.Seed, h.Sum64()))
}

// time is the time that processes see: it is monotonic, whatever their wall clocks do.
func (w *World) time() time.Time { return start.Add(time.Duration(w.now)) }

// addNode makes a machine without a process.
func (w *World) addNode() *node {
	n := &node{w: w, index: len(w.nodes)}
	n.rng = w.stream(n.addr())
	n.id = cluster.NodeID(n.rng.Uint64() | 1)
	n.machine = w.machineOf(n)
	n.disk = newDisk(n.id, w.id)
	w.nodes = append(w.nodes, n)
	w.byID[n.id], w.byAddr[n.addr()] = n, n
	w.net.grow(len(w.nodes))
	return n
}

// at runs do at a moment, in no process.
func (w *World) after(d time.Duration, do func()) {
	w.queue.push(event{at: w.now + int64(d), do: do})
}

// run plays events until the given moment, or until an invariant breaks.
func (w *World) run(until time.Duration) {
	for len(w.queue.heap) > 0 && w.check.failure == nil {
		if w.queue.heap[0].at > int64(until) {
			break
		}
		e := w.queue.pop()
		if s := e.at / int64(time.Second); s != w.second {
			w.second, w.burst = s, 0
		}
		w.now = e.at
		w.stats.Events++
		if w.burst++; w.burst > stormMax*len(w.nodes) {
			w.check.that("M5", fmt.Sprintf("%d events in one second: a storm", w.burst))
		}
		w.step(e)
	}
	w.now = max(w.now, int64(until))
}

// step plays one event.
func (w *World) step(e event) {
	n := e.node
	if n == nil {
		e.do()
		return
	}
	if e.packet == nil && e.life != n.life || !n.up() {
		if e.packet != nil {
			w.net.release(e.packet)
		}
		return
	}
	if n.paused || n.blocked {
		n.hold(e)
		return
	}
	w.trace.mix(e)
	switch {
	case e.packet != nil:
		n.take(e.packet)
		w.net.release(e.packet)
	case e.do != nil:
		e.do()
	default:
		n.tick()
	}
	n.schedule()
}

// hold keeps an event for a stopped process. Packets beyond the limit are lost, as in a socket.
func (n *node) hold(e event) {
	if e.packet != nil && len(n.held) >= inboxMax {
		n.w.net.release(e.packet)
		return
	}
	n.held = append(n.held, e)
}

// resume lets a stopped process go on: all that came and fell due meanwhile is there at once.
func (n *node) resume() {
	n.paused = false
	n.release()
	n.w.client.burst(n)
}

// release gives the process what was held, if it goes on.
func (n *node) release() {
	if n.paused || n.blocked {
		return
	}
	for _, e := range n.held {
		e.at = n.w.now + 1
		n.w.queue.push(e)
	}
	n.held = nil
}

// record notes an event of note.
func (w *World) record(what string, n *node) {
	w.trace.note(w.now, what, n)
	if w.opt.Log != nil {
		fmt.Fprintln(w.opt.Log, w.trace.last())
	}
}
