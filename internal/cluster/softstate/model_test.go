package softstate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

// model is the obvious manager: it keeps every holding as it came and forgets nothing it need not.
type model struct {
	view *cluster.View
	held map[string]map[cluster.NodeID]cluster.Holding
}

func (m *model) put(from cluster.NodeID, h cluster.Holding) {
	if m.held[h.Owner] == nil {
		m.held[h.Owner] = make(map[cluster.NodeID]cluster.Holding)
	}
	if old, ok := m.held[h.Owner][from]; !ok || old.Seq < h.Seq {
		m.held[h.Owner][from] = h
	}
}

// forget drops what a node told.
func (m *model) forget(id cluster.NodeID) {
	for _, byNode := range m.held {
		delete(byNode, id)
	}
}

// entry is the mail map and the newest profile, in words.
func (m *model) entry(owner string) string {
	var holders []cluster.NodeID
	var newest cluster.Timestamp
	for id, h := range m.held[owner] {
		if len(h.Fragments) > 0 {
			holders = append(holders, id)
		}
		for _, c := range h.Cached {
			if newest.Compare(c.Object.Timestamp) < 0 {
				newest = c.Object.Timestamp
			}
		}
	}
	slices.Sort(holders)
	return fmt.Sprint(holders, newest)
}

func entryOf(e cluster.Entry) string {
	var holders []cluster.NodeID
	for _, f := range e.Fragments {
		holders = append(holders, f.Holders...)
	}
	var newest cluster.Timestamp
	for _, c := range e.Cached {
		newest = c.Object.Timestamp
	}
	slices.Sort(holders)
	return fmt.Sprint(holders, newest)
}

// TestS1_ManagerAgainstModel plays random holdings, restarts of members and sweeps against the
// obvious code.
func TestS1_ManagerAgainstModel(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		m, now := NewManager(1, clusterID), t0
		v := oneView(1, 1)
		v.Members = oneView(1, 4).Members
		m.Install(v, now)
		ref := &model{view: v, held: make(map[string]map[cluster.NodeID]cluster.Holding)}
		for step := range 400 {
			now = now.Add(time.Duration(rng.Int64N(int64(5 * time.Second))))
			from := cluster.NodeID(1 + rng.IntN(4))
			switch rng.IntN(20) {
			case 0: // a member restarts
				next := &cluster.View{Epoch: cluster.Epoch{Counter: uint64(step + 2), Coordinator: 1}, Map: v.Map, Members: slices.Clone(v.Members)}
				next.Members[from-1].Since = next.Epoch
				v = next
				m.Install(v, now)
				ref.forget(from)
			default:
				// Seq repeats and goes back by a little: late and doubled pushes, younger than emptyKeep.
				h := holding(from, fmt.Sprintf("u%d", rng.IntN(8)), uint64(step/3*3+rng.IntN(3)))
				if rng.IntN(3) > 0 {
					h = holding(from, h.Owner, h.Seq, []string{"mail", fmt.Sprintf("profile@%d", 1+h.Seq)}[rng.IntN(2)])
				}
				if err := m.Receive(&Push{From: from, Epoch: v.Epoch, Holdings: []cluster.Holding{h}}, now); err != nil {
					t.Fatal(err)
				}
				ref.put(from, h)
			}
			if rng.IntN(4) == 0 {
				m.Tick(now)
			}
			for i := range 8 {
				owner := fmt.Sprintf("u%d", i)
				if got, want := entryOf(lookup(t, m, owner)), ref.entry(owner); got != want {
					t.Fatalf("seed %d step %d: entry of %s = %s, want %s", seed, step, owner, got, want)
				}
			}
		}
		checkEmpty(t, m, v, now)
	}
}

