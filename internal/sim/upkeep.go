package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/placement"
)

// movesMax is how many moves of one pass are under way at once.
const movesMax = 8

// upkeep is what a node does beside serving, as the room of that name: it carries out what the
// placement decides, and brings damaged copies in order.
type upkeep struct {
	circumstance string
	since        time.Time
	passes       int
	healing      map[cluster.ObjectID]bool     // copies that are being brought in order
	lost         map[cluster.ObjectID][32]byte // the sums of contents that nobody has who was asked
	running      bool
	moves        []placement.Move
	flying       int
}

// passPeriod is the time between two passes.
func (w *World) passPeriod() time.Duration {
	if w.healing {
		return 5 * time.Second
	}
	return 15 * time.Second << w.opt.timing
}

// keepUp makes a pass now and then.
func (n *node) keepUp() {
	n.after(n.w.passPeriod(), n.keepUp)
	n.reconcile()
	if !n.upkeep.running {
		n.pass()
	}
}

// world is what a node knows of the cluster.
func (n *node) world() placement.World {
	v := n.view()
	w := placement.World{
		Self: n.id, Struck: n.struck, Now: n.wall(), Absent: make(map[cluster.NodeID]time.Time),
		RepairAfter: n.w.repairAfter, Grace: n.w.grace,
	}
	key := fmt.Sprint(v.Epoch, n.struck, n.w.healing)
	for _, m := range v.Members {
		l := n.load()
		if m.ID != n.id {
			known, _ := n.loads.Get(m.ID)
			l = known.Load
		}
		if l.DiskFree == 0 {
			l.DiskFree = diskSize
		}
		w.Members = append(w.Members, placement.Member{ID: m.ID, Load: l})
		key += fmt.Sprint(l.Draining, l.DiskFull)
	}
	for _, a := range n.core.Absent(n.w.time()) {
		w.Absent[a.ID] = n.wall().Add(-a.For)
	}
	if u := &n.upkeep; u.circumstance != key {
		u.circumstance, u.since = key, n.wall()
	}
	w.Since, w.Part = n.upkeep.since, true
	if n.w.healing {
		w.Rebalance, w.Spread = true, n.w.spread+n.w.copies-1
	}
	return w
}

// known tells the manager of the soft state which nodes exist, as the node does.
func (n *node) known() {
	n.watchRepairs()
	n.manager.SetKnown(n.repairs.Counted(n.core.Known()))
}

// watchRepairs looks at who is there to make up for what struck nodes had, and remembers who did.
func (n *node) watchRepairs() (changed bool) {
	changed = n.repairs.Watch(n.view(), cluster.NewReplicaSet(n.core.Struck()...), n.w.time())
	if r := n.repairs.Repaired(); len(r.By) > 0 && !n.hangs() {
		n.disk.repaired = r
	}
	return changed
}

// listen asks members of which nothing was heard for a while how loaded they are. Between real
// nodes the comparison of buckets and the reports of usage do that.
func (n *node) listen() {
	for _, m := range n.view().Members {
		if known, ok := n.loads.Get(m.ID); m.ID != n.id && (!ok || n.w.time().Sub(known.At) > loadAge) {
			n.call(m.ID, &request{method: methodConfirm}, func(*answer) {})
		}
	}
}

// loadAge is how old a load may be before it is asked for.
const loadAge = 20 * time.Second

// pass plans one walk over this node's objects and begins it.
func (n *node) pass() {
	u := &n.upkeep
	planner := placement.NewPlanner(n.world())
	thorough := n.w.healing || u.passes%8 == 0
	u.passes++
	if thorough {
		n.listen()
	}
	for _, user := range n.w.client.users {
		own := n.disk.owners[user.name]
		if own == nil || !thorough && !affected(planner, own) {
			continue
		}
		var objects []placement.Object
		for _, list := range [...][]*stored{own.messages, own.cached} {
			for _, s := range list {
				if s.damaged {
					n.heal(s)
				}
				objects = append(objects, placement.Object{
					Object: s.object, Cached: isCached(s.object.ID.Type), Propagating: n.log.Has(s.object.ID),
				})
			}
		}
		if len(objects) == 0 {
			continue
		}
		slices.SortFunc(objects, func(a, b placement.Object) int { return a.ID.Compare(b.ID) })
		var maps map[string][]cluster.Fragment
		if n.w.healing {
			maps = n.mailMap(user.name)
		}
		moves, _ := planner.Bucket(objects, maps)
		u.moves = append(u.moves, moves...)
	}
	for u.flying < movesMax && len(u.moves) > 0 {
		n.nextMove()
	}
}

// reconcile sends the newest version of a cached object to all who hold one of it, where they hold
// different ones for a while (R1).
func (n *node) reconcile() {
	for _, d := range n.manager.Divergences(n.w.time()) {
		e, err := n.manager.Lookup(d.ID.Owner)
		if err != nil {
			continue
		}
		for _, c := range e.Cached {
			if c.Object.ID != d.ID || c.Object.Timestamp != d.Newest {
				continue
			}
			n.w.stats.Reconciled++
			n.updateAll([]cluster.Update{{Object: c.Object, Previous: d.Holders.Union(d.Stale)}}, string(c.Contents), true,
				func([]cluster.Update, []error) {})
		}
	}
}

