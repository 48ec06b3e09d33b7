package feed

import (
	"slices"
	"time"

	"porcupine/internal/cluster"
)

// hurry makes all renewals due.
func (m *mine) hurry() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, up := range m.holders {
		up.due = time.Time{}
	}
}

// renewDue begins the renewals that are due, at nodes that can be reached.
func (f *Feed) renewDue(now time.Time) {
	v := f.node.View()
	m := &f.mine
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, up := range m.holders {
		if len(up.numbers) == 0 && !up.busy {
			delete(m.holders, id)
			continue
		}
		if up.busy || now.Before(up.due) || !v.Contains(id) {
			continue
		}
		up.due = now.Add(RenewPeriod) // unless hurry says otherwise meanwhile
		up.busy = f.async(func() { f.renew(id, up, now) })
	}
}

// renew renews all subscriptions at one node.
func (f *Feed) renew(holder cluster.NodeID, up *upstream, began time.Time) {
	m := &f.mine
	m.mu.Lock()
	all := make([]*Subscription, 0, len(up.numbers))
	for _, s := range up.numbers {
		if s.life != 0 { // else Subscribe waits for its answer
			all = append(all, s)
		}
	}
	m.mu.Unlock()
	var failed error
	for some := range slices.Chunk(all, RenewMax) {
		if failed = f.renewSome(holder, some); failed != nil {
			break
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	up.busy = false
	if failed != nil {
		up.due = began.Add(RetryPause)
		f.count.renewFailures.Add(1)
		f.log.Debug("subscriptions not renewed", "peer", holder, "subscriptions", len(all), "err", failed)
	}
}

// renewSome makes one call, and subscribes again to what the holder has forgotten.
func (f *Feed) renewSome(holder cluster.NodeID, some []*Subscription) error {
	q := renewRequest{numbers: make([]uint64, len(some))}
	for i, s := range some {
		q.numbers[i] = s.number
	}
	f.count.renewals.Add(1)
	payload, err := f.call(f.ctx, holder, methodRenew, q.marshal())
	if err != nil {
		return err
	}
	var answer renewAnswer
	if err := answer.unmarshal(payload); err != nil {
		return err
	}
	if len(answer.places) != len(some) {
		return cluster.Errorf(cluster.KindInternal, methodRenew, "%d answers to %d subscriptions", len(answer.places), len(some))
	}
	for i, s := range some {
		if err := f.compare(s, answer.places[i]); err != nil {
			return err
		}
	}
	return nil
}

// compare finds what has been lost: the holder says how far it has come.
func (f *Feed) compare(s *Subscription, p place) error {
	m := &f.mine
	m.mu.Lock()
	isForgotten := p.life != s.life && !s.closed
	if p.life == s.life && p.seq > s.seq {
		s.seq = p.seq
		s.push(true, nil)
	}
	m.mu.Unlock()
	if !isForgotten {
		return nil
	}
	p, err := s.ask(f.ctx)
	if err != nil {
		return err
	}
	f.count.resubscribed.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	s.life, s.seq = p.life, p.seq
	s.push(true, nil)
	return nil
}
