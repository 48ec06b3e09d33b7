package placement

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"porcupine/internal/cluster"
)

// start is the time of all tests.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// model is a cluster in which every node has every live node's view, and in which updates reach all
// live targets at once, and absent ones when they return.
type model struct {
	*rapid.T
	now     time.Time
	since   time.Time
	loads   map[cluster.NodeID]cluster.Load
	absent  map[cluster.NodeID]time.Time
	struck  cluster.ReplicaSet
	copies  map[cluster.NodeID]map[cluster.ObjectID]cluster.Object // by disk; absent ones too
	owed    map[cluster.NodeID]map[cluster.ObjectID]cluster.Object
	balance bool
	moves   int
}

func newModel(t *rapid.T) *model {
	m := &model{
		T: t, now: start, since: start,
		loads: map[cluster.NodeID]cluster.Load{}, absent: map[cluster.NodeID]time.Time{},
		copies: map[cluster.NodeID]map[cluster.ObjectID]cluster.Object{}, owed: map[cluster.NodeID]map[cluster.ObjectID]cluster.Object{},
	}
	for n, id := rapid.IntRange(2, 6).Draw(t, "nodes"), cluster.NodeID(1); int(id) <= n; id++ {
		m.loads[id] = cluster.Load{DiskFree: int64(rapid.IntRange(10, 40).Draw(t, "free")) << 30, Machine: cluster.Machine(rapid.IntRange(0, 3).Draw(t, "machine"))}
		m.copies[id] = map[cluster.ObjectID]cluster.Object{}
		m.owed[id] = map[cluster.ObjectID]cluster.Object{}
	}
	return m
}