// affected reports whether an owner's objects may need a move now.
func affected(p *placement.Planner, own *owned) bool {
	var last cluster.ReplicaSet
	for _, list := range [...][]*stored{own.messages, own.cached} {
		for _, s := range list {
			if s.damaged {
				return true
			}
			if set := s.object.Replicas; !set.Equal(last) {
				if last = set; p.Affected(set, 0) || p.Crowded(set) {
					return true
				}
			}
		}
	}
	return false
}

// mailMap asks the owner's manager, in passing: a pass that does not know moves nothing for spread.
func (n *node) mailMap(owner string) map[string][]cluster.Fragment {
	m := n.w.byID[n.view().Manager(n.w.id.BucketOf(owner))]
	if m == nil || !m.up() || m.view().Epoch != n.view().Epoch {
		return nil
	}
	e, err := m.manager.Lookup(owner)
	if err != nil || e.Knowledge == cluster.Partial {
		return nil
	}
	var fragments []cluster.Fragment
	for _, f := range e.Fragments {
		fragments = append(fragments, f.Fragment)
	}
	return map[string][]cluster.Fragment{owner: fragments}
}

func (n *node) nextMove() {
	u := &n.upkeep
	if len(u.moves) == 0 {
		u.running = u.flying > 0
		return
	}
	m := u.moves[0]
	u.moves = u.moves[1:]
	u.flying++
	u.running = true
	n.w.stats.Moves++
	updates := m.Updates(n.id)
	n.carry(&m, updates, 0, func() {
		u.flying--
		n.nextMove()
	})
}

// carry carries out one step of a move after the other: the next one only when the last is durable
// everywhere.
func (n *node) carry(m *placement.Move, updates []cluster.Update, step int, end func()) {
	if step == len(updates) {
		end()
		return
	}
	up, contents, has := updates[step], "", m.Object.Deleted
	if m.Contents() && step == 0 || isCached(m.Object.ID.Type) && !m.Object.Deleted {
		s := n.disk.objects[m.Object.ID]
		if s == nil || s.damaged || s.object.Timestamp != m.Object.Timestamp && step == 0 || s.object.Sum != m.Object.Sum {
			end() // it has changed meanwhile
			return
		}
		contents, has = s.contents, true
	}
	n.updateAll([]cluster.Update{up}, contents, has, func(_ []cluster.Update, errs []error) {
		var short *cluster.Shortfall
		if errs[0] != nil && !(errors.As(errs[0], &short) && step == len(updates)-1) {
			end()
			return
		}
		n.carry(m, updates, step+1, end)
	})
}

// heal brings a damaged copy in order, from another copy of the same contents (D5): of a replica or, if none
// has it, of one who asked whether he may drop his.
func (n *node) heal(s *stored, also ...cluster.NodeID) {
	id := s.object.ID
	if n.upkeep.healing[id] {
		return
	}
	n.upkeep.healing[id] = true
	homes := s.object.Replicas.Without(cluster.ReplicaSet{n.id}).Without(n.struck)
	homes = append(homes, also...)
	heard := true // from all of them
	var try func(i int)
	try = func(i int) {
		if i == len(homes) {
			delete(n.upkeep.healing, id)
			if heard {
				n.upkeep.lost[id] = s.object.Sum
			}
			return
		}
		n.callAgain(homes[i], &request{method: methodRead, object: id}, func(a *answer) {
			heard = heard && (a.err == nil || cluster.IsKind(a.err, cluster.KindNotFound) || cluster.IsKind(a.err, cluster.KindCorrupt))
			if a.err != nil || a.objects[0].Sum != s.object.Sum {
				try(i + 1)
				return
			}
			n.commit(op{
				apply: func() {
					have := n.disk.objects[id]
					if have == nil || !have.damaged || have.object.Sum != sumOf(a.contents) {
						return
					}
					whole := *have
					whole.contents, whole.damaged = a.contents, false
					n.disk.set(n.disk.begin(), id, &whole, n.disk.records[id])
					n.w.stats.Healed++
				},
				done: func(error) { delete(n.upkeep.healing, id) },
			})
		})
	}
	try(0)
}

// unhealed names a copy whose contents are damaged, while those of another one are owed still. Whoever has
// it asks the others in his turn, and again in the next one if none of them answered.
func (w *World) unhealed() string {
	for _, n := range w.nodes {
		if n.disk.destroyed {
			continue
		}
		for _, id := range n.disk.ids() {
			if s := n.disk.objects[id]; s.damaged && !w.oracle.lost[id] && !w.oracle.newest[id].Timestamp.IsZero() {
				return fmt.Sprintf("%v has a damaged copy of %s of %s: %s", n, id.ID, id.Owner, w.states(id))
			}
		}
	}
	return ""
}
