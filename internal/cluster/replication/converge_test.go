package replication_test

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

var errSilent = errors.New("no answer")

var oneSeed = flag.Uint64("converge.seed", 0, "play this seed of TestConvergence only, and tell its story")

var seeds = flag.Int("converge.seeds", 2000, "how many seeds TestConvergence plays")

// swarm draws the faults of a seed: whole classes are on or off.
func swarm(seed uint64) faults {
	w := &world{rnd: newRand(seed)}
	f := faults{delay: 50 * time.Millisecond, stale: 2 * time.Second}
	if w.chance(0.5) {
		f.loss = 0.3 * w.rnd.Float64()
	}
	if w.chance(0.5) {
		f.double = 0.3 * w.rnd.Float64()
	}
	if w.chance(0.4) {
		f.late = 0.2 * w.rnd.Float64()
	}
	if w.chance(0.3) {
		f.delay = 6 * time.Second
	}
	if w.chance(0.5) {
		f.crash = 0.1
	}
	if w.chance(0.5) {
		f.part = 0.1
	}
	if w.chance(0.3) {
		f.stale = time.Minute
	}
	f.strike = w.chance(0.15)
	return f
}

// play runs one seed: faults first, then the heal. It gives what is wrong in the end.
func play(seed uint64, r rules, told bool) (*world, error) {
	w := newWorld(seed, swarm(seed), r)
	w.told = told
	return w, w.play()
}

func (w *world) play() error {
	for range 10 + w.rnd.IntN(50) {
		w.step()
		pause := w.upTo(4 * time.Second)
		if w.chance(0.05) {
			pause = w.upTo(10 * time.Minute)
		}
		if !w.run(w.now+pause, 50_000) {
			return errors.New("a storm of messages, during the faults")
		}
		for _, n := range w.nodes {
			if n.up && w.chance(0.2) {
				n.collect()
			}
		}
	}
	w.heal()
	w.sent = 0
	rest := w.now + 20*time.Minute
	if !w.run(rest, 50_000) {
		return errors.New("a storm of messages, after the heal")
	}
	if len(w.events) > 0 {
		return fmt.Errorf("not at rest %v after the heal: %s", 20*time.Minute, w.waiting())
	}
	most := 20 + 4*len(w.objects)*len(w.nodes)*len(w.nodes)
	if w.merging { // each node may join what it has with what comes
		most *= len(w.nodes)
	}
	if w.sent > most {
		return fmt.Errorf("%d items sent after the heal, want at most %d", w.sent, most)
	}
	return w.check()
}

// waiting tells what the logs hold.
func (w *world) waiting() string {
	var b strings.Builder
	for _, n := range w.nodes {
		for _, id := range w.objects {
			if st := n.disk[id]; n.up && n.log.Has(id) {
				fmt.Fprintf(&b, "\nnode %d: record %+v, copy %+v, owed %v", n.id, st.Record, st.Object, n.log.Owed())
			}
		}
	}
	return b.String()
}

// step is one thing that happens: a fault, or an update.
func (w *world) step() {
	n := w.nodes[w.rnd.IntN(len(w.nodes))]
	switch {
	case w.chance(w.faults.crash):
		if n.up {
			n.crash()
			w.tell(n.id, "crashes")
		} else {
			n.start()
			w.tell(n.id, "starts")
		}
		w.reconfigure()
	case w.chance(w.faults.part):
		sides := 1 + w.rnd.IntN(3)
		for _, n := range w.nodes {
			n.side = w.rnd.IntN(sides)
			w.tell(n.id, "is on side", n.side)
		}
		w.reconfigure()
	case n.up:
		w.update(n)
	}
}

