package softstate_test

import (
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/softstate"
)

// repairs is a watched cluster: this node is 1.
type repairs struct {
	*testing.T
	*softstate.Repairs
	view   *cluster.View
	struck cluster.ReplicaSet
	now    time.Time
}

func watch(t *testing.T, remembered softstate.Repaired) *repairs {
	return &repairs{T: t, Repairs: softstate.NewRepairs(remembered), now: time.Unix(1000, 0)}
}

// here installs a view of the nodes given, each with the Since it had, or a new one.
func (r *repairs) here(ids ...cluster.NodeID) {
	before := r.view
	r.view = &cluster.View{Epoch: cluster.Epoch{Counter: 1, Coordinator: 1}}
	if before != nil {
		r.view.Epoch.Counter = before.Epoch.Counter + 1
	}
	for _, id := range ids {
		m, ok := before.Member(id)
		if !ok {
			m = cluster.Member{Endpoint: cluster.Endpoint{ID: id}, Since: r.view.Epoch}
		}
		r.view.Members = append(r.view.Members, m)
	}
	r.Watch(r.view, r.struck, r.now)
}

// strike removes a node.
func (r *repairs) strike(id cluster.NodeID) {
	r.struck = r.struck.Union(cluster.ReplicaSet{id})
	r.Watch(r.view, r.struck, r.now)
}

// pass lets time pass, in which the node looks again every second.
func (r *repairs) pass(d time.Duration) {
	for end := r.now.Add(d); r.now.Before(end); {
		r.now = r.now.Add(min(time.Second, end.Sub(r.now)))
		r.Watch(r.view, r.struck, r.now)
	}
}

// wantSole checks which of the nodes 1 to 5 count as sole, though none of them says so.
func (r *repairs) wantSole(when string, want ...cluster.NodeID) {
	r.Helper()
	known := make([]cluster.Known, 5)
	for i := range known {
		known[i].ID = cluster.NodeID(i + 1)
	}
	var got []cluster.NodeID
	for _, k := range r.Counted(known) {
		if k.Sole {
			got = append(got, k.ID)
		}
	}
	if !cluster.ReplicaSet(got).Equal(want) {
		r.Errorf("%s: %v count as sole, want %v", when, got, want)
	}
	for _, k := range known {
		if k.Sole {
			r.Fatalf("%s: Counted changed what it was given", when)
		}
	}
}

const repairTime = softstate.RepairTime

// V1: a node that was not there for long after another was struck may have the only copy of a profile,
// whatever it has said.
func TestV1_SharersOfAStruckNodeCountAsSole(t *testing.T) {
	r := watch(t, softstate.Repaired{})
	r.here(1, 2, 3, 4)
	r.pass(time.Hour)
	r.wantSole("none was struck")
	r.here(1, 2, 3) // 4 is away
	r.pass(time.Minute)
	r.strike(5)
	r.wantSole("a node was just struck", 1, 2, 3, 4, 5)
	r.pass(repairTime - 1)
	r.wantSole("not quite long enough", 1, 2, 3, 4, 5)
	r.pass(1)
	r.wantSole("long enough", 4, 5) // 4 was away all the time; 5 is not known to the core any more
	r.here(1, 2)
	r.wantSole("one went away that had made up for it", 4, 5)
	r.pass(time.Hour)
	r.strike(3)
	r.pass(repairTime)
	r.wantSole("another was struck", 3, 4, 5)
}

// A node that comes and goes has not been there for as long as all its stays take together, and not because it is
// back with the same view of others.
func TestV1_AStayMustNotBreak(t *testing.T) {
	r := watch(t, softstate.Repaired{})
	r.here(1, 2, 3, 4)
	r.strike(5)
	for range 3 {
		r.pass(repairTime / 2)
		r.here(1, 2, 4)
		r.here(1, 2, 3, 4)
	}
	r.wantSole("after three halves", 3, 5)
	r.view = &cluster.View{Epoch: r.view.Epoch, Members: append([]cluster.Member(nil), r.view.Members...)}
	r.pass(repairTime - time.Second)
	r.view.Members[2].Since.Counter++ // it was away, and nobody saw the view between
	r.pass(repairTime)
	r.wantSole("one look too early", 3, 5)
	r.pass(time.Second)
	r.wantSole("at last", 5)
}

