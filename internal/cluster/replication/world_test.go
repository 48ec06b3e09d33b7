package replication_test

import (
	"cmp"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
)

// world is some nodes and a network that loses, doubles, delays and reorders, in one goroutine and from
// one seed. A node has for each object a State, which is its disk, and a Log, which is its memory.
type world struct {
	rnd     *rand.Rand
	now     time.Duration
	events  events
	ordered uint64
	nodes   []*node
	faults  faults
	rules   rules
	merging bool // the contents are sets that are joined
	told    bool
	story   []string // what happened, if told

	objects  []cluster.ObjectID
	history  map[cluster.ObjectID][]*change
	contents map[[32]byte][]byte // by their sum, if they are merged
	snapshot []known

	sent int // items of messages
}

// faults are what the network and the nodes do wrong, until the heal.
type faults struct {
	loss, double, late float64 // shares of the messages
	delay              time.Duration
	crash, part        float64 // shares of the steps
	strike             bool    // one node is destroyed in the end
	stale              time.Duration
}

// rules is what the world calls of the package: a planted bug replaces one of them.
type rules struct {
	decide func(self cluster.NodeID, have replication.State, u *cluster.Update, now int64) replication.Decision
	retire func(self cluster.NodeID, rec *cluster.Record, r cluster.Retirement, now int64) (*cluster.Record, bool)
	forget func(rec *cluster.Record, together, now int64) bool
	next   func(p *replication.Propagation, u *cluster.Update) []cluster.NodeID
	join   func(self cluster.NodeID, have replication.State, mine []byte, u *cluster.Update, theirs []byte, merge func(a, b []byte) ([]byte, error)) *replication.Joined
	heard  func(have replication.State, r cluster.Retirement) cluster.Retirement
	added  func(l *replication.Log, r cluster.Record, now time.Time) replication.Output
}

func trueRules() rules {
	return rules{
		decide: replication.Decide, retire: replication.AfterRetirement, forget: replication.Forget,
		next:  func(p *replication.Propagation, _ *cluster.Update) []cluster.NodeID { return p.Next() },
		join:  replication.Join,
		heard: func(_ replication.State, r cluster.Retirement) cluster.Retirement { return r },
		added: (*replication.Log).Added,
	}
}

// change is an update that was begun.
type change struct {
	update  cluster.Update
	applied bool // somewhere
	acked   bool // the initiator said: durable on all of the replica set
}

// known is what somebody read of an object, a while ago.
type known struct {
	object cluster.Object
	at     time.Duration
}

type event struct {
	at  time.Duration
	seq uint64
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(e[i].at, e[j].at), cmp.Compare(e[i].seq, e[j].seq)) < 0
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}

// start is when every world begins.
func start() time.Time { return time.Unix(1_000_000_000, 0) }

func (w *world) time() time.Time { return start().Add(w.now) }

func (w *world) after(d time.Duration, do func()) {
	w.ordered++
	heap.Push(&w.events, event{w.now + d, w.ordered, do})
}