// update has node n change something: an object that it makes, or one that it or another read.
func (w *world) update(n *node) {
	var o cluster.Object
	var previous cluster.ReplicaSet
	if len(w.objects) == 0 || w.chance(0.2) && len(w.objects) < 8 {
		o.ID = cluster.ObjectID{Type: "t", Owner: "o", ID: fmt.Sprint(len(w.objects))}
		o.Replicas = w.someNodes()
		w.objects = append(w.objects, o.ID)
	} else if k, ok := w.recall(n); ok {
		o, previous = k, k.Replicas
	} else {
		return
	}
	o.Timestamp = n.clock.Now(w.time().Add(n.skew))
	contents := true
	switch kind := w.rnd.IntN(10); {
	case w.merging && (previous == nil || kind < 6):
		w.put(&o)
	case previous == nil:
		o.Sum = sumOf(o.Timestamp)
	case kind < 4: // new contents
		o.Sum = sumOf(o.Timestamp)
	case kind < 8: // moved, or copied
		o.Replicas = w.someNodes()
		contents = w.chance(0.9)
	case w.merging:
		o.Replicas = w.someNodes()
	case kind == 8:
		o.Deleted, o.Sum, o.Replicas = true, [32]byte{}, nil
	default:
		o.Deleted, o.Sum = true, [32]byte{}
	}
	n.initiate(cluster.Update{Object: o, Previous: previous}, contents)
}

func (w *world) someNodes() cluster.ReplicaSet {
	var set cluster.ReplicaSet
	for len(set) == 0 {
		for range 1 + w.rnd.IntN(3) {
			if n := w.nodes[w.rnd.IntN(len(w.nodes))]; n.up || w.chance(0.3) {
				set = set.Union(cluster.NewReplicaSet(n.id))
			}
		}
		if w.chance(0.1) {
			set = set.Union(cluster.NewReplicaSet(1))
		}
	}
	return set
}

// recall gives an object as some node that can be reached has it, or had it a moment ago.
func (w *world) recall(n *node) (cluster.Object, bool) {
	if len(w.snapshot) > 0 && w.chance(0.3) {
		k := w.snapshot[w.rnd.IntN(len(w.snapshot))]
		if w.now-k.at < w.faults.stale {
			return k.object, true
		}
	}
	id := w.objects[w.rnd.IntN(len(w.objects))]
	first := w.rnd.IntN(len(w.nodes))
	for i := range w.nodes {
		from := w.nodes[(first+i)%len(w.nodes)]
		if o := from.disk[id].Object; from.up && from.side == n.side && o != nil && !o.Deleted {
			w.snapshot = append(w.snapshot, known{*o, w.now})
			return *o, true
		}
	}
	return cluster.Object{}, false
}

// heal ends all faults. In some worlds one node is lost for good.
func (w *world) heal() {
	w.tell("the heal")
	if w.faults.strike {
		lost := w.nodes[w.rnd.IntN(len(w.nodes))]
		lost.up, lost.struck = false, true
		clear(lost.disk)
	}
	stale, strike := w.faults.stale, w.faults.strike
	w.faults = faults{delay: 100 * time.Millisecond, stale: stale, strike: strike}
	for _, n := range w.nodes {
		n.side = 0
		if !n.up && !n.struck {
			n.start()
		}
	}
	for _, n := range w.nodes {
		for _, lost := range w.nodes {
			if n.up && lost.struck {
				n.perform(n.log.Strike(lost.id, w.time()))
			}
		}
	}
	w.reconfigure()
}

// check says which invariant does not hold at rest.
func (w *world) check() error {
	for _, n := range w.nodes {
		if !n.up {
			continue
		}
		if k := n.log.Len(); k != 0 {
			return fmt.Errorf("R4: %d records wait at node %v at rest, owed %v", k, n.id, n.log.Owed())
		}
		n.together = max(n.together, 1)
	}
	w.now += 2 * cluster.LateWindow
	for _, n := range w.nodes {
		n.collect()
	}
	for _, id := range w.objects {
		if err := w.checkObject(id); err != nil {
			return fmt.Errorf("object %s: %w", id.ID, err)
		}
	}
	return nil
}