// A process that stood still has seen nobody meanwhile.
func TestV1_APauseIsNoStay(t *testing.T) {
	r := watch(t, softstate.Repaired{})
	r.here(1, 2, 3, 4)
	r.strike(5)
	r.now = r.now.Add(24 * time.Hour)
	r.Watch(r.view, r.struck, r.now)
	r.wantSole("after a pause", 1, 2, 3, 4, 5)
	r.now = r.now.Add(-time.Hour) // a clock without a monotonic reading
	r.pass(repairTime)
	r.wantSole("afterwards", 5)
}

// Who comes and was not there since the strike may bring newer versions, on nodes that had made up for what they
// shared, which name the struck node again: all begin anew. Who has been there knows of the strike.
func TestV1_OneWhoDidNotKnowOfTheStrikeComes(t *testing.T) {
	r := watch(t, softstate.Repaired{})
	r.here(1, 2, 3)
	r.strike(5)
	r.pass(repairTime)
	r.here(1, 2)
	r.here(1, 2, 3)
	r.wantSole("one is back that was there", 4, 5)
	r.here(1, 2, 3, 4)
	r.wantSole("one comes", 1, 2, 3, 4, 5)
	r.pass(repairTime / 2)
	r.here(1, 2, 3)
	r.here(1, 2, 3, 4)
	r.pass(repairTime / 2)
	r.wantSole("the same once more", 4, 5)
	r.pass(repairTime / 2)
	r.wantSole("at last", 5)
}

// What is remembered holds after a restart, for the strikes of which it was said, and while nobody comes who
// was not there.
func TestV1_RepairsAreRememberedOverARestart(t *testing.T) {
	before := watch(t, softstate.Repaired{})
	before.here(1, 2, 3)
	before.strike(5)
	if got := before.Repaired(); len(got.By) > 0 {
		t.Errorf("%v to be remembered at once", got)
	}
	before.pass(repairTime)
	remembered := before.Repaired()
	again := func(struck cluster.ReplicaSet) *repairs {
		r := watch(t, remembered)
		r.struck = struck
		r.here(1)
		return r
	}

	r := again(before.struck)
	r.wantSole("after a restart", 4, 5)
	r.here(1, 2)
	r.wantSole("with one away", 4, 5)
	r.here(1, 2, 4)
	r.wantSole("one comes that was not there", 1, 2, 3, 4, 5)

	r = again(before.struck.Union(cluster.ReplicaSet{4}))
	r.wantSole("another was struck meanwhile", 1, 2, 3, 4, 5)

	r = again(before.struck)
	r.strike(4)
	r.wantSole("another was struck, as the next view tells", 1, 2, 3, 4, 5)

	r = again(nil)
	r.wantSole("what was struck is forgotten")
	r.strike(5)
	r.wantSole("and heard of again", 1, 2, 3, 4, 5)
}

// Watch says when there is something to remember.
func TestRepairsTellOfChanges(t *testing.T) {
	r := watch(t, softstate.Repaired{})
	r.here(1, 2)
	for _, c := range []struct {
		name string
		step time.Duration
		do   func()
		want bool
	}{
		{name: "nothing", step: time.Second},
		{name: "a strike", do: func() { r.struck = cluster.ReplicaSet{5} }, want: true},
		{name: "the same strike", step: time.Second},
		{name: "the rest of the time, less than is counted at once", do: func() { r.pass(repairTime - 2*time.Second) }, step: time.Second, want: true},
		{name: "no more", step: time.Hour},
	} {
		if c.do != nil {
			c.do()
		}
		r.now = r.now.Add(c.step)
		if got := r.Watch(r.view, r.struck, r.now); got != c.want {
			t.Errorf("%s: %v, want %v; %v", c.name, got, c.want, r.Repaired())
		}
	}
}