// checkEmpty takes all members but none's holdings away and sees that nothing stays behind.
func checkEmpty(t *testing.T, m *Manager, v *cluster.View, now time.Time) {
	t.Helper()
	next := &cluster.View{Epoch: cluster.Epoch{Counter: 1 << 40, Coordinator: 1}, Map: v.Map}
	for _, member := range v.Members {
		member.Since = next.Epoch
		next.Members = append(next.Members, member)
	}
	m.Install(next, now)
	for range 100 {
		if at := m.Deadline(); !at.IsZero() {
			now = at
		}
		m.Tick(now)
	}
	if m.sizes != (sizes{}) || len(m.places.ids) != 0 || len(m.stays.list)-len(m.stays.free) != len(v.Members) {
		t.Errorf("after all is gone: sizes %+v, %d places, %d stays free of %d", m.sizes, len(m.places.ids), len(m.stays.free), len(m.stays.list))
	}
}

// TestS1_ReportersAgainstDisks plays lost, refused and late answers, changes of view and commits, then
// lets all arrive: the managers must know what the disks hold (S1).
func TestS1_ReportersAgainstDisks(t *testing.T) {
	for seed := range uint64(25) {
		rng := rand.New(rand.NewPCG(seed, 2))
		s := newStory()
		v := oneView(1, 3)
		for id := cluster.NodeID(1); id <= 3; id++ {
			s.node(id)
		}
		install := func() {
			for _, i := range rng.Perm(3) {
				n := s.node(cluster.NodeID(i + 1))
				n.manager.Install(v, s.now)
				s.did(cluster.NodeID(i+1), n.reporter.Install(v, s.now))
				s.disturb(rng)
			}
		}
		install()
		for step := range 150 {
			switch rng.IntN(12) {
			case 0:
				b := clusterID.BucketOf(fmt.Sprintf("u%d", rng.IntN(6)))
				v = moved(v, uint64(step+2), b, cluster.NodeID(1+rng.IntN(3)))
				install()
			case 1, 2, 3, 4:
				contents := [][]string{nil, {"mail"}, {"profile@3"}, {"mail", "profile@7"}}[rng.IntN(4)]
				args := []string{fmt.Sprint(1 + rng.IntN(3)), fmt.Sprintf("u%d", rng.IntN(6)), fmt.Sprint(step + 1)}
				s.commit(append(args, contents...))
			default:
				s.disturb(rng)
			}
		}
		for range 60 {
			s.scan()
			s.deliver(true)
			s.run("wait 6s")
		}
		for i := range 6 {
			owner := fmt.Sprintf("u%d", i)
			ref := &model{held: make(map[string]map[cluster.NodeID]cluster.Holding)}
			for id, n := range s.nodes {
				ref.put(id, n.disk[owner])
				if owner != n.disk[owner].Owner {
					delete(ref.held, n.disk[owner].Owner)
				} else if n.reporter.Owes(owner) {
					t.Fatalf("seed %d: node %d still owes %s", seed, id, owner)
				}
			}
			manager := s.node(v.Manager(clusterID.BucketOf(owner))).manager
			e := lookup(t, manager, owner)
			if got, want := entryOf(e), ref.entry(owner); got != want || e.Knowledge == cluster.Partial {
				t.Fatalf("seed %d: entry of %s = %s %v, the disks say %s", seed, owner, got, e.Knowledge, want)
			}
		}
	}
}

// disturb lets some of what is under way happen, in random order, and loses some.
func (s *story) disturb(rng *rand.Rand) {
	rng.Shuffle(len(s.pushes), func(i, j int) { s.pushes[i], s.pushes[j] = s.pushes[j], s.pushes[i] })
	switch rng.IntN(5) {
	case 0:
		s.deliver(false)
	case 1:
		later := s.pushes[len(s.pushes)/2:]
		s.pushes = s.pushes[:len(s.pushes)/2]
		s.deliver(true)
		s.pushes = append(s.pushes, later...)
	case 2:
		s.deliver(true)
	case 3:
		s.scan()
	case 4:
		s.run("wait 700ms")
	}
}