// run plays events until a moment; false if there were more than most.
func (w *world) run(until time.Duration, most int) bool {
	for len(w.events) > 0 && w.events[0].at <= until {
		if most--; most < 0 {
			return false
		}
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
	w.now = max(w.now, until)
	return true
}

func (w *world) chance(p float64) bool { return p > 0 && w.rnd.Float64() < p }
func (w *world) upTo(d time.Duration) time.Duration {
	return time.Duration(w.rnd.Int64N(int64(d) + 1))
}

// tell adds to the story, if somebody reads it.
func (w *world) tell(parts ...any) {
	if !w.told {
		return
	}
	line := strconv.FormatFloat(w.now.Seconds(), 'f', 3, 64)
	for _, p := range parts {
		if id, ok := p.(cluster.NodeID); ok {
			p = "node " + strconv.Itoa(int(id))
		}
		line += fmt.Sprint(" ", p)
	}
	w.story = append(w.story, line)
}

// node is one node: what is on its disk, and what is in its memory while it is up.
type node struct {
	w        *world
	id       cluster.NodeID
	clock    *cluster.Clock
	skew     time.Duration
	disk     map[cluster.ObjectID]replication.State
	unsynced map[cluster.ObjectID]*cluster.Record // records whose retirement a crash may undo
	side     int                                  // of the partition
	up       bool
	struck   bool
	life     int // counts starts
	log      *replication.Log
	armed    time.Duration
	together int64
}

func newWorld(seed uint64, f faults, r rules) *world {
	w := &world{rnd: rand.New(rand.NewPCG(seed, 7)), faults: f, rules: r, history: map[cluster.ObjectID][]*change{}, contents: map[[32]byte][]byte{}}
	for i := range 3 + w.rnd.IntN(4) {
		n := &node{w: w, id: cluster.NodeID(i + 1), disk: map[cluster.ObjectID]replication.State{}, unsynced: map[cluster.ObjectID]*cluster.Record{}}
		n.skew = w.upTo(4*time.Second) - 2*time.Second
		n.clock = cluster.NewClock(n.id, 0)
		w.nodes = append(w.nodes, n)
		n.start()
	}
	w.reconfigure()
	return w
}

func (w *world) node(id cluster.NodeID) *node { return w.nodes[id-1] }

func (n *node) wall() int64 { return n.w.time().Add(n.skew).UnixNano() }

func (n *node) start() {
	n.up, n.armed = true, 0
	n.life++
	n.log = replication.NewLog(n.id, nil, 0)
	for _, other := range n.w.nodes {
		if other.struck {
			n.log.Strike(other.id, n.w.time())
		}
	}
	for _, id := range n.w.objects {
		if r := n.disk[id].Record; r != nil {
			n.log.Load(*r, n.w.time())
		}
	}
	n.perform(n.log.Install([]cluster.NodeID{n.id}, n.w.time()))
}

// crash stops a node. Retirements that no later commit made durable may be undone.
func (n *node) crash() {
	n.up = false
	if n.w.chance(0.5) {
		for id, r := range n.unsynced {
			if st := n.disk[id]; st.Record == nil || st.Record.Timestamp == r.Timestamp {
				st.Record = r
				n.disk[id] = st
			}
		}
	}
	clear(n.unsynced)
}

// reconfigure gives each node the view of its side, after a while of its own.
func (w *world) reconfigure() {
	for _, n := range w.nodes {
		if !n.up {
			continue
		}
		life := n.life
		w.after(w.upTo(3*time.Second), func() {
			if n.life != life || !n.up {
				return
			}
			var view []cluster.NodeID
			whole := true
			for _, other := range w.nodes {
				if other.up && other.side == n.side && !other.struck {
					view = append(view, other.id)
				} else if !other.struck {
					whole = false
				}
			}
			switch {
			case !whole:
				n.together = 0
			case n.together == 0:
				n.together = n.wall()
			}
			n.perform(n.log.Install(view, w.time()))
		})
	}
}

// send carries a message of some items, perhaps: get runs at the receiver.
func (w *world) send(from, to *node, items int, get func()) {
	if from == to {
		get()
		return
	}
	copies := 1
	if w.chance(w.faults.double) {
		copies = 2
	}
	at := w.now
	for range copies {
		w.sent += items
		if w.chance(w.faults.loss) {
			continue
		}
		delay := w.upTo(w.faults.delay)
		if w.chance(w.faults.late) {
			delay = w.upTo(cluster.LateWindow + 2*time.Minute)
		}
		w.after(delay, func() {
			tooOld := cluster.LateWindow - cluster.ClockSkewMax - w.faults.stale
			if to.up && !to.struck && from.side == to.side && w.now-at+to.skew-from.skew < tooOld {
				get()
			}
		})
	}
}

// call asks a node and gives its answer to done, once; ok is false if none came in time.
func call[T any](w *world, from, to *node, items int, ask func() T, done func(answer T, ok bool)) {
	life, ended := from.life, false
	end := func(answer T, ok bool) {
		if !ended && from.up && from.life == life {
			ended = true
			done(answer, ok)
		}
	}
	w.send(from, to, items, func() {
		answer := ask()
		w.send(to, from, 1, func() { end(answer, true) })
	})
	if !ended {
		w.after(5*time.Second, func() {
			var none T
			end(none, false)
		})
	}
}