func (m *model) live() (ids []cluster.NodeID) {
	for id := range m.loads {
		if _, gone := m.absent[id]; !gone && !m.struck.Contains(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// add stores a new object on up to copies live nodes.
func (m *model) add(i int) {
	live := m.live()
	copies := rapid.IntRange(1, 3).Draw(m.T, "copies")
	o := cluster.Object{
		ID:        cluster.ObjectID{Type: "note", Owner: fmt.Sprintf("owner-%d", i%3), ID: fmt.Sprintf("%03d", i)},
		Timestamp: cluster.Timestamp{Time: m.now.Add(-time.Hour).UnixNano(), Node: 1}, Copies: copies, Size: 1 << 30,
	}
	at := rapid.Permutation(live).Draw(m.T, "at")
	o.Replicas = cluster.NewReplicaSet(at[:min(copies, len(at))]...)
	if rapid.Bool().Draw(m.T, "implied copies") && len(o.Replicas) == copies {
		o.Copies = 0
	}
	for _, id := range o.Replicas {
		m.copies[id][o.ID] = o
	}
}

// apply is an update at one node.
func (m *model) apply(id cluster.NodeID, o cluster.Object) {
	have, ok := m.copies[id][o.ID]
	switch {
	case ok && have.Timestamp.Compare(o.Timestamp) >= 0:
	case o.Replicas.Contains(id):
		m.copies[id][o.ID] = o
	default:
		delete(m.copies[id], o.ID)
	}
}

func (m *model) planner(self cluster.NodeID) *Planner {
	w := World{
		Self: self, Absent: m.absent, Struck: m.struck, Now: m.now, Since: m.since,
		Rebalance: m.balance, Spread: 3, Part: true,
	}
	for _, id := range m.live() {
		l := m.loads[id]
		for _, o := range m.copies[id] {
			l.DiskFree -= o.Size
		}
		w.Members = append(w.Members, Member{id, l})
	}
	return NewPlanner(w)
}

func (m *model) objects(id cluster.NodeID) (list []Object) {
	for _, o := range m.copies[id] {
		list = append(list, Object{Object: o})
	}
	slices.SortFunc(list, func(a, b Object) int { return a.ID.Compare(b.ID) })
	return list
}

// maps are the mail maps that the managers know.
func (m *model) maps() map[string][]cluster.Fragment {
	sets := map[string]map[string]*cluster.Fragment{}
	for _, id := range m.live() {
		for _, o := range m.objects(id) {
			if sets[o.ID.Owner] == nil {
				sets[o.ID.Owner] = map[string]*cluster.Fragment{}
			}
			f := sets[o.ID.Owner][o.Replicas.Key()]
			if f == nil {
				f = &cluster.Fragment{Type: o.ID.Type, Replicas: o.Replicas}
				sets[o.ID.Owner][o.Replicas.Key()] = f
			}
			f.Count++
		}
	}
	maps := map[string][]cluster.Fragment{}
	for owner, frags := range sets {
		for _, f := range frags {
			maps[owner] = append(maps[owner], *f)
		}
	}
	return maps
}

// replicas lists the live nodes that have the newest version of an object.
func (m *model) replicas(id cluster.ObjectID) (live cluster.ReplicaSet, newest cluster.Object) {
	for _, n := range m.live() {
		if o, ok := m.copies[n][id]; ok && newest.Timestamp.Compare(o.Timestamp) < 0 {
			newest = o
		}
	}
	for _, n := range m.live() {
		if o, ok := m.copies[n][id]; ok && o.Timestamp == newest.Timestamp {
			live = append(live, n)
		}
	}
	return live, newest
}

// carry sends the updates of a move, and checks that no step leaves an object with fewer live replicas
// than it had, or than it wants (R6).
func (m *model) carry(self cluster.NodeID, mv *Move) {
	before, _ := m.replicas(mv.Object.ID)
	for _, u := range mv.Updates(self) {
		if len(u.Targets()) > cluster.ReplicaSetMax || len(u.Object.Replicas) == 0 {
			m.Fatalf("%v of %v: %d targets, replicas %v", mv.Reason, mv.Object.ID, len(u.Targets()), u.Object.Replicas)
		}
		if u.Object.Timestamp.Compare(mv.Object.Timestamp) <= 0 || u.Object.Timestamp.Time > mv.Object.Timestamp.Time+2*stampRange {
			m.Fatalf("timestamp %v of a move of %v", u.Object.Timestamp, mv.Object.Timestamp)
		}
		for _, id := range u.Targets() {
			if slices.Contains(m.live(), id) {
				m.apply(id, u.Object)
			} else {
				m.owed[id][u.Object.ID] = u.Object
			}
		}
		m.Logf("%v: %v %v %v -> %v", self, mv.Reason, mv.Object.ID.Owner+mv.Object.ID.ID, mv.Object.Replicas, u.Object.Replicas)
		after, o := m.replicas(mv.Object.ID)
		if len(after) < min(len(before), m.wanted(&o)) {
			m.Fatalf("%v: %v had live replicas %v, has %v, wants %d", mv.Reason, o.ID, before, after, o.Copies)
		}
	}
	m.moves++
}

// wanted is how many live replicas an object should have at least.
func (m *model) wanted(o *cluster.Object) int {
	open := 0
	for _, id := range m.live() {
		if !m.loads[id].Draining {
			open++
		}
	}
	return min(max(o.Copies, 1), open)
}

// pass has each live node plan and carry out one pass. With interleaving, all plan before any acts.
func (m *model) pass(interleaved bool) (moves int) {
	type todo struct {
		self cluster.NodeID
		mv   Move
	}
	var all []todo
	for _, id := range m.live() {
		list, _ := m.planner(id).Bucket(m.objects(id), m.maps())
		for i := range list {
			if interleaved {
				all = append(all, todo{id, list[i]})
			} else {
				m.carry(id, &list[i])
			}
		}
		moves += len(list)
	}
	for i := range all {
		m.carry(all[i].self, &all[i].mv)
	}
	return moves
}

// passesMax is how many passes a cluster may need to come to rest after a fault.
const passesMax = 20

// rest makes passes until none moves anything.
func (m *model) rest(interleaved bool) {
	for n := 0; ; n++ {
		m.now = m.now.Add(10 * TurnAfter)
		if m.pass(interleaved) == 0 {
			return
		}
		if n == passesMax {
			m.Fatalf("still moving after %d passes", n)
		}
	}
}

func (m *model) change() { m.now = m.now.Add(time.Second); m.since = m.now }

// fault makes a node absent, brings one back, strikes one, drains one, or ends that.
func (m *model) fault() {
	live := m.live()
	switch rapid.IntRange(0, 5).Draw(m.T, "fault") {
	case 0:
		if len(live) > 1 {
			m.change()
			m.absent[rapid.SampledFrom(live).Draw(m.T, "dies")] = m.now
		}
	case 1, 2:
		if away := slices.Sorted(maps.Keys(m.absent)); len(away) > 0 {
			m.change()
			delete(m.absent, away[0])
			for _, o := range m.owed[away[0]] {
				m.apply(away[0], o)
			}
			clear(m.owed[away[0]])
		}
	case 3:
		if away := slices.Sorted(maps.Keys(m.absent)); len(away) > 0 {
			m.change()
			m.struck = m.struck.Union(cluster.ReplicaSet{away[0]})
			delete(m.absent, away[0])
			clear(m.copies[away[0]])
		}
	case 4, 5:
		if len(live) > 1 {
			m.change()
			id := rapid.SampledFrom(live).Draw(m.T, "drains")
			l := m.loads[id]
			l.Draining = !l.Draining
			m.loads[id] = l
		}
	}
}

// R6, R7: whatever happens, the cluster comes to rest; no step leaves too few replicas; at rest every
// object that lives has as many sound live replicas as it can have, none on a node that drains if
// there are enough others, and none too many; and no two of them share a machine while there is another that
// has room.
func TestR6R7_ComesToRestWithTheWantedReplicas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		interleaved := rapid.Bool().Draw(t, "interleaved")
		for i := range rapid.IntRange(1, 8).Draw(t, "objects") {
			m.add(i)
		}
		for range rapid.IntRange(1, 6).Draw(t, "faults") {
			m.fault()
			if rapid.Bool().Draw(t, "rest") {
				m.rest(interleaved)
			}
		}
		m.balance = rapid.Bool().Draw(t, "rebalance")
		m.rest(interleaved)
		m.checkRest()
	})
}

