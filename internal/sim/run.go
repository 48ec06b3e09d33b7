package sim

import (
	"cmp"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/placement"
	"porcupine/internal/cluster/watchdog"
)

// bootTime is the time within which the first machines start.
const bootTime = 2 * time.Second

// Lengths of the second phase.
const (
	// settleMax is how long after the heal the cluster may take until all nodes share an epoch, no
	// bucket is incomplete and nothing is owed. It is longer than the longest penalties.
	settleMax  = 90*time.Second + watchdog.WaitMax
	settleStep = time.Second
	// stillTime is how long the cluster must then stay in one epoch.
	stillTime = 20 * time.Second
)

// Run plays one seed. A panic of a core is a failure like others.
func Run(opt Options) (res Result) {
	w := newWorld(opt)
	defer func() {
		if p := recover(); p != nil {
			w.check.that("no panic", fmt.Sprintf("%v\n%s", p, debug.Stack()))
			res = w.result()
		}
	}()
	w.draw()
	w.drawMachines()
	w.boot(w.opt.Nodes)
	until := w.opt.Break
	w.faults.run(int64(until))
	if !opt.Quiet {
		w.client.run(int64(until))
	}
	w.run(until)
	if w.check.failure == nil {
		w.heal()
	}
	return w.result()
}

func (w *World) result() Result {
	w.stats.Simulated = time.Duration(w.now)
	if w.opt.timing == timingDefault {
		w.stats.Default = w.stats.Simulated
	}
	return Result{Seed: w.opt.Seed, Nodes: len(w.nodes), Stats: w.stats, Trace: w.trace.hash, Failure: w.check.failure}
}

// draw decides what the options leave open.
func (w *World) draw() {
	rng := w.stream("options")
	if w.opt.Nodes == 0 {
		w.opt.Nodes = 3 + rng.IntN(7)
		switch rng.IntN(40) {
		case 0:
			w.opt.Nodes = 10 + rng.IntN(21)
		case 1, 2, 3, 4, 5, 6, 7, 8:
			w.opt.Nodes = 1 + rng.IntN(2) // a small beginning: others join
		}
	}
	w.opt.timing = timing(rng.IntN(3))
	w.copies = []int{1, 2, 2, 2, 3}[rng.IntN(5)]
	w.copiesMin = 1
	if rng.IntN(4) == 0 {
		w.copiesMin = 1 + rng.IntN(w.copies)
	}
	w.spread = 1 + rng.IntN(3)
	w.grain = []time.Duration{1, 1, time.Millisecond, 100 * time.Millisecond}[rng.IntN(4)]
	w.repairAfter = []time.Duration{10 * time.Second, 30 * time.Second, time.Minute}[rng.IntN(3)]
	if rng.IntN(3) == 0 {
		w.grace = time.Duration(8+rng.IntN(8)) * time.Minute
	}
	w.client.pause = time.Duration(300+rng.IntN(3000)) * time.Millisecond
	if w.opt.Days {
		w.opt.Nodes = min(w.opt.Nodes, 9)
	}
	long := w.opt.Break == 0 && w.opt.Nodes <= 9 && (rng.IntN(4) == 0 || w.opt.Days) && !w.opt.Dense
	if w.opt.Break == 0 {
		w.opt.Break = time.Duration(2+rng.IntN(20)) * time.Minute
		if w.opt.Nodes > 9 {
			w.opt.Break = 2 * time.Minute
		}
	}
	w.faults.draw()
	if w.opt.Dense {
		w.opt.timing = max(w.opt.timing, timingSlow)
		w.opt.Nodes = min(w.opt.Nodes, 6)
		w.opt.Break *= 3
		w.faults.every = min(w.faults.every, 5*time.Second)
		w.client.pause *= 3
	}
	if long { // days of operation with few faults, in place of minutes with many
		w.opt.timing = []timing{timingDefault, timingSlow, timingSlowest, timingSlowest, timingDays}[min(rng.IntN(16), 4)]
		if w.opt.Sparse {
			w.opt.timing = timingDays
		}
		hours := (6 + rng.IntN(19)) << w.opt.timing // sparser timings make longer runs as cheap
		w.opt.Break = time.Duration(hours) * time.Hour
		w.faults.every *= 6
		if w.opt.timing < timingDays {
			w.faults.every *= 6
		}
		w.client.pause *= 20
	}
}

// boot makes and starts the first machines. They are one installation: each knows of all.
func (w *World) boot(count int) {
	for range count {
		w.addNode()
	}
	for _, n := range w.nodes {
		for _, peer := range w.nodes {
			if peer != n {
				n.disk.persist.Contacts = append(n.disk.persist.Contacts, membership.Contact{Known: cluster.Known{Endpoint: peer.endpoint()}})
			}
		}
		sortContacts(n.disk.persist.Contacts)
		w.after(time.Duration(n.rng.Int64N(int64(bootTime))), func() { w.faults.restart(n) })
	}
}

