package replication

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"porcupine/internal/cluster"
)

// peer is another node, as the log sees it: what waits for it, and what is on its way to it.
type peer struct {
	id     cluster.NodeID
	live   bool // in the view
	struck bool // removed for good
	owed   int  // records that it has not acknowledged
	line   line
	empty  int // places in line whose record is gone, at most

	offer   uint64   // on its way; 0: none
	sent    []*entry // in it
	backoff time.Duration
	until   time.Duration // no offer before

	turn  time.Duration // when an offer is due, if the peer is in Log.turns
	place int           // in Log.turns; -1: no offer can be made to it before something happens
}

// emptyMax is how many places in a line may be empty before they are looked for.
const emptyMax = 64

// peer gives a node's peer, and makes it if need be.
func (l *Log) peer(id cluster.NodeID) *peer {
	i, ok := slices.BinarySearchFunc(l.peers, id, func(p *peer, id cluster.NodeID) int { return cmp.Compare(p.id, id) })
	if !ok {
		l.peers = slices.Insert(l.peers, i, &peer{id: id, place: -1})
	}
	return l.peers[i]
}

// left notes that a record in line, or on its way, is gone.
func (l *Log) left(p *peer) {
	if p.empty++; p.empty > emptyMax && 2*p.empty > len(p.line) {
		p.line = slices.DeleteFunc(p.line, func(w waiting) bool { return w.entry.gone })
		heap.Init(&p.line)
		p.empty = 0
		l.turns.seat(p)
	}
}

// enqueue puts a record into a peer's line.
func (l *Log) enqueue(p *peer, e *entry, due time.Duration) {
	p.line.push(waiting{due, e})
	l.turns.seat(p)
}

// rest ends the pause after failures.
func (p *peer) rest() { p.backoff, p.until = 0, 0 }

// fail makes the pause before the next offer longer.
func (p *peer) fail(now time.Duration) {
	p.backoff = min(max(2*p.backoff, RetryMin), RetryMax)
	p.until = now + p.backoff
}

// hasten makes all that waits for a peer that came due soon.
func (l *Log) hasten(p *peer, now time.Time) {
	soon := l.since(now) + SoonAfter
	for i := range p.line {
		p.line[i].due = soon + TakeOverAfter*time.Duration(l.rank(p.line[i].entry, p.id))
	}
	heap.Init(&p.line)
	l.turns.seat(p)
}

// dispatch makes the offers that are due: to each live peer that has none on its way, at most one.
func (l *Log) dispatch(now time.Duration) []Offer {
	var all []Offer
	for _, p := range l.turns.due(now) {
		for len(p.sent) < OfferMax && len(p.line) > 0 && p.line[0].due <= now {
			e := heap.Pop(&p.line).(waiting).entry
			bit := e.bit(p.id)
			switch {
			case e.gone:
				p.empty = max(p.empty-1, 0)
			case e.acked&bit != 0 || !e.open(bit):
				e.queued &^= bit
			case l.untold(e, bit):
				p.line.push(waiting{now + RetryMin, e})
			default:
				p.sent = append(p.sent, e)
			}
		}
		if len(p.sent) == 0 {
			l.turns.seat(p)
			continue
		}
		l.offers++
		p.offer = l.offers
		l.flying[p.offer] = p
		l.turns.seat(p)
		o := Offer{Number: p.offer, To: p.id, Items: make([]cluster.Record, len(p.sent))}
		for i, e := range p.sent {
			o.Items[i] = e.rec
		}
		all = append(all, o)
	}
	return all
}

// Answered takes in the end of an offer, which must come for every one: an answer for each item that
// was sent, or an error if none came. What was not acknowledged is offered again, with growing pauses;
// a peer that takes nothing at all is left alone for a growing while.
func (l *Log) Answered(number uint64, answers []Answer, err error, now time.Time) Output {
	p := l.flying[number]
	if p == nil {
		return l.flush(now)
	}
	delete(l.flying, number)
	sent := p.sent
	p.offer, p.sent = 0, nil
	last := make(map[cluster.ObjectID]Answer, len(answers))
	for _, a := range answers {
		last[a.ID] = a
	}
	if err != nil || len(answers) > 0 && !slices.ContainsFunc(answers, Answer.settled) {
		p.fail(l.since(now))
	} else {
		p.rest()
	}
	for _, e := range sent {
		bit := e.bit(p.id)
		e.queued &^= bit
		switch a := last[e.rec.ID]; {
		case a.Gone && e.reported < number: // else it is in the store by now, or may be: ask again
			if !e.gone {
				l.remove(e)
			}
		case err == nil && (a.Reply.Applied(e.rec.Timestamp) || a.Reply.Want && l.outside(e)):
			if grown := l.entries[e.rec.ID]; grown != nil && grown.rec.Timestamp == e.rec.Timestamp {
				l.acknowledge(grown, p, l.since(now)) // e itself, or what took its place meanwhile
			}
		case e.gone || e.acked&bit != 0:
		case err != nil:
			l.again(e, p, bit, p.until)
		default:
			l.again(e, p, bit, l.since(now)+e.pause())
		}
	}
	l.turns.seat(p)
	return l.flush(now)
}

// settled reports whether the peer, or this node, had an answer other than a refusal.
func (a Answer) settled() bool {
	return a.Gone || a.Reply.Verdict != 0 && !a.Reply.Want && a.Reply.Err == nil
}

// outside reports whether this node has the record and no copy. It got the record AFTER all of the
// replica set had the update. One of them that wants the contents has forgotten what replaced it since:
// this record is left over from a retirement that a crash undid, and there is nothing to bring.
func (l *Log) outside(e *entry) bool {
	return !e.rec.Replicas.Contains(l.self) && len(e.rec.Replicas) > 0
}

// again puts a record back into a peer's line.
func (l *Log) again(e *entry, p *peer, bit uint64, due time.Duration) {
	e.queued |= bit
	l.enqueue(p, e, due)
}

// pause is how long a record waits that a peer did not take.
func (e *entry) pause() time.Duration {
	const doublings = 6 // RetryMin doubled six times is more than RetryMax
	pause := min(RetryMin<<min(e.tries, doublings), RetryMax)
	e.tries = min(e.tries+1, doublings)
	return pause
}

// waiting is a record's place in the line of a peer.
type waiting struct {
	due   time.Duration // since Log.epoch
	entry *entry
}

// line is a heap of what waits for one peer: first what is due first.
type line []waiting

func (q *line) push(w waiting) { heap.Push(q, w) }

func (q line) Len() int { return len(q) }
func (q line) Less(i, j int) bool {
	if q[i].due != q[j].due {
		return q[i].due < q[j].due
	}
	return q[i].entry.rec.ID.Compare(q[j].entry.rec.ID) < 0
}
func (q line) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push and Pop are heap.Interface's.
func (q *line) Push(x any) { *q = append(*q, x.(waiting)) }

// Pop takes the last.
func (q *line) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = waiting{}
	*q = old[:len(old)-1]
	return last
}