func (m *model) checkRest() {
	seen := map[cluster.ObjectID]bool{}
	for _, n := range m.live() {
		for _, x := range m.objects(n) {
			if seen[x.ID] {
				continue
			}
			seen[x.ID] = true
			live, o := m.replicas(x.ID)
			var sound cluster.ReplicaSet
			for _, id := range live {
				if !m.loads[id].Draining {
					sound = append(sound, id)
				}
			}
			copies := o.Copies
			if copies == 0 {
				copies = len(o.Replicas)
			}
			if len(sound) < min(copies, m.wanted(&o)) {
				m.Fatalf("%v at rest: sound live replicas %v of %v, wants %d", o.ID, sound, o.Replicas, copies)
			}
			if len(m.absent) == 0 && len(o.Replicas) > max(copies, len(sound)) || len(sound) > copies && len(o.Replicas) == len(sound) {
				m.Fatalf("%v at rest: %v, wants %d", o.ID, o.Replicas, copies)
			}
			for _, id := range o.Replicas {
				if m.struck.Contains(id) {
					m.Fatalf("%v at rest names struck node %v", o.ID, id)
				}
			}
			if len(sound) == len(o.Replicas) {
				m.checkApart(&o)
			}
		}
	}
}

// checkApart: no two copies are on one machine while one of them could be on another.
func (m *model) checkApart(o *cluster.Object) {
	machines := cluster.Machines{}
	var open []cluster.NodeID
	for _, id := range m.live() {
		machines[id] = m.loads[id].Machine
		free := m.loads[id].DiskFree - int64(len(m.copies[id]))*o.Size
		if !m.loads[id].Draining && free > o.Size {
			open = append(open, id)
		}
	}
	if others := machines.Apart(o.Replicas, open); len(others) > 0 && machines.Count(o.Replicas) < len(o.Replicas) {
		m.Fatalf("%v at rest: %v share machines of %v, %v have none of it and room", o.ID, o.Replicas, machines, others)
	}
}
