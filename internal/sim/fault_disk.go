package sim

import (
	"fmt"
	"math"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
)

// survivors draws how many of the writes not yet synced a crash keeps: none, all, or some.
func (f *faults) survivors(count int) int {
	if f.keepNone {
		return 0
	}
	switch f.rng.IntN(3) {
	case 0:
		return 0
	case 1:
		return count
	}
	return f.rng.IntN(count + 1)
}

// refused is the end of a process that may not take part. If its hard state is not what the others
// know, it is set aside, and the machine joins empty, as a new node.
func (w *World) refused(n *node, why membership.Refusal) {
	w.record("is refused: "+why.String(), n)
	w.stats.Refusals++
	if why == membership.RefusalTwin {
		return
	}
	w.lose(n)
	w.acts++
	w.after(strikePause, func() { w.strike(n.id) }) // nobody will have that id again
}

// lose takes a disk away for good. A new machine comes in its place.
func (w *World) lose(n *node) {
	n.gone = true
	w.oracle.destroyed(n)
	w.acts++
	w.after(newMachineTime, w.replace)
}

// left counts the nodes that have their disks.
func (w *World) left() (count int) {
	for _, n := range w.nodes {
		if !n.gone {
			count++
		}
	}
	return count
}

// newMachineTime is how long it takes to put a new machine in the place of one that is lost.
const newMachineTime = 2 * time.Second

// replace adds an empty machine. It knows those that its sponsor knows.
func (w *World) replace() {
	var sponsor *node
	for _, n := range w.nodes {
		if n.up() && !n.paused && !n.out && !n.blocked && (sponsor == nil || len(n.view().Members) > len(sponsor.view().Members)) {
			sponsor = n
		}
	}
	if sponsor == nil {
		w.after(newMachineTime, w.replace)
		return
	}
	w.acts--
	n := w.addNode()
	n.disk.persist.Contacts = contacts(sponsor)
	w.record(fmt.Sprintf("%v comes in place of another", n), nil)
	n.start()
}

// strike has an administrator remove a node that will not come back, at some node that knows it;
// again until all have heard, those too that are down: the one that was told may be lost with what it was told.
func (w *World) strike(id cluster.NodeID) {
	all, told := true, false
	for _, n := range w.nodes {
		if n.gone || n.struck.Contains(id) {
			told = told || n.up()
			continue
		}
		all = false
		if !n.up() || n.paused || n.out || n.blocked || n.view().Contains(id) {
			continue
		}
		out, err := n.core.Forget(w.time(), id)
		n.obey(out)
		if err == nil {
			w.record(fmt.Sprintf("%v is struck", w.names(cluster.ReplicaSet{id})), n)
			break
		}
	}
	if all && told {
		w.acts--
		return
	}
	w.after(strikePause, func() { w.strike(id) })
}

const strikePause = 3 * time.Second

// lossesMax bounds the disks lost in a run.
const lossesMax = 4

// diskLoss takes a machine away with its disk. After a while it is struck.
func (f *faults) diskLoss() func() {
	n := f.any()
	if n == nil || f.losses == 0 || f.w.left() < 2 { // somebody is left for new machines to join
		return nil
	}
	f.losses--
	n.crash()
	f.w.lose(n)
	f.w.acts++
	f.w.after(f.exp(20*time.Second), func() { f.w.strike(n.id) })
	return func() {}
}

// absence keeps a machine off for longer than the grace period.
func (f *faults) absence() func() {
	if f.w.grace > time.Hour {
		return nil
	}
	n := f.any()
	if n == nil || f.losses == 0 {
		return nil
	}
	f.losses--
	n.crash()
	n.off = true
	return func() { n.off = false; f.restart(n) }
}

// rollback puts an old copy of a machine's data directory back. Between the two the machine has
// been started again, and the others have seen that: without it, what they know of its disk decides,
// and a copy of a moment ago cannot be told from a restart.
func (f *faults) rollback() func() {
	n := f.any()
	if n == nil || f.losses == 0 || n.paused {
		return nil
	}
	f.losses--
	copied := n.disk.copy()
	n.crash()
	n.start()
	return func() {
		if n.gone || !n.up() || len(n.view().Members) < 2 || n.disk.persist.Boot <= copied.persist.Boot {
			return
		}
		n.crash()
		f.w.record("is rolled back", n)
		f.w.oracle.destroyed(n) // what it has learned since is gone
		copied.destroyed = true // and what it has may not count for anything
		n.disk = copied
		n.start()
	}
}

