package feed

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"porcupine/internal/cluster"
)

// mine is the subscriptions that this node has at others.
type mine struct {
	mu      sync.Mutex
	all     map[uint64]*Subscription
	holders map[cluster.NodeID]*upstream
}

// upstream is a node at which this one has subscriptions.
type upstream struct {
	numbers map[uint64]*Subscription
	due     time.Time // of the next renewal
	busy    bool      // one is under way
}

// Subscription is one owner's changes at one holder, as they come to this node.
type Subscription struct {
	f      *Feed
	holder cluster.NodeID
	owner  string
	types  []cluster.ObjectType
	number uint64
	on     func(Event)

	// Guarded by f.mine.mu.
	life    uint64 // 0: the holder has not answered yet
	seq     uint64 // of the last change that came, or is known to be lost
	gap     bool   // to be told
	queue   []cluster.Change
	running bool // somebody calls on
	closed  bool
}

func (m *mine) init() {
	m.all, m.holders = map[uint64]*Subscription{}, map[cluster.NodeID]*upstream{}
}

// Subscribe asks a node, this one included, to tell of one owner's objects of some types from now on,
// until Close. on is called with one event at a time, from any goroutine, perhaps before Subscribe has
// returned; while it runs others wait in the queue. Errors: KindInvalid for no owner, no types or more than TypesMax; KindLimit
// when there are too many here or at the holder; KindUnavailable when the holder did not answer.
func (f *Feed) Subscribe(ctx context.Context, holder cluster.NodeID, owner string, types []cluster.ObjectType, on func(Event)) (*Subscription, error) {
	op := "subscribe to " + owner
	if owner == "" || len(owner) > cluster.OwnerLengthMax || len(types) == 0 || len(types) > TypesMax || on == nil {
		return nil, cluster.Errorf(cluster.KindInvalid, op, "want an owner, a callback, and 1 to %d types", TypesMax)
	}
	s := &Subscription{f: f, holder: holder, owner: owner, types: slices.Clone(types), on: on}
	if err := f.mine.add(s); err != nil { // BEFORE the holder can tell
		return nil, err
	}
	p, err := s.ask(ctx)
	if err != nil {
		s.Close()
		return nil, err
	}
	f.mine.mu.Lock()
	defer f.mine.mu.Unlock()
	if s.life != p.life { // else some of it has come already
		s.life, s.seq = p.life, p.seq
	}
	return s, nil
}

// add takes in a subscription and gives it a number.
func (m *mine) add(s *Subscription) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.f.ctx.Err() != nil {
		return cluster.Errorf(cluster.KindUnavailable, "subscribe to "+s.owner, "this node is stopping")
	}
	if len(m.all) >= SubscriptionsMax {
		return cluster.Errorf(cluster.KindLimit, "subscribe to "+s.owner, "this node has %d subscriptions already", len(m.all))
	}
	for s.number == 0 || m.all[s.number] != nil {
		s.number = rand.Uint64()
	}
	m.all[s.number] = s
	up := m.holders[s.holder]
	if up == nil {
		up = &upstream{numbers: map[uint64]*Subscription{}, due: time.Now().Add(RenewPeriod)}
		m.holders[s.holder] = up
	}
	up.numbers[s.number] = s
	return nil
}

// ask asks the holder for the subscription.
func (s *Subscription) ask(ctx context.Context) (p place, err error) {
	q := subscribeRequest{number: s.number, owner: s.owner, types: s.types}
	payload, err := s.f.call(ctx, s.holder, methodSubscribe, q.marshal())
	if err != nil {
		return p, err
	}
	if err = p.unmarshal(payload); err == nil && p.life == 0 {
		err = cluster.Errorf(cluster.KindUnavailable, "subscribe to "+s.owner, "node %s gave no place", s.holder)
	}
	return p, err
}

// Cursor is how far the subscription has come: all changes up to it have been handed to the callback, or
// wait for it, or are in a gap that does. A listing made after Subscribe has returned is complete up to what it was then, at least.
func (s *Subscription) Cursor() Cursor {
	s.f.mine.mu.Lock()
	defer s.f.mine.mu.Unlock()
	return Cursor{s.life, s.seq}
}

// Close ends the subscription. It does not wait for the callback, of which one call may still run or be about to. The
// holder finds out by itself.
func (s *Subscription) Close() {
	m := &s.f.mine
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.closed {
		return
	}
	s.closed, s.queue, s.gap = true, nil, false
	delete(m.all, s.number)
	if up := m.holders[s.holder]; up != nil {
		if delete(up.numbers, s.number); len(up.numbers) == 0 && !up.busy {
			delete(m.holders, s.holder)
		}
	}
}

// handleChanges takes what a holder tells.
func (f *Feed) handleChanges(_ context.Context, from cluster.NodeID, payload []byte) ([]byte, error) {
	var q changesRequest
	if err := q.unmarshal(payload); err != nil {
		return nil, err
	}
	var answer changesAnswer
	m := &f.mine
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range q.parts {
		p := &q.parts[i]
		if s := m.all[p.number]; s != nil && s.holder == from {
			s.take(p)
		} else {
			answer.unknown = append(answer.unknown, p.number)
		}
	}
	return answer.marshal(), nil
}

// take takes in the changes of one call. The table is locked.
func (s *Subscription) take(p *part) {
	c := &s.f.count
	if s.life == 0 { // they have overtaken the answer to the subscription
		s.life, s.seq = p.place.life, p.place.seq-1
	}
	if p.place.life != s.life { // late, from before a gap
		c.repeated.Add(int64(len(p.changes)))
		return
	}
	changes := p.changes
	last := p.place.seq + uint64(len(changes)) - 1
	isGap := p.place.seq > s.seq+1
	if !isGap {
		old := int(min(s.seq+1-p.place.seq, uint64(len(changes))))
		c.repeated.Add(int64(old))
		changes = changes[old:]
	}
	c.received.Add(int64(len(changes)))
	s.seq = max(s.seq, last)
	s.push(isGap, changes)
}

// push puts something into the queue, and sees to it that somebody calls back. The table is locked.
func (s *Subscription) push(gap bool, changes []cluster.Change) {
	if s.closed || !gap && len(changes) == 0 {
		return
	}
	if len(s.queue)+len(changes) > QueueMax {
		s.f.count.lostQueue.Add(int64(len(s.queue) + len(changes)))
		gap, changes = true, nil
	}
	if gap { // who lists again need not hear of what was before
		s.gap, s.queue = true, nil
	}
	s.queue = append(s.queue, changes...)
	if !s.running {
		s.running = s.f.async(s.deliver)
	}
}

// deliver calls back until the queue is empty.
func (s *Subscription) deliver() {
	m := &s.f.mine
	for {
		m.mu.Lock()
		if s.closed || s.f.ctx.Err() != nil || !s.gap && len(s.queue) == 0 {
			s.running = false
			m.mu.Unlock()
			return
		}
		e := Event{Gap: s.gap, Changes: s.queue, Cursor: Cursor{s.life, s.seq}}
		s.gap, s.queue = false, nil
		m.mu.Unlock()
		if e.Gap {
			s.f.count.gaps.Add(1)
		}
		s.on(e)
	}
}
