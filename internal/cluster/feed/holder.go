package feed

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"porcupine/internal/cluster"
)

// holder is the table of the subscriptions that others, and this node, have here.
type holder struct {
	mu       sync.RWMutex // commits read under it, and write only if somebody subscribed
	all      map[key]*held
	owners   map[string][]*held
	outboxes map[cluster.NodeID]*outbox // of the nodes that there is something to tell
	pending  int                        // changes that wait, of all
	life     uint64                     // of the last subscription that was taken in
	swept    time.Time                  // when leases were last looked at
}

// key names a subscription here.
type key struct {
	from   cluster.NodeID
	number uint64
}

// held is one subscription of a node.
type held struct {
	key
	owner   string
	types   []cluster.ObjectType
	life    uint64
	expires time.Time
	seq     uint64           // of the last change
	settled uint64           // up to here it has been told, or lost
	pending []cluster.Change // the last ones: what is lost is lost with all that waits before it
	owes    bool             // the subscriber is to be told how far it is, even without a change
	queued  bool             // in its node's outbox
	recent  []version        // the last objects told
	turn    int              // of them, which is the next to be replaced
}

// version is an object at a time.
type version struct {
	id   cluster.ObjectID
	time cluster.Timestamp
}

// isOld reports whether a newer change of the object has been told just before: of two commits that follow each other
// closely, the second may be told first. It notes the change.
func (s *held) isOld(c *cluster.Change) bool {
	v := version{c.Object.ID, c.Object.Timestamp}
	i := slices.IndexFunc(s.recent, func(o version) bool { return o.id == v.id })
	switch {
	case i >= 0 && s.recent[i].time.Compare(v.time) > 0:
		return true
	case i >= 0:
		s.recent[i] = v
	case len(s.recent) < recentMax:
		s.recent = append(s.recent, v)
	default:
		s.recent[s.turn] = v
		s.turn = (s.turn + 1) % recentMax
	}
	return false
}

// outbox is the subscriptions of one node that have something to tell; a goroutine empties it and ends.
type outbox struct {
	queue []*held
}

func (h *holder) init() {
	h.all, h.owners, h.outboxes = map[key]*held{}, map[string][]*held{}, map[cluster.NodeID]*outbox{}
	h.life = rand.Uint64() >> 1 // not that of the process before this one, and never 0
}

// Wants reports whether anybody subscribed to an owner's objects of that type here. It never waits for I/O.
func (f *Feed) Wants(owner string, t cluster.ObjectType) bool {
	f.holder.mu.RLock()
	defer f.holder.mu.RUnlock()
	return slices.ContainsFunc(f.holder.owners[owner], func(s *held) bool { return slices.Contains(s.types, t) })
}

// Changed takes a change that has been committed here. It never waits for I/O, and keeps nothing of c that
// the caller may change.
func (f *Feed) Changed(c cluster.Change) {
	c.Object.Attr = bytes.Clone(c.Object.Attr)
	h := &f.holder
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.owners[c.Object.ID.Owner] {
		if !slices.Contains(s.types, c.Object.ID.Type) {
			continue
		}
		if s.isOld(&c) {
			continue
		}
		s.seq++
		if len(s.pending) >= PendingMax || h.pending >= PendingAllMax {
			f.count.lostPending.Add(int64(len(s.pending) + 1))
			h.lose(s)
		} else {
			s.pending = append(s.pending, c)
			h.pending++
		}
		f.queue(s)
	}
}

// lose drops all that waits of a subscription.
func (h *holder) lose(s *held) {
	h.pending -= len(s.pending)
	s.pending, s.settled, s.owes = nil, s.seq, true
}

// queue puts a subscription into its node's outbox, and sees to it that somebody empties that. The table is locked.
func (f *Feed) queue(s *held) {
	if s.queued {
		return
	}
	box := f.holder.outboxes[s.from]
	if box == nil {
		if !f.async(func() { f.send(s.from) }) {
			return // the feed has ended
		}
		box = &outbox{}
		f.holder.outboxes[s.from] = box
	}
	s.queued = true
	box.queue = append(box.queue, s)
}

// send tells one node what there is, until there is nothing. It is one call at a time: so changes stay in order.
func (f *Feed) send(to cluster.NodeID) {
	pause := FlushDelay
	for f.wait(pause) {
		batch := f.batch(to)
		if batch == nil {
			return
		}
		pause = FlushDelay
		if !f.tell(to, batch) {
			pause = RetryPause
		}
	}
}

// sending is what one call tells.
type sending struct {
	held  []*held
	parts []part
	count int // of changes
}

