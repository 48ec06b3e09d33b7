package mailbox

import (
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// sessionID names one session for ever: random.
type sessionID [16]byte

// term is what a lock's validity hangs on beside its lease; see the package comment.
type term struct {
	bucket cluster.Epoch // when the user's bucket was last assigned
	since  cluster.Epoch // since when the session's node is a member
}

// termOf gives the term that a view says for a user's bucket and a session's node, and false if
// the node is not a member.
func termOf(v *cluster.View, b cluster.Bucket, node cluster.NodeID) (term, bool) {
	m, ok := v.Member(node)
	if !ok || int(b) >= len(v.Map) {
		return term{}, false
	}
	return term{bucket: v.Map[b].Epoch, since: m.Since}, true
}

// outcome is what the table says to a session.
type outcome uint8

const (
	granted outcome = iota
	inUse           // another session has the lock
	early           // the bucket was assigned a moment ago, and running sessions come first
	full            // the table is full
	foreign         // the session's node is not a member here, or the bucket is not ours
)

// holder is the session that has a lock.
type holder struct {
	session sessionID
	node    cluster.NodeID
	term    term
	until   time.Time
}

// sighting is when this node first saw a view.
type sighting struct {
	epoch cluster.Epoch
	at    time.Time
}

// table is the locks that one node gives as manager. It is pure: views and times come in. One
// owner, no lock.
type table struct {
	lease    time.Duration
	grace    time.Duration
	locksMax int
	held     map[mail.User]holder
	seen     []sighting    // oldest first; those younger than the grace
	settled  cluster.Epoch // the newest one older than that
}

func newTable(lease, grace time.Duration, locksMax int) *table {
	return &table{lease: lease, grace: grace, locksMax: locksMax, held: make(map[mail.User]holder)}
}

// observe notes when a view was seen first.
func (t *table) observe(v *cluster.View, now time.Time) {
	last := t.settled
	if n := len(t.seen); n > 0 {
		last = t.seen[n-1].epoch
	}
	if last.Less(v.Epoch) {
		t.seen = append(t.seen, sighting{epoch: v.Epoch, at: now})
	}
	for len(t.seen) > 0 && now.Sub(t.seen[0].at) >= t.grace {
		t.settled = t.seen[0].epoch
		t.seen = t.seen[1:]
	}
}

// isEarly reports whether a bucket that was assigned in that epoch is too fresh for newcomers: no
// view with that assignment was seen as long ago as the grace. Preconditions: the view of the
// moment has been observed.
func (t *table) isEarly(assigned cluster.Epoch) bool { return t.settled.Less(assigned) }

// acquire gives the lock to the session, or renews it. assert says that the session had the lock
// already, under an earlier term or this one.
func (t *table) acquire(v *cluster.View, now time.Time, u mail.User, b cluster.Bucket, s sessionID, node cluster.NodeID, assert bool) (outcome, term) {
	t.observe(v, now)
	want, ok := termOf(v, b, node)
	if !ok {
		return foreign, term{}
	}
	if h, ok := t.held[u]; ok && h.session != s && t.isValid(v, now, b, h) {
		return inUse, term{}
	}
	if !assert && t.isEarly(want.bucket) {
		return early, term{}
	}
	if _, ok := t.held[u]; !ok && len(t.held) >= t.locksMax {
		if t.sweep(now); len(t.held) >= t.locksMax {
			return full, term{}
		}
	}
	t.held[u] = holder{session: s, node: node, term: want, until: now.Add(t.lease)}
	return granted, want
}

// isValid reports whether the holder still counts under this view.
func (t *table) isValid(v *cluster.View, now time.Time, b cluster.Bucket, h holder) bool {
	current, ok := termOf(v, b, h.node)
	return ok && current == h.term && now.Before(h.until)
}

// release drops the session's lock, if it has it.
func (t *table) release(u mail.User, s sessionID) {
	if h, ok := t.held[u]; ok && h.session == s {
		delete(t.held, u)
	}
}

// sweep drops the locks whose lease has run out.
func (t *table) sweep(now time.Time) {
	for u, h := range t.held {
		if !now.Before(h.until) {
			delete(t.held, u)
		}
	}
}
