package uidledger

import (
	"cmp"
	"slices"

	"porcupine/internal/cluster"
)

// asksMax bounds the rounds of requests for numbers of one counter that bring nothing, in one run of Next.
const asksMax = 12

// asking is where a request for numbers stands.
type asking struct {
	counter Counter
	kind    RequestKind
	tries   [counters]int
	after   uint64
	upto    uint64
	refused [counters]cluster.ReplicaSet // members that gave no lane lease in this run
	grants  map[cluster.NodeID]Grant     // what members last told, of this version of the set
}

// members are the replicas of the set that are reached.
func (m *Manager) members() cluster.ReplicaSet {
	var nodes cluster.ReplicaSet
	for _, x := range m.set.Members {
		if m.reach&m.bit(x.Node, false) != 0 {
			nodes = append(nodes, x.Node)
		}
	}
	return nodes
}

// askNumbers gives the next request for numbers: a dense lease while all members are reached (L2), else a lane lease of
// one (L3). false: there are enough, or none can be had (it waits).
func (m *Manager) askNumbers(c Counter, need uint64) (Step, bool) {
	if m.asking.tries[c] >= asksMax {
		m.wait(cluster.KindUnavailable, "the ledger replicas gave no %v in %d rounds", c, asksMax)
		return Step{}, false
	}
	members := m.members()
	r := Request{Counter: c, Set: m.set, Agreed: m.agreed()}
	missing := need - m.left(c)
	switch {
	case m.asking.kind == AskRaise && m.asking.counter == c && len(members) >= m.set.majority():
		r.Kind, r.Upto = AskRaise, m.highest(c)
	case len(members) == len(m.set.Members) && m.asking.tries[c] < asksMax/2:
		r.Kind, r.After = AskDense, m.highest(c)
		r.Upto = r.After + m.dense(c, missing)
		if r.Upto > c.largest() {
			m.wait(cluster.KindLimit, "no %v are left: the folder needs a new UIDVALIDITY", c)
			return Step{}, false
		}
	default:
		i := slices.IndexFunc(members, func(n cluster.NodeID) bool { return !m.asking.refused[c].Contains(n) })
		if i < 0 {
			m.wait(cluster.KindUnavailable, "the ledger replicas that are reached give no more %v until a majority is there", c)
			return Step{}, false
		}
		units := (missing + m.set.lease(c) - 1) / m.set.lease(c)
		r.Kind, r.After, r.Count = AskLane, m.lowest(c)-1, uint8(min(units, LaneLeasesMax))
		members = members[i : i+1]
	}
	m.asking.tries[c]++
	m.asking.counter, m.asking.kind, m.asking.after, m.asking.upto = c, r.Kind, r.After, r.Upto
	step := Step{}
	for _, n := range members {
		step.Ask = append(step.Ask, Ask{n, r})
	}
	m.flight = askingNumbers
	return step, true
}

// dense is how many numbers a dense lease is to have. What is left of leases when a manager ends is skipped, and each range of
// that stays in the head for ever. So the first one is what is needed, for managers that end after one change; whoever goes on asks
// for more each time, up to L, and so rarely.
func (m *Manager) dense(c Counter, missing uint64) uint64 {
	return min(max(missing, min(2*m.took[c], m.set.lease(c))), DenseMax*m.set.lease(c))
}

// highest is the largest ceiling that is known, or number that was given.
func (m *Manager) highest(c Counter) uint64 {
	x := max(m.top[c], m.lowest(c)-1)
	for _, g := range m.asking.grants {
		x = max(x, g.Counters[c].Ceil)
	}
	return x
}

// agreed is what a majority is known to have reached: see Request.Agreed. A member that promised something may have
// raised its ceiling since; what it told then does not count.
func (m *Manager) agreed() (agreed [counters]uint64) {
	for c := range agreed {
		var ceilings []uint64
		for _, g := range m.asking.grants {
			agreed[c] = max(agreed[c], g.Counters[c].Base)
			if (g.Promised == Ballot{}) {
				ceilings = append(ceilings, g.Counters[c].Ceil)
			}
		}
		slices.SortFunc(ceilings, func(a, b uint64) int { return cmp.Compare(b, a) })
		if n := m.set.majority(); len(ceilings) >= n {
			agreed[c] = max(agreed[c], ceilings[n-1])
		}
	}
	return agreed
}

// Answered takes the answers to the last step's requests. A node that is missing did not answer, and counts as lost.
func (m *Manager) Answered(answers []Answer) {
	was := m.flight
	m.flight = idle
	answered := answers[:0:0]
	before := m.set
	for _, a := range answers {
		if a.Err != nil {
			m.Lost(a.Node)
			continue
		}
		if a.Reply.State.Set.Newer(&m.set) {
			m.adopt(a.Reply.State.Set)
		}
		answered = append(answered, a)
	}
	for _, node := range m.members() {
		asked := was == askingVotes || m.asking.kind != AskLane
		if asked && !slices.ContainsFunc(answers, func(a Answer) bool { return a.Node == node }) {
			m.Lost(node)
		}
	}
	if !m.set.equal(&before) {
		m.asking.kind, m.vote.phase = 0, 0
		return // all is asked anew, under the newer set
	}
	if m.asking.grants == nil {
		m.asking.grants = map[cluster.NodeID]Grant{}
	}
	for _, a := range answered {
		m.asking.grants[a.Node] = a.Reply.State
	}
	if was == askingVotes {
		m.countVotes(answered)
		return
	}
	m.takeNumbers(answered)
}

// takeNumbers takes leases that were granted, or sees what is in the way.
func (m *Manager) takeNumbers(answers []Answer) {
	c, kind := m.asking.counter, m.asking.kind
	m.asking.kind = 0
	if len(answers) == 0 {
		return
	}
	yes, spent := 0, false
	for _, a := range answers {
		switch a.Reply.Verdict {
		case Yes:
			yes++
		case Spent:
			spent = true
		case Promised:
			m.vote.stuck = true // somebody began to decide the next set: it is decided first
		case Differs:
			m.wait(cluster.KindInternal, "node %v knows another set of ledger replicas of version %d", a.Node, m.set.Version)
		}
	}
	switch {
	case kind == AskDense && yes == len(m.set.Members):
		m.spans[c].add(m.asking.after+1, m.asking.upto)
		m.took[c] = m.asking.upto - m.asking.after
		m.asking.tries[c] = 0
	case kind == AskLane && yes == 1:
		r := answers[0].Reply
		m.asking.tries[c] = 0
		for i := range uint64(r.Leases) {
			first := r.First + i*m.set.superblock(c)
			m.spans[c].add(first, first+m.set.lease(c)-1)
		}
	case spent && len(m.members()) >= m.set.majority() && kind != AskRaise:
		m.asking.kind, m.asking.counter = AskRaise, c
	case kind == AskLane:
		m.asking.refused[c] = m.asking.refused[c].Union(cluster.NewReplicaSet(answers[0].Node))
	}
}