func (w *world) checkObject(id cluster.ObjectID) error {
	var last *change
	for _, c := range w.history[id] {
		if c.applied && (last == nil || c.update.Object.Timestamp.Compare(last.update.Object.Timestamp) > 0) {
			last = c
		}
	}
	if last == nil {
		return nil
	}
	want := &last.update.Object
	copies := 0
	for _, n := range w.nodes {
		st := n.disk[id]
		if n.struck {
			continue
		}
		if st.Record != nil {
			return fmt.Errorf("R4: node %v still has record %+v", n.id, *st.Record)
		}
		if st.Object != nil {
			copies++
		}
		if w.faults.strike { // what only the lost node had heard of is lost
			continue
		}
		switch {
		case want.Replicas.Contains(n.id) && st.Object == nil:
			return fmt.Errorf("R1: node %v of %v has no copy of %v", n.id, want.Replicas, want.Timestamp)
		case st.Object == nil:
		case !want.Replicas.Contains(n.id) && want.Deleted:
			return fmt.Errorf("R5: deleted by %v, node %v has %v", want.Timestamp, n.id, st.Object.Timestamp)
		case !want.Replicas.Contains(n.id):
			return fmt.Errorf("R1: node %v is not of %v and has a copy of %v, newest %v", n.id, want.Replicas, st.Object.Timestamp, want.Timestamp)
		case st.Object.Timestamp != want.Timestamp:
			return fmt.Errorf("R2: node %v has %v, newest is %v", n.id, st.Object.Timestamp, want.Timestamp)
		case st.Object.Sum != want.Sum || st.Object.Deleted != want.Deleted || !st.Object.Replicas.Equal(want.Replicas):
			return fmt.Errorf("R1: node %v has %+v, want %+v", n.id, *st.Object, *want)
		}
	}
	if w.faults.strike {
		return w.checkSurvivors(id, last, copies)
	}
	return nil
}

// checkSurvivors: the nodes that are left agree, and have what was promised and never replaced. If the
// lost node was a target, then it may have been the only one that knew of two updates: that the
// survivors differ is for the comparison of buckets to find.
func (w *world) checkSurvivors(id cluster.ObjectID, last *change, copies int) error {
	var one *cluster.Object
	linked := false
	for _, c := range w.history[id] {
		for _, n := range w.nodes {
			linked = linked || n.struck && c.update.Targets().Contains(n.id)
		}
	}
	for _, n := range w.nodes {
		o := n.disk[id].Object
		switch {
		case o == nil:
		case one == nil:
			one = o
		case one.Timestamp != o.Timestamp && !linked:
			return fmt.Errorf("R1: survivors have %v and %v", one.Timestamp, o.Timestamp)
		}
		if o != nil && !o.Replicas.Contains(n.id) {
			return fmt.Errorf("R1: node %v is not of %v and has a copy", n.id, o.Replicas)
		}
	}
	if last.acked && len(last.update.Object.Replicas) > 1 && copies == 0 {
		return fmt.Errorf("D1: %v was durable on %v, and is lost with one node", last.update.Object.Timestamp, last.update.Object.Replicas)
	}
	return nil
}

// TestConvergence: after any history of crashes, partitions and lost, late, doubled and reordered
// messages, all replicas are the same (R1), of the newest update (R2), all logs are empty (R4), what was
// deleted stays deleted (R5), and the way there costs a bounded number of messages.
func TestConvergence(t *testing.T) {
	if *oneSeed != 0 {
		w, err := play(*oneSeed, trueRules(), true)
		t.Logf("%d nodes, faults %+v\n%s", len(w.nodes), w.faults, strings.Join(w.story, "\n"))
		if err != nil {
			t.Error(err)
		}
		return
	}
	runs := uint64(*seeds)
	if testing.Short() {
		runs = 300
	}
	worst, failed := 0, 0
	for seed := uint64(1); seed <= runs; seed++ {
		w, err := play(seed, trueRules(), false)
		worst = max(worst, w.sent)
		if err != nil {
			t.Errorf("seed %d: %v\nreplay: go test ./internal/cluster/replication -run TestConvergence -converge.seed=%d -v", seed, err, seed)
			if failed++; failed == 5 {
				break
			}
		}
	}
	t.Logf("%d seeds, at most %d items sent after a heal", runs, worst)
}
