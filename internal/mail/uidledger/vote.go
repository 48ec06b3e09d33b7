package uidledger

import (
	"fmt"

	"porcupine/internal/cluster"
)

// votesMax bounds the ballots of one run.
const votesMax = 6

// proposal is a set that the caller wants.
type proposal struct {
	nodes       cluster.ReplicaSet // nil: as they are
	uidValidity uint32
}

func (p *proposal) wanted(m *Manager) bool {
	return p.nodes != nil && !p.nodes.Equal(m.set.Nodes()) || p.uidValidity > m.set.UIDValidity
}

// vote is where the decision on the next set stands: one instance of Paxos for each version, with the members of the
// version before as acceptors. Two sets of one version would be the end of all uniqueness: dense leases of the one could
// be those of the other.
type vote struct {
	phase  RequestKind // AskPrepare, AskAccept; 0: none
	stuck  bool        // a decision was begun and has to be ended
	tries  int
	ballot Ballot
	value  Set
}

// Propose wants other ledger replicas, at most LanesMax (L9). They are to be read first (Read, with Full), also those
// that have nothing yet: they get all that is known, and then a majority of the present ones decides. Until it has it
// is wanted again in each run of Next. Errors are of KindInvalid.
func (m *Manager) Propose(nodes cluster.ReplicaSet) error {
	if len(nodes) == 0 || len(nodes) > LanesMax {
		return cluster.Errorf(cluster.KindInvalid, fmt.Sprintf("change the ledger replicas of folder %v", m.config.Folder), "%d nodes: 1 to %d are possible", len(nodes), LanesMax)
	}
	m.want.nodes = nodes
	return nil
}

// Renew wants a greater UIDVALIDITY, under which all messages get UIDs anew (L12): when a UID was found torn, when none
// are left, or when the ledger was lost or put back from a backup. It is decided like another set. Flags that were
// written under the old one, and that the deciding manager had not read, are lost: read all that can be reached before.
func (m *Manager) Renew(uidValidity uint32) {
	m.want.uidValidity = max(m.want.uidValidity, uidValidity)
}

// Restart begins the ledger anew with other replicas, without a vote: when so many of the present ones are lost for good that
// there can be none (L12). All that was read is carried on as after Renew; the UIDVALIDITY must be greater than any that the
// lost ones can have known, and the new nodes must have been read. No step may be under way. Errors are of KindInvalid.
func (m *Manager) Restart(nodes cluster.ReplicaSet, uidValidity uint32) error {
	if len(nodes) == 0 || uidValidity <= m.set.UIDValidity || m.flight != idle {
		return cluster.Errorf(cluster.KindInvalid, fmt.Sprintf("begin the ledger of folder %v anew", m.config.Folder), "%d nodes, UIDVALIDITY %d after %d", len(nodes), uidValidity, m.set.UIDValidity)
	}
	m.adopt(FirstSet(nodes, uidValidity))
	return nil
}

// voteStep gives the next request of a decision. false: none is wanted, or it waits.
func (m *Manager) voteStep() (Step, bool) {
	v := &m.vote
	if v.phase == 0 {
		if !m.want.wanted(m) && !v.stuck || v.tries >= votesMax {
			return Step{}, false
		}
		if len(m.members()) < m.set.majority() {
			if !v.stuck {
				m.wait(cluster.KindUnavailable, "the next set of ledger replicas needs a majority of %d", m.set.majority())
			}
			v.stuck = false // lanes are granted meanwhile
			return Step{}, false
		}
		if !v.stuck && !m.levelled() {
			return Step{}, false
		}
		v.tries++
		v.phase = AskPrepare
		v.ballot = Ballot{Number: v.ballot.Number + 1, Node: m.config.Self}
	}
	r := Request{Kind: v.phase, Set: m.set, After: m.highest(UIDs), Agreed: m.agreed(), Ballot: v.ballot}
	if v.phase == AskAccept {
		r.Next = v.value
	}
	step := Step{}
	for _, n := range m.members() {
		step.Ask = append(step.Ask, Ask{n, r})
	}
	m.flight = askingVotes
	return step, true
}

// levelled reports whether the nodes that are wanted have all that is known. They have it BEFORE the decision: a
// manager that reaches nothing but newcomers must not find an empty folder there.
func (m *Manager) levelled() bool {
	for _, node := range m.want.nodes {
		if m.reach&m.bit(node, false) == 0 {
			m.wait(cluster.KindUnavailable, "node %v, which is to become a ledger replica, was not read", node)
			return false
		}
	}
	return m.headLevel&m.reach == m.reach && !m.lags()
}

// countVotes takes the answers to one phase.
func (m *Manager) countVotes(answers []Answer) {
	v := &m.vote
	phase := v.phase
	v.phase = 0
	yes := 0
	var ceilings [counters]uint64
	var accepted Ballot
	var value Set
	for _, a := range answers {
		g := &a.Reply.State
		v.ballot.Number = max(v.ballot.Number, g.Promised.Number)
		if a.Reply.Verdict != Yes {
			continue
		}
		yes++
		for c := range ceilings {
			ceilings[c] = max(ceilings[c], g.Counters[c].Ceil)
		}
		if g.Next.Version != 0 && (value.Version == 0 || accepted.less(g.Accepted)) {
			accepted, value = g.Accepted, g.Next
		}
	}
	switch {
	case yes < m.set.majority():
		if v.tries >= votesMax {
			m.wait(cluster.KindUnavailable, "the next set of ledger replicas was not decided in %d attempts", votesMax)
		}
	case phase == AskPrepare:
		if v.value = value; value.Version == 0 { // else somebody may have decided that: it is decided again
			nodes := m.want.nodes
			if nodes == nil {
				nodes = m.set.Nodes()
			}
			v.value = m.set.next(nodes, m.want.uidValidity, ceilings)
		}
		v.phase = AskAccept
	default:
		m.adopt(v.value)
	}
}

// adopt takes over a newer set, which was decided.
func (m *Manager) adopt(s Set) {
	renewed := s.UIDValidity != m.set.UIDValidity
	m.set = s
	m.asking = asking{tries: m.asking.tries}
	m.vote = vote{tries: m.vote.tries, ballot: Ballot{}}
	if !m.want.wanted(m) {
		m.want = proposal{}
	}
	for _, node := range m.Reached() {
		if _, member := s.lane(node); !member {
			m.Lost(node)
		}
	}
	if renewed {
		m.renew()
	}
}

// renew begins the ledger anew under the set's UIDVALIDITY. All messages become pending, with their flags.
func (m *Manager) renew() {
	var again []Arrival
	for _, c := range m.order {
		m.stale[c.number] = true
		if c.work == nil {
			continue
		}
		for i := range c.work.slots {
			s := &c.work.slots[i]
			if s.state != live && s.state != torn && !s.condemned() {
				continue
			}
			a := Arrival{ID: s.id, Stay: s.stay, condemned: s.condemned()}
			for _, r := range c.work.flagsOf(s.index) {
				a.Flags = append(a.Flags, Register{m.names.list[r.flag], r.on, r.stamp})
			}
			again = append(again, a)
		}
	}
	m.head = &Head{Set: m.set, UIDValidity: m.set.UIDValidity}
	m.headLevel = 0
	m.begin()
	wishes := m.wishes
	m.wishes = nil
	m.Arrive(again...)
	for _, w := range wishes {
		if w.arrival != nil || w.departure != nil { // what names a UID names none any more
			m.wishes = append(m.wishes, w)
		}
	}
}