// powerOut stops all machines at one moment, and all that was not synced is lost (D3).
func (f *faults) powerOut() func() {
	for _, n := range f.w.nodes {
		if n.up() {
			f.keepNone = true
			n.crash()
		}
	}
	f.keepNone = false
	return f.restartAll
}

func (f *faults) restartAll() {
	for _, i := range f.rng.Perm(len(f.w.nodes)) {
		n := f.w.nodes[i]
		f.w.after(f.exp(time.Second), func() { f.restart(n) })
	}
}

// rolling restarts one machine after the other.
func (f *faults) rolling() func() {
	for i, n := range slices.Clone(f.w.nodes) {
		f.w.after(time.Duration(i)*4*time.Second, func() {
			if n.up() && f.w.now < f.until {
				n.crash()
				f.w.after(time.Second, func() { f.restart(n) })
			}
		})
	}
	return func() {}
}

// bitRot damages one copy of a message on one disk.
func (f *faults) bitRot() func() {
	n := f.any()
	if n == nil || len(n.disk.log) > 0 {
		return nil
	}
	var ids []cluster.ObjectID
	for _, id := range n.disk.ids() {
		if id.Type == typeMessage && !n.disk.objects[id].damaged {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	id := ids[f.rng.IntN(len(ids))]
	n.disk.damage(id)
	f.w.oracle.forget(id, n)
	return func() {}
}

// diskFault sets something of one machine's disk for a while.
func (f *faults) diskFault(set, unset func(n *node)) func() {
	n := f.any()
	if n == nil {
		return nil
	}
	set(n)
	return func() { unset(n) }
}

func (f *faults) slowDisk() func() {
	d := time.Duration(10+f.rng.IntN(1000)) * time.Millisecond
	return f.diskFault(func(n *node) { n.slowDisk = d }, func(n *node) { n.slowDisk = 0 })
}

// stall has a disk hang: once, for seconds; until the end of the fault; or again and again.
func (f *faults) stall() func() {
	n := f.any()
	if n == nil {
		return nil
	}
	once := f.w.now + int64(f.exp(5*time.Second))
	switch f.rng.IntN(3) {
	case 0:
		n.stalled = once
		return func() {}
	case 1:
		n.stalled = math.MaxInt64
		return func() { n.stalled = 0 }
	}
	period, over := f.exp(10*time.Second), false
	var again func()
	again = func() {
		if !over {
			n.stalled = f.w.now + int64(f.exp(4*time.Second))
			f.w.after(period, again)
		}
	}
	again()
	return func() { over, n.stalled = true, 0 }
}

// syncFailure lets the next fsync of a machine fail (D10). The process is started again later.
func (f *faults) syncFailure() func() {
	n := f.any()
	if n == nil {
		return nil
	}
	n.syncFails = true
	return func() { n.syncFails = false; f.restart(n) }
}

// drain moves everything off a machine for a while.
func (f *faults) drain() func() {
	return f.diskFault(func(n *node) { n.draining = true }, func(n *node) { n.draining = false })
}

// skew sets a clock ahead or back by less than the bound, or lets it drift.
func (f *faults) skewed() func() {
	n := f.any()
	if n == nil {
		return nil
	}
	if f.rng.IntN(2) == 0 {
		by := time.Duration(f.rng.Int64N(int64(9*time.Second))) - 9*time.Second/2
		n.skew += by
		return func() { n.skew -= by }
	}
	n.skew += time.Duration(n.drift * float64(f.w.now-n.driftFrom))
	n.drift, n.driftFrom = (f.rng.Float64()-0.5)/50, f.w.now
	return func() { n.drift = 0 }
}

// combined begins several faults of any classes at one moment (row 42).
func (f *faults) combined() func() {
	for range 2 + f.rng.IntN(3) {
		if c := classes()[f.rng.IntN(len(classes())-1)]; c.name != "join" {
			f.begin(c)
		}
	}
	return func() {}
}
