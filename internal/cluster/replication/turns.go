package replication

import (
	"cmp"
	"container/heap"
	"slices"
	"time"
)

// turns is a heap of the peers to whom an offer is due at some time, first whose turn is first. A node of hundreds
// is asked for its deadline after each event, and makes the offers that are due after each change: neither may
// walk all peers.
//
// Whatever can change a peer's turn (its line, the offer on its way to it, its pause, whether it is a member) is
// followed by seat.
type turns []*peer

// seat puts a peer where it belongs.
func (q *turns) seat(p *peer) {
	waits := p.live && p.offer == 0 && len(p.line) > 0
	if waits {
		p.turn = max(p.line[0].due, p.until)
	}
	switch {
	case waits && p.place < 0:
		heap.Push(q, p)
	case waits:
		heap.Fix(q, p.place)
	case p.place >= 0:
		heap.Remove(q, p.place)
	}
}

// due takes those out whose turn it is, ascending by id. Each must be seated again.
func (q *turns) due(now time.Duration) []*peer {
	var all []*peer
	for len(*q) > 0 && (*q)[0].turn <= now {
		all = append(all, heap.Pop(q).(*peer))
	}
	slices.SortFunc(all, func(a, b *peer) int { return cmp.Compare(a.id, b.id) })
	return all
}

// Deadline says when Tick is wanted next; zero: not before the next event.
func (l *Log) Deadline() time.Time {
	if len(l.turns) == 0 {
		return time.Time{}
	}
	return l.epoch.Add(l.turns[0].turn)
}

func (q turns) Len() int           { return len(q) }
func (q turns) Less(i, j int) bool { return q[i].turn < q[j].turn }
func (q turns) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push and Pop are heap.Interface's.
func (q *turns) Push(x any) {
	p := x.(*peer)
	p.place = len(*q)
	*q = append(*q, p)
}

// Pop takes the last.
func (q *turns) Pop() any {
	old := *q
	last := old[len(old)-1]
	last.place = -1
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return last
}
