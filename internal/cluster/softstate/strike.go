package softstate

import (
	"slices"
	"time"

	"porcupine/internal/cluster"
)

// RepairTime is how long a node must have been a member without a break, after it was known which nodes
// are struck, until what it shared with them is taken to have other copies.
const RepairTime = 10 * time.Minute

// watchStepMax is the most that counts from one Watch to the next: in a time in which this process stood
// still it saw nobody.
const watchStepMax = time.Minute

// Repaired says that what each of the nodes By shared with the struck nodes has other copies. It stays true
// until another node is struck, or one comes that has not been there since: see Repairs. So it may be
// remembered over restarts. The sets are as large as the cluster, and never changed once made.
type Repaired struct {
	Struck cluster.ReplicaSet
	By     cluster.ReplicaSet
}

// Equal reports whether both say the same.
func (r Repaired) Equal(o Repaired) bool { return r.Struck.Equal(o.Struck) && r.By.Equal(o.By) }

// Repairs follows who has made up for what was lost with struck nodes. It is a value of one node's, without
// goroutine, clock or lock.
//
// A cached object lay on two nodes; once one of them is struck, the other may have the only copy, though it
// was not made alone and so its node never said that it is the sole holder. The node itself repairs that
// while it is a member. So one that goes away before it has been there for RepairTime counts as sole (V1),
// and so does one that was away when the other was struck, until it has been back for as long.
//
// One that was away may also bring changes of objects that name a struck node, made where the strike was not
// known. They are newer, and undo the repair on whichever nodes they name: all begin anew when it comes.
type Repairs struct {
	repaired Repaired
	stays    map[cluster.NodeID]watched // of those that were members since the strike and are not in repaired.By
	at       time.Time                  // of the last Watch
}

// watched is a member's stay as far as it was watched.
type watched struct {
	since cluster.Epoch // zero: it has left
	lasts time.Duration
}

// NewRepairs goes on with what an earlier process remembered; the zero Repaired: nothing.
func NewRepairs(remembered Repaired) *Repairs {
	return &Repairs{repaired: remembered, stays: map[cluster.NodeID]watched{}}
}

// Watch takes the installed view and the nodes that are struck, as of now. It is to be called at each change of
// the two, BEFORE the view serves, and at least once in a minute: no more than that is counted at once. It
// reports whether Repaired has changed.
func (r *Repairs) Watch(v *cluster.View, struck cluster.ReplicaSet, now time.Time) (changed bool) {
	step := time.Duration(0)
	if !r.at.IsZero() {
		step = min(max(now.Sub(r.at), 0), watchStepMax)
	}
	r.at = now
	before := r.repaired
	switch {
	case !before.Struck.ContainsAll(struck):
		r.repaired = Repaired{Struck: struck}
		clear(r.stays)
	case len(struck) < len(before.Struck): // the oldest are forgotten
		r.repaired.Struck = struck
	}
	if len(struck) > 0 {
		if r.begin(v) {
			step = 0
		}
		r.count(v, step)
	}
	return !r.repaired.Equal(before)
}

// begin has all begin anew if somebody comes who has not been there since the last strike, and says so.
func (r *Repairs) begin(v *cluster.View) bool {
	comes := slices.ContainsFunc(v.Members, func(m cluster.Member) bool {
		_, ok := r.stays[m.ID]
		return !ok && !r.repaired.By.Contains(m.ID)
	})
	if !comes {
		return false
	}
	for _, id := range r.repaired.By {
		r.stays[id] = watched{}
	}
	r.repaired.By = nil
	for id, s := range r.stays { // each on its own: the order does not matter
		s.lasts = 0
		r.stays[id] = s
	}
	for _, m := range v.Members {
		r.stays[m.ID] = watched{since: m.Since}
	}
	return true
}

// count adds a step to the stays of those who were there at the last Watch and still are.
func (r *Repairs) count(v *cluster.View, step time.Duration) {
	for id := range r.stays { // each on its own, as above
		if !v.Contains(id) {
			r.stays[id] = watched{}
		}
	}
	var done []cluster.NodeID
	for _, m := range v.Members {
		s, ok := r.stays[m.ID]
		switch {
		case !ok: // in By
			continue
		case s.since != m.Since:
			s = watched{since: m.Since}
		default:
			s.lasts += step
		}
		if r.stays[m.ID] = s; s.lasts >= RepairTime {
			done = append(done, m.ID)
			delete(r.stays, m.ID)
		}
	}
	r.repaired.By = r.repaired.By.Union(done)
}

// Repaired is what is worth remembering.
func (r *Repairs) Repaired() Repaired { return r.repaired }

// Counted gives the known nodes as SetKnown wants them: those that may share something with a struck node that
// nobody else has count as sole. known is not changed.
func (r *Repairs) Counted(known []cluster.Known) []cluster.Known {
	if len(r.repaired.Struck) == 0 {
		return known
	}
	known = slices.Clone(known)
	for i := range known {
		known[i].Sole = known[i].Sole || !r.repaired.By.Contains(known[i].ID)
	}
	return known
}
