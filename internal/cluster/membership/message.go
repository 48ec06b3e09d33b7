package membership

import (
	"fmt"

	"porcupine/internal/cluster"
)

// Kind says what a Message is. The values are fixed: they travel on the wire.
type Kind uint8

const (
	// KindPing asks a member for a sign of life (Porcupine §4.2, ring ping).
	KindPing Kind = 1
	// KindPong answers a ping. It echoes the nonce, so it proves both directions of the link.
	KindPong Kind = 2
	// KindProbe is sent by the coordinator of a group to addresses that are not of its group.
	KindProbe Kind = 3
	// KindProbeAck answers a probe: it echoes the nonce and names the coordinator to talk to.
	KindProbeAck Kind = 4
	// KindNewGroup is round 1: a coordinator proposes an epoch.
	KindNewGroup Kind = 5
	// KindReply is round 2: the sender promised the proposed epoch and will refuse smaller ones.
	KindReply Kind = 6
	// KindReject refuses a KindNewGroup or KindView, and says why.
	KindReject Kind = 7
	// KindView is round 3, and also the answer to KindViewRequest: here is an installed view.
	KindView Kind = 8
	// KindViewAck acknowledges round 3: the sender has installed the view.
	KindViewAck Kind = 9
	// KindViewRequest asks for the receiver's installed view.
	KindViewRequest Kind = 10
	// KindExpelled confirms a Reject with a reason (Message.Why): the sender has ended its part in
	// the cluster.
	KindExpelled Kind = 11

	kindMax = KindExpelled
)

var kindNames = [...]string{"none", "ping", "pong", "probe", "probe-ack", "new-group", "reply", "reject",
	"view", "view-ack", "view-request", "expelled"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Message is everything that the cores of two nodes say to each other: one flat value. The
// first block of fields is set in every message, the others by kind. A Message is immutable once
// made; its slices and its view may be shared.
type Message struct {
	Kind Kind
	From cluster.Endpoint // the sender, and where it can be reached
	Sole bool             // the sender's own cluster.Known.Sole
	// Installed and Size are the epoch and the number of members of the sender's view; Member
	// says whether the receiver is one of them.
	Installed cluster.Epoch
	Size      int
	Member    bool
	// Boot and Process are the sender's Life. Last is the last promise in a round with others that
	// processes before it gave, as its data directory remembers.
	Boot, Process uint64
	Last          Life
	// Found is how far the sender's disk had come when its first process since Last began; Durable, how
	// far it has come since (Core.SetDurable). 0: not known.
	Found, Durable uint64

	// Nonce of Ping and Probe is echoed by Pong and ProbeAck.
	Nonce uint64
	// Epoch, by kind. NewGroup: the proposal. Reply, ViewAck: the epoch answered. Reject: what was
	// refused. View: View.Epoch.
	Epoch cluster.Epoch
	// Promised, in Reject: the largest epoch the sender has promised; a later proposal must be
	// larger. Busy: that promise is young, so its coordinator is probably still at work.
	Promised cluster.Epoch
	Busy     bool
	// Why, in Reject: the receiver's process, the one with the nonce Refused, may not take part at
	// all. In Expelled: the reason that was heard.
	Why     Refusal
	Refused uint64
	// Yours, in NewGroup: the epoch that the coordinator believes the receiver has installed. A
	// receiver in another one refuses, unless it or the coordinator merely lags behind.
	Yours cluster.Epoch
	// Leaving, in Reply: the sender is shutting down, leave it out.
	Leaving bool
	// Coordinator, in ProbeAck: who acts as coordinator of the sender's group.
	Coordinator cluster.Endpoint
	// Members, in a ProbeAck from a coordinator: its group, itself included.
	Members []Contact
	// Digest, in NewGroup: the digest of the absent nodes that the coordinator knows.
	Digest uint64
	// Known, in Reply and View: the absent nodes that the sender knows (known, but not members of
	// its view). Left out of a Reply when the digest showed that the coordinator knows the same.
	Known []Contact
	// View, in View: the view itself, with the user map.
	View *cluster.View
	// Lives, in View: for each of View.Members the process that takes part. May be empty.
	Lives []Life
}

// Contact is a known node and how fresh that knowledge is. What is known of a node is always
// something it said itself, passed on by others or not; Heard orders these statements.
type Contact struct {
	cluster.Known
	// Heard is the epoch that the node had installed when it said so. It never decreases for one
	// node (M2), so of two contacts of one node the one with the larger Heard is the newer.
	Heard cluster.Epoch
	// Removed: the node was struck, in epoch Heard or later. That is final: the contact is kept as
	// a tombstone, which beats all that others remember, and the id is never admitted again.
	Removed bool
	// Life is the newest process of the node that has been in a view.
	Life Life
}

// Envelope is a message and where it shall go. To.ID is NoNode when only the address is known.
type Envelope struct {
	To      cluster.Endpoint
	Message Message
}
