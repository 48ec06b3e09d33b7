package membership

import (
	"fmt"
	"strings"
	"time"

	"porcupine/internal/cluster"
)

// Persistent is what a node must remember across restarts. The zero value is a new node.
type Persistent struct {
	// Promised is the largest epoch the node has proposed, promised or installed. After a restart
	// it starts above it (M2), and no view that was made while it was away can take it for the
	// process that answered.
	Promised cluster.Epoch
	// Contacts are the nodes ever met, ascending by id, without this one.
	Contacts []Contact
	// Boot counts the starts; New adds one, and the first Output makes that durable BEFORE a
	// message tells of it.
	Boot uint64
	// Last is the newest promise given in a round with others, and the process that gave it.
	Last Life
	// Found is what the first process since then found on its disk (Config.Found). Later ones tell the
	// same: what was made durable with nobody to hear of it proves nothing about the copy it was made on.
	Found uint64
	// Absences are those of the known nodes, ascending by id. What was seen of them in the last
	// minute may be missing.
	Absences []Absence
}

// Output is what a core wants done. The caller obeys in the order of the fields:
//
//  1. makes Persist durable BEFORE all else; if that fails, the node must stop: a promise that
//     can be forgotten may split the cluster;
//  2. installs View BEFORE it sends, so that a ViewAck is true when it arrives;
//  3. sends the messages, each at most once, in any order; any of them may be lost;
//  4. logs and counts the events;
//  5. calls Tick at Next, or later than that if busy, unless another call gives a new Next first.
//
// Slices belong to the caller; views and contacts are shared and immutable.
type Output struct {
	Persist *Persistent   // nil: nothing new
	View    *cluster.View // nil: nothing new
	Send    []Envelope
	Events  []Event
	Next    time.Time
	// Left: after Leave, or when Refused is set, no other node counts on this one any more; stop.
	Left bool
	// Refused: this process may not take part under its id. After RefusalStruck and
	// RefusalRolledBack the hard state must be set aside, and the node join again under another
	// id; after RefusalTwin the process must end and leave the data directory as it is.
	Refused Refusal
}

// EventKind classes what happens in a core.
type EventKind uint8

const (
	// EventInstalled: a view was installed; Epoch and Count (its members).
	EventInstalled EventKind = iota + 1
	// EventAlone: this node is not in its group's newer view and starts over as a group of one.
	EventAlone
	// EventDoubt: Node has missed several pings, or a call to it failed.
	EventDoubt
	// EventCleared: Node was in doubt and answered.
	EventCleared
	// EventLost: Node has missed too many pings; a round starts without it.
	EventLost
	// EventFound: Node, coordinator of another group of Count members in Epoch, can be merged with.
	EventFound
	// EventProposed: this node sent round 1 of Epoch to Count nodes.
	EventProposed
	// EventYielded: this node gave up its proposal for Epoch, the larger one of Node.
	EventYielded
	// EventRaised: Node has promised Epoch, whose coordinator is gone; this node goes above it.
	EventRaised
	// EventPromised: this node promised Epoch to Node.
	EventPromised
	// EventRefused: this node refused Epoch of Node.
	EventRefused
	// EventSilent: Node did not acknowledge Epoch in round 3.
	EventSilent
	// EventAbandoned: the view of Epoch, promised to Node, did not come.
	EventAbandoned
	// EventRegressed: another node knows Epoch as one of this node's, but this node does not:
	// its data directory is an old copy. Node is who said so.
	EventRegressed
	// EventDuplicate: another process at Addr uses this node's id.
	EventDuplicate
	// EventPaused: this process stood still For so long after it should have gone on; what it measured in that time is void.
	EventPaused
	// EventLeft: every other member has a view without this node, or the wait for it is over.
	EventLeft
	// EventInvalid: a message of Node made no sense and was dropped.
	EventInvalid
	// EventRemoved: Node was struck, by this node or by another.
	EventRemoved
	// EventStruck: this node was struck, as it learned from Node. It has ended its part.
	EventStruck
	// EventRolledBack: this node's data directory is older than what Node remembers of it. It has ended
	// its part.
	EventRolledBack
	// EventTwin: another process uses this node's id, as Node knows. This one has ended its part.
	EventTwin
	// EventExpelled: Node, at Addr, was refused for the reason Why and has ended its part.
	EventExpelled

	eventMax = EventExpelled
)

var eventNames = [...]string{"", "installed", "alone", "doubt", "cleared", "lost", "found", "proposed", "yielded",
	"raised", "promised", "refused", "silent", "abandoned", "regressed", "duplicate", "paused", "left", "invalid",
	"removed", "struck", "rolled-back", "twin", "expelled"}

// String gives the name that logs and metrics use.
func (k EventKind) String() string {
	if k > 0 && k <= eventMax {
		return eventNames[k]
	}
	return fmt.Sprintf("event %d", uint8(k))
}

// Event is one thing that happened in a core. Fields that the kind does not mention are zero.
type Event struct {
	Kind  EventKind
	Epoch cluster.Epoch
	Node  cluster.NodeID
	Addr  string
	Count int
	Why   Refusal
	For   time.Duration
}

func (e Event) String() string {
	var b strings.Builder
	b.WriteString(e.Kind.String())
	if !e.Epoch.IsZero() {
		fmt.Fprintf(&b, " epoch=%s", e.Epoch)
	}
	if e.Node != cluster.NoNode {
		fmt.Fprintf(&b, " node=%s", e.Node)
	}
	if e.Addr != "" {
		fmt.Fprintf(&b, " addr=%s", e.Addr)
	}
	if e.Count != 0 {
		fmt.Fprintf(&b, " count=%d", e.Count)
	}
	if e.Why != RefusalNone {
		fmt.Fprintf(&b, " why=%s", e.Why)
	}
	if e.For != 0 {
		fmt.Fprintf(&b, " for=%s", e.For)
	}
	return b.String()
}