// batch takes what fits into one call; nil: there is nothing, and nobody sends any more.
func (f *Feed) batch(to cluster.NodeID) *sending {
	h := &f.holder
	h.mu.Lock()
	defer h.mu.Unlock()
	box := h.outboxes[to]
	b := &sending{}
	size := 0
	for len(box.queue) > 0 && len(b.parts) < partsMax && b.count < BatchMax && size < BatchBytesMax {
		s := box.queue[0]
		k := 0
		for k < len(s.pending) && b.count < BatchMax && size < BatchBytesMax {
			size += sizeOf(&s.pending[k])
			b.count++
			k++
		}
		if h.all[s.key] == s && (k > 0 || s.owes) {
			first := place{life: s.life, seq: s.seq - uint64(len(s.pending)) + 1}
			b.held, b.parts = append(b.held, s), append(b.parts, part{number: s.number, place: first, changes: slices.Clone(s.pending[:k])})
		}
		s.owes = false
		h.pending -= k
		box.queue = box.queue[1:]
		if s.pending = s.pending[k:]; len(s.pending) > 0 { // the call is full: the others come first in the next one
			box.queue = append(box.queue, s)
		} else {
			s.pending, s.queued = nil, false
		}
	}
	if len(b.parts) == 0 && len(box.queue) == 0 {
		delete(h.outboxes, to)
		return nil
	}
	return b
}

// sizeOf is about what a change takes in a call.
func sizeOf(c *cluster.Change) int {
	const rest = 160
	return rest + len(c.Object.ID.ID) + len(c.Object.Attr)
}

// tell makes one call. What it does not bring is lost; the subscriber will hear so.
func (f *Feed) tell(to cluster.NodeID, b *sending) (taken bool) {
	if len(b.parts) == 0 {
		return true
	}
	var answer changesAnswer
	payload, err := f.call(f.ctx, to, methodChanges, (&changesRequest{parts: b.parts}).marshal())
	if err == nil {
		err = answer.unmarshal(payload)
	}
	h := &f.holder
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, s := range b.held {
		p := &b.parts[i]
		s.settled = max(s.settled, p.place.seq+uint64(len(p.changes))-1)
		if err != nil && h.all[s.key] == s {
			s.owes = true
			f.queue(s)
		}
	}
	f.count.batches.Add(1)
	if err != nil {
		f.count.lostSending.Add(int64(b.count))
		f.log.Debug("changes not told", "peer", to, "changes", b.count, "err", err)
		return false
	}
	f.count.told.Add(int64(b.count))
	for _, number := range answer.unknown {
		h.remove(key{to, number})
	}
	return true
}

// remove forgets a subscription. The table is locked.
func (h *holder) remove(k key) {
	s, ok := h.all[k]
	if !ok {
		return
	}
	h.pending -= len(s.pending)
	s.pending = nil
	delete(h.all, k)
	rest := slices.DeleteFunc(h.owners[s.owner], func(o *held) bool { return o == s })
	if h.owners[s.owner] = rest; len(rest) == 0 {
		delete(h.owners, s.owner)
	}
}

// expire forgets the subscriptions that were not renewed.
func (f *Feed) expire(now time.Time) {
	h := &f.holder
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Sub(h.swept) < RenewPeriod {
		return
	}
	h.swept = now
	for k, s := range h.all {
		if now.After(s.expires) {
			h.remove(k)
			f.count.expired.Add(1)
		}
	}
}

func (f *Feed) handleSubscribe(_ context.Context, from cluster.NodeID, payload []byte) ([]byte, error) {
	var q subscribeRequest
	if err := q.unmarshal(payload); err != nil {
		return nil, err
	}
	h := &f.holder
	h.mu.Lock()
	defer h.mu.Unlock()
	k := key{from, q.number}
	s, ok := h.all[k]
	if !ok {
		if len(h.all) >= SubscriptionsMax {
			f.count.refused.Add(1)
			return nil, cluster.Errorf(cluster.KindLimit, "subscribe to "+q.owner, "%d subscriptions are held here already", len(h.all))
		}
		h.life++
		s = &held{key: k, owner: q.owner, types: q.types, life: h.life}
		h.all[k] = s
		h.owners[q.owner] = append(h.owners[q.owner], s)
	}
	s.expires = time.Now().Add(Lease)
	return place{s.life, s.seq}.marshal(), nil
}

func (f *Feed) handleRenew(_ context.Context, from cluster.NodeID, payload []byte) ([]byte, error) {
	var q renewRequest
	if err := q.unmarshal(payload); err != nil {
		return nil, err
	}
	answer := renewAnswer{places: make([]place, len(q.numbers))}
	expires := time.Now().Add(Lease)
	h := &f.holder
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, number := range q.numbers {
		if s, ok := h.all[key{from, number}]; ok {
			s.expires = expires
			answer.places[i] = place{s.life, s.settled}
		}
	}
	return answer.marshal(), nil
}