// contacts lists what a joiner learns from its sponsor.
func contacts(sponsor *node) []membership.Contact {
	var out []membership.Contact
	for _, k := range sponsor.core.Known() {
		out = append(out, membership.Contact{Known: k})
	}
	sortContacts(out)
	return out
}

func sortContacts(c []membership.Contact) {
	slices.SortFunc(c, func(a, b membership.Contact) int { return cmp.Compare(a.ID, b.ID) })
}

func (n *node) endpoint() cluster.Endpoint {
	return cluster.Endpoint{ID: n.id, Name: n.addr(), Addr: n.addr()}
}

// heal is the second phase: no faults, and the cluster must converge.
func (w *World) heal() {
	w.healing = true
	w.faults.heal()
	w.converge()
	if w.opt.Machines {
		w.loseMachine()
		w.converge()
	}
	w.check.that("S1", w.softStateDiffers())
	w.check.that(w.diverging())
	w.check.that("D4", w.changesLost())
	w.check.that("R2", w.flagsLost())
	w.listAll()
}

// converge waits until the cluster is at rest, and checks that it is what it should be.
func (w *World) converge() {
	begun := w.now
	for w.now < begun+int64(settleMax) && w.check.failure == nil {
		w.run(time.Duration(w.now) + settleStep)
		if w.unsettled(w.nodes) == "" {
			break
		}
	}
	w.stats.Converged = max(w.stats.Converged, time.Duration(w.now-begun))
	w.check.that("M5", w.unsettled(w.nodes))
	epochs := w.stats.Epochs
	w.run(time.Duration(w.now) + stillTime)
	if w.stats.Epochs != epochs {
		w.check.that("M5", fmt.Sprintf("%d more epochs in a cluster at rest", w.stats.Epochs-epochs))
	}
	w.check.that("M6", w.overlapping())
	w.await("R4", drainMax, w.undrained)
	w.await("R1", repairMax, w.differing)
	w.await("R6", repairMax, w.thin)
	w.await("R6", repairMax+placement.ApartAfter, w.crowded)
	w.await("R7", repairMax, w.scattered)
	w.await("R1", repairMax, w.unhealed)
	w.await("R4", drainMax, w.undrained)
}

// Limits of the second phase for hard state.
const (
	drainMax  = 3 * time.Minute // RetryMax of the log, and the way
	repairMax = 5 * time.Minute // a few turns of the holders of an object
)

// await gives the cluster time to do what is still to be done. Clocks that were wrong need as long
// as they were ahead.
func (w *World) await(invariant string, limit time.Duration, undone func() string) {
	end := w.now + int64(limit+w.faults.ahead)
	for w.now < end && w.check.failure == nil && undone() != "" {
		w.run(time.Duration(w.now) + settleStep)
	}
	w.check.that(invariant, undone())
}

// unsettled is M5 and the liveness half of S2: it says what is not at rest yet among the nodes
// that can reach each other.
func (w *World) unsettled(nodes []*node) string {
	var epoch cluster.Epoch
	running := 0
	if w.acts > 0 {
		return "a node is being struck or replaced"
	}
	for _, n := range nodes {
		if !n.up() {
			continue
		}
		running++
		if n.out || n.blocked {
			return fmt.Sprintf("%v is out still, or waits for its disk", n)
		}
		v := n.view()
		if epoch.IsZero() {
			epoch = v.Epoch
		}
		if v.Epoch != epoch {
			return fmt.Sprintf("%v is in epoch %v, another node in %v", n, v.Epoch, epoch)
		}
		if c := n.manager.Counts(); c.Incomplete > 0 {
			return fmt.Sprintf("%v has %d incomplete buckets in epoch %v", n, c.Incomplete, epoch)
		}
		if n.reporter.OwedBuckets() > 0 || n.reporter.OwedHoldings() > 0 {
			return fmt.Sprintf("%v owes %d buckets and %d holdings in epoch %v", n, n.reporter.OwedBuckets(), n.reporter.OwedHoldings(), epoch)
		}
	}
	for _, n := range nodes {
		if !n.up() {
			continue
		}
		for _, k := range n.core.Known() {
			if x := w.byID[k.ID]; x != nil && x.gone {
				return fmt.Sprintf("%v counts on %v still, whose disk is lost", n, x)
			}
		}
		if len(n.view().Members) != running {
			return fmt.Sprintf("epoch %v has %d members, but %d nodes run", epoch, len(n.view().Members), running)
		}
	}
	return ""
}

