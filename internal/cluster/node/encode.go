package node

import (
	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/wire"
)

// encoder writes membership messages. In round 3 a coordinator tells all members the same view, and repeats it for those who
// are silent: that is written once. With a thousand nodes it is 70 KB and more than a millisecond, each, and the loop
// would do nothing else for longer than a member may be silent. One owner, no lock.
type encoder struct {
	last    viewKey
	payload []byte // of last; never changed, since calls under way refer to it
}

// viewKey is all that tells one message with a view from another that one process sends. A view and slices in messages are immutable,
// so their places stand for what is in them; while the key refers to them nothing else is put there. The last lines are fields
// that other kinds of messages have: TestEncoderKnowsEveryField wants every field of a message here.
type viewKey struct {
	view                   *cluster.View
	lives                  *membership.Life
	known                  *membership.Contact
	livesCount, knownCount int
	epoch, installed       cluster.Epoch
	size                   int
	member, sole           bool
	boot, process          uint64
	last                   membership.Life
	found, durable         uint64
	from                   cluster.Endpoint

	nonce, refused, digest uint64
	promised, yours        cluster.Epoch
	busy, leaving          bool
	why                    membership.Refusal
	coordinator            cluster.Endpoint
	members                *membership.Contact
	membersCount           int
}

// encode gives the message as it travels. It must not be changed.
func (e *encoder) encode(m *membership.Message) []byte {
	if m.Kind != membership.KindView || m.View == nil {
		return wire.MarshalMessage(m)
	}
	key := viewKey{
		view: m.View, lives: first(m.Lives), known: first(m.Known), livesCount: len(m.Lives), knownCount: len(m.Known),
		epoch: m.Epoch, installed: m.Installed, size: m.Size, member: m.Member, sole: m.Sole,
		boot: m.Boot, process: m.Process, last: m.Last, found: m.Found, durable: m.Durable, from: m.From,
		nonce: m.Nonce, refused: m.Refused, digest: m.Digest, promised: m.Promised, yours: m.Yours, busy: m.Busy, leaving: m.Leaving,
		why: m.Why, coordinator: m.Coordinator, members: first(m.Members), membersCount: len(m.Members),
	}
	if e.payload == nil || key != e.last {
		e.last, e.payload = key, wire.MarshalMessage(m)
	}
	return e.payload
}

// first gives the place of a slice's first element, nil if there is none.
func first[T any](s []T) *T {
	if len(s) == 0 {
		return nil
	}
	return &s[0]
}
