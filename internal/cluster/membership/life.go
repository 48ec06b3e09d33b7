package membership

import (
	"cmp"
	"fmt"
	"maps"
	"time"

	"porcupine/internal/cluster"
)

// A node's id outlives its processes, and its memory is its data directory. What may go wrong with
// that is told by the life that a process claims (Life), compared with the one that the others
// remember from the last view the node was in:
//
//   - An older boot number, the same one with another nonce, or a newer one whose data directory does
//     not remember a promise that the node gave (Message.Last): the data directory is an old copy
//     (a backup put back, a snapshot rolled back), or two processes run on two copies of one. The
//     last of these three holds however often the copy is started before anybody hears of it.
//   - Its disk was found to end before what a process before it told to be durable (Life.Durable): the
//     same, and this shows even if the copy was made and put back with no start and no change of view in
//     between. What a crash may lose is never told. Only the neighbours in the ring hear that number all
//     the time, and others at changes of view; a neighbour's word ends the process all the same.
//   - Whatever its boot number, it is at another address, and the process of the life before answers
//     pings: two processes run on two copies.
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
	// Durable is how far that process said its disk had come, and Before how far processes before it did.
	// 0: not known.
	Durable, Before uint64
}

// isProcess reports whether l is that process.
func (l Life) isProcess(boot, process uint64) bool {
	return boot > 0 && l.Boot == boot && l.Process == process
}

// join unites what is known of the newest process of one node.
func (l Life) join(o Life) Life {
	if l.compare(o) < 0 {
		l, o = o, l
	}
	l.Before = max(l.Before, o.Before)
	switch {
	case l.isProcess(o.Boot, o.Process):
		l.Durable = max(l.Durable, o.Durable)
	case o.Boot < l.Boot:
		l.Before = max(l.Before, o.Durable)
	}
	return l
}

// outran reports whether processes before the sender told of commits that are durable and that the
// sender did not find on its disk.
func (l Life) outran(m Message) bool {
	if m.Found == 0 || m.Boot < l.Boot {
		return false
	}
	told := l.Before
	if l.Boot < m.Boot {
		told = max(told, l.Durable)
	}
	return m.Found < told
}

// foundSince gives what a process tells of the disk as it was found. A copy that was put back and
// started several times before anybody heard of it has made commits of its own: what counts is what
// its first process found. Once a process has been in a view with others, the next one begins anew; only
// such a process has told how far its disk has come.
func foundSince(p Persistent, found uint64) uint64 {
	if p.Boot != p.Last.Boot && p.Found != 0 {
		return p.Found
	}
	return found
}

// remembers reports whether a data directory whose last promise is l can be the one of a stay in a
// view: what was in a view has promised that view, durably.
func (l Life) remembers(stay Life) bool {
	return stay.Boot < l.Boot || stay.Boot == l.Boot && stay.Process == l.Process && !l.In.Less(stay.In)
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

// claim is a process that says it is a member of the view, started again at another address.
type claim struct {
	from    cluster.Endpoint
	process uint64
	at      time.Time
}

// Limits of claims.
const (
	claimsMax = 64               // remembered at once; further ones are dropped, and come again
	claimLife = 10 * time.Second // longer than it takes to lose a member
)

// life gives this process's own.
func (c *Core) life() Life { return Life{Boot: c.boot, Process: c.process} }

// standing is what a sender's life is beside the one that is remembered of its node.
type standing uint8

const (
	current standing = iota // the same, or nothing can be said
	fresh                   // started again
	past                    // older: a process that is no more, or an old copy of the data directory
)

func (c *Core) standing(m Message) standing {
	k := c.contacts.byID[m.From.ID].Life
	lacks := k.outran(m)
	switch {
	case m.Boot == 0 || k.Boot == 0: // a version that does not count its starts; a node never seen
		return current
	case lacks: // commits that others may count on
	case k.isProcess(m.Boot, m.Process):
		return current
	case m.Boot > k.Boot && m.Last.remembers(k):
		return fresh
	}
	return past
}

// refuse tells a process that it may not take part.
func (c *Core) refuse(to cluster.Endpoint, process uint64, why Refusal) {
	c.send(to, Message{Kind: KindReject, Why: why, Refused: process})
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
	case c.contacts.byID[m.From.ID].Removed:
		c.refuse(m.From, m.Process, RefusalStruck)
		return false
	}
	s := c.standing(m)
	if s == current {
		return true
	}
	if member, ok := c.view.Member(m.From.ID); ok && !c.ring.lost[m.From.ID] && m.From.Addr != member.Addr {
		c.claim(now, m)
		return false
	}
	if s == past {
		c.refuse(m.From, m.Process, RefusalRolledBack)
	}
	return s == fresh
}

// claim has a member asked whether it is alive, since another process says that it is that node, at
// another address. If it does not answer it is lost, and then the other is heard.
func (c *Core) claim(now time.Time, m Message) {
	maps.DeleteFunc(c.claims, func(_ cluster.NodeID, old claim) bool { return now.Sub(old.at) > claimLife })
	if len(c.claims) < claimsMax {
		c.claims[m.From.ID] = claim{from: m.From, process: m.Process, at: now}
	}
	c.doubt(now, m.From.ID)
	c.tickRing(now)
}

// settleClaim hears from a process of a member that it is alive.
func (c *Core) settleClaim(now time.Time, id cluster.NodeID, process uint64) {
	if twin, ok := c.claims[id]; ok {
		delete(c.claims, id)
		if now.Sub(twin.at) <= claimLife && twin.process != process {
			c.refuse(twin.from, twin.process, RefusalTwin)
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