// overlapping is M6: no node is in the views of two groups.
func (w *World) overlapping() string {
	for _, a := range w.nodes {
		for _, b := range w.nodes {
			if !a.up() || !b.up() || a.view().Epoch == b.view().Epoch {
				continue
			}
			for _, m := range a.view().Members {
				if b.view().Contains(m.ID) {
					return fmt.Sprintf("%v is a member for %v in epoch %v and for %v in epoch %v",
						w.byID[m.ID], a, a.view().Epoch, b, b.view().Epoch)
				}
			}
		}
	}
	return ""
}

// softStateDiffers is S1: at rest, soft state is what a full scan of all disks gives.
func (w *World) softStateDiffers() string {
	for _, u := range w.client.users {
		v := w.firstView()
		manager := w.byID[v.Manager(w.id.BucketOf(u.name))]
		e, err := manager.manager.Lookup(u.name)
		if err != nil || e.Knowledge == cluster.Partial {
			return fmt.Sprintf("%v on %s: %v, %v", manager, u.name, e.Knowledge, err)
		}
		newest := make(map[cluster.ObjectID]cluster.Timestamp)
		var holders []string
		for _, n := range w.nodes {
			if !v.Contains(n.id) {
				continue
			}
			h := n.disk.holding(u.name)
			for _, f := range h.Fragments {
				holders = append(holders, n.id.String()+f.Replicas.String())
			}
			for i := range h.Cached {
				x := &h.Cached[i].Object
				newest[x.ID] = later(newest[x.ID], x.Timestamp)
			}
		}
		var told []string
		for _, f := range e.Fragments {
			for _, h := range f.Holders {
				told = append(told, h.String()+f.Replicas.String())
			}
		}
		slices.Sort(holders)
		slices.Sort(told)
		if !slices.Equal(holders, told) {
			return fmt.Sprintf("%v places the mail of %s on %v, the disks on %v", manager, u.name, told, holders)
		}
		if len(newest) != len(e.Cached) {
			return fmt.Sprintf("%v has %d cached objects of %s, the disks %d", manager, len(e.Cached), u.name, len(newest))
		}
		for _, c := range e.Cached {
			if newest[c.Object.ID] != c.Object.Timestamp {
				return fmt.Sprintf("%v has %s %s of %s of %v, the disks of %v", manager, c.Object.ID.Type, c.Object.ID.ID, u.name, c.Object.Timestamp, newest[c.Object.ID])
			}
		}
	}
	return ""
}

func (w *World) firstView() *cluster.View {
	for _, n := range w.nodes {
		if n.up() {
			return n.view()
		}
	}
	return nil
}

// changesLost is D4: the profile that is there at the end is not older than what a client was
// promised, and it is one that a client asked for.
func (w *World) changesLost() string {
	for _, u := range w.client.users {
		id := u.profile()
		o, any := w.oracle.newest[id]
		if p, ok := w.oracle.acked[id]; ok && o.Timestamp.Compare(p.ts) < 0 {
			return fmt.Sprintf("the profile of %s is of %v, but a change of %v was promised", u.name, o.Timestamp, p.ts)
		}
		if u.exists && (!any || o.Deleted) && !w.oracle.lost[id] {
			return fmt.Sprintf("the profile of %s is gone", u.name)
		}
	}
	return ""
}

// listAll is D1, D6, D8 and D9: every mailbox is listed, at one node or another, and the ledger
// compares. check.shown compares too, with the disks.
func (w *World) listAll() {
	w.client.closed = true
	w.run(time.Duration(w.now) + settleStep) // what was handed in before is answered
	mailboxes := make(map[string][]string)
	for i, u := range w.client.users {
		n := w.nodes[i%len(w.nodes)]
		if !n.up() || !u.exists || w.oracle.lost[u.profile()] || w.check.failure != nil {
			continue
		}
		w.client.retrieve(n, u, false, func(list []listed) {
			ids := []string{}
			for _, m := range list {
				ids = append(ids, m.object.ID.ID)
			}
			mailboxes[u.name] = ids
		})
		w.run(time.Duration(w.now) + time.Second)
		if mailboxes[u.name] == nil {
			w.check.that("D9", fmt.Sprintf("%v does not show the mailbox of %s in a cluster at rest", n, u.name))
		}
	}
	if w.check.failure != nil {
		return
	}
	lost := make(map[string]bool)
	for id := range w.oracle.lost {
		tag, _, _ := strings.Cut(id.ID, ".")
		lost[tag] = true
		if id.Type == typeMessage {
			w.stats.Lost++
		}
	}
	for _, text := range w.client.ledger.Check(mailboxes, func(tag string) bool { return lost[tag] }) {
		invariant, story, _ := strings.Cut(text, ": ")
		w.check.that(invariant, story+" (found by the ledger)")
	}
}
