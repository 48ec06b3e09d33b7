package membership

import (
	"cmp"
	"fmt"
	"time"

	"porcupine/internal/cluster"
)

// A node's id outlives its processes, and its memory is its data directory. What may go wrong with
// that is told by the life that a process claims (Life), compared with the one that the others
// remember from the last view the node was in:
//
//   - An older boot number, the same one with another nonce, or a newer one whose epochs begin below
//     a view that the node was in: the data directory is an old copy (a backup put back, a snapshot
//     rolled back), or two processes run on two copies of one.
//   - A newer one at another address while the process of the life before answers pings: two
//     processes run on two copies.
//
// Nothing that such a process says is taken in. It is told, in a Reject that names its nonce, and
// when it hears that it ends its part in the cluster (Output.Refused) and confirms
// (KindExpelled). A message of an earlier process that was late on the network draws the same
// Reject, which its successor at that address ignores: the nonce is not its own.
//
// Lives are remembered from views alone, not from single messages: a view says of each member which
// process took part, so all who have installed it agree on whom they will refuse.

// Life is one process of a node. The zero Life is not known.
type Life struct {
	Boot    uint64 // counts the starts of a data directory, from 1
	Process uint64 // random, never 0
	// In is the epoch of the newest view in which that process is known to have been a member.
	In cluster.Epoch
}

// compare orders the lives of one node by age. Of two that cannot both be true it takes a fixed
// one, so that all end with the same.
func (l Life) compare(o Life) int {
	return cmp.Or(cmp.Compare(l.Boot, o.Boot), cmp.Compare(l.Process, o.Process), l.In.Compare(o.In))
}

// Refusal says why a process may not take part under the id that it has. All are final for the
// process, and all but RefusalTwin for its data directory too.
type Refusal uint8

const (
	// RefusalNone: it is not refused.
	RefusalNone Refusal = iota
	// RefusalStruck: the node was struck, by an administrator or after the grace period.
	RefusalStruck
	// RefusalRolledBack: its data directory is older than what others know of it.
	RefusalRolledBack
	// RefusalTwin: another process runs under this id, on another copy of the data directory.
	RefusalTwin

	refusalMax = RefusalTwin
)

var refusalNames = [...]string{"", "struck", "rolled-back", "twin"}

// String gives the word that logs use.
func (r Refusal) String() string {
	if r <= refusalMax {
		return refusalNames[r]
	}
	return fmt.Sprintf("refusal %d", uint8(r))
}

// claim is a process that says it is the next life of a member, from another address. The member
// is pinged: whether it answers decides.
type claim struct {
	from cluster.Endpoint
	life Life
	at   time.Time
}

// Limits of claims.
const (
	claimsMax = 64               // remembered at once; further ones are dropped, and come again
	claimLife = 10 * time.Second // longer than it takes to lose a member
)

// verdict judges the sender of a message by what is known of its node.
func (c *Core) verdict(m Message) Refusal {
	k, ok := c.contacts.byID[m.From.ID]
	switch {
	case !ok:
		return RefusalNone
	case k.Removed:
		return RefusalStruck
	case m.Boot == 0 || k.Life.Boot == 0:
		return RefusalNone // a version that does not count its starts
	case m.Boot == k.Life.Boot && m.Process == k.Life.Process:
		return RefusalNone
	case m.Boot > k.Life.Boot && k.Life.In.Less(m.Installed):
		return RefusalNone // started again
	case c.view.Contains(m.From.ID) && !c.ring.lost[m.From.ID] && k.Life.Boot <= m.Boot+1:
		return RefusalTwin
	}
	return RefusalRolledBack
}

// refuse tells a process that it may not take part.
func (c *Core) refuse(to cluster.Endpoint, process uint64, why Refusal) {
	c.send(to, Message{Kind: KindReject, Promised: c.promised, Why: why, Refused: process})
}

// isAllowed checks who the sender is BEFORE its message may change anything.
func (c *Core) isAllowed(now time.Time, m Message) bool {
	switch {
	case m.Kind == KindExpelled:
		c.event(Event{Kind: EventExpelled, Node: m.From.ID, Addr: m.From.Addr, Why: m.Why})
		return false
	case m.Kind == KindReject && m.Why != RefusalNone:
		c.onRefusal(m)
		return false
	}
	if why := c.verdict(m); why != RefusalNone {
		c.refuse(m.From, m.Process, why)
		return false
	}
	return !c.isClaim(now, m)
}

// isClaim reports whether the sender must wait until the member of that id has been asked.
func (c *Core) isClaim(now time.Time, m Message) bool {
	member, ok := c.view.Member(m.From.ID)
	k := c.contacts.byID[m.From.ID]
	if !ok || c.ring.lost[m.From.ID] || m.From.Addr == member.Addr || k.Life.Boot == 0 || m.Boot <= k.Life.Boot {
		return false
	}
	for id, old := range c.claims {
		if now.Sub(old.at) > claimLife {
			delete(c.claims, id)
		}
	}
	if len(c.claims) < claimsMax {
		c.claims[m.From.ID] = claim{from: m.From, life: Life{Boot: m.Boot, Process: m.Process}, at: now}
	}
	c.doubt(now, m.From.ID)
	c.tickRing(now)
	return true
}

// settleClaim hears that a member is alive.
func (c *Core) settleClaim(now time.Time, id cluster.NodeID) {
	if twin, ok := c.claims[id]; ok {
		delete(c.claims, id)
		if now.Sub(twin.at) <= claimLife {
			c.refuse(twin.from, twin.life.Process, RefusalTwin)
		}
	}
}

// onRefusal hears that this process may not take part. Three kinds of such messages mean nothing:
// those for an earlier process of this node; those of a node that this one does not know, in a smaller group
// (it has been misled); and, when two groups have struck each other's nodes, those of the group that
// yields: the one with fewer members than the other has nodes left, or else in the smaller epoch.
func (c *Core) onRefusal(m Message) {
	if m.Refused != c.process || c.left {
		return
	}
	k, known := c.contacts.byID[m.From.ID]
	switch {
	case k.Removed:
		if cmp.Or(cmp.Compare(m.Size, c.remaining()), m.Installed.Compare(c.view.Epoch)) <= 0 {
			if m.Size < len(c.view.Members) {
				c.refuse(m.From, m.Process, RefusalStruck) // it may not have heard of us
			}
			return
		}
	case !known && m.Size < len(c.view.Members):
		return
	}
	c.end(m.Why, m.From)
}

// remaining counts the nodes known and not struck, this one included.
func (c *Core) remaining() int {
	n := 1
	for _, k := range c.contacts.byID {
		if !k.Removed {
			n++
		}
	}
	return n
}

// end is the end of this process's part in the cluster.
func (c *Core) end(why Refusal, by cluster.Endpoint) {
	kind := [...]EventKind{RefusalNone: EventStruck, RefusalStruck: EventStruck, RefusalRolledBack: EventRolledBack, RefusalTwin: EventTwin}
	if why > refusalMax {
		why = RefusalStruck // a reason of a newer version
	}
	c.event(Event{Kind: kind[why], Node: by.ID, Addr: by.Addr})
	if by.Addr != "" {
		c.send(by, Message{Kind: KindExpelled, Why: why})
	}
	c.left = true
	c.out.Left, c.out.Refused = true, why
}
