package replication

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"porcupine/internal/cluster"
)

// Limits and times.
const (
	// RecordsMax bounds the records in a Log. A node that is the reason for more than that is to be
	// written off (R8): see Log.Overdue.
	RecordsMax = 1 << 20
	// OfferMax is the most records in one Offer.
	OfferMax = 256
	// RetireMax is the most retirements in one Retire.
	RetireMax = 1024
	// TakeOverAfter is how long the targets leave a record to its initiator before the first of them
	// offers it to the others; the next one does so after twice that time, and so on.
	TakeOverAfter = 3 * time.Second
	// SoonAfter is when a node that came back is offered what it missed, by the first of the
	// targets; the next one does so TakeOverAfter later.
	SoonAfter = 200 * time.Millisecond
	// RetryMin and RetryMax bound the pause after an offer that failed.
	RetryMin = 500 * time.Millisecond
	RetryMax = 30 * time.Second
)

// Log holds the records of one node that are not retired, in memory; on disk they are the
// store's. One owner, no lock.
//
// It has at most one offer on its way to each node, and offers a record to the nodes outside
// its replica set only AFTER all of the replica set have it: they will remove their copies (see
// Propagation). What was acknowledged it remembers for its own life only. After a restart everything
// is offered again, and everybody says that he has it.
//
// Invariant: a record is here as long as one of its targets, not struck, has not acknowledged it.
type Log struct {
	self    cluster.NodeID
	entries map[cluster.ObjectID]*entry
	peers   []*peer          // ascending by id: all that were ever a target or a member
	turns   turns            // of those to whom an offer is or will be due
	flying  map[uint64]*peer // by the number of the offer on its way to it
	offers  uint64           // numbers given
	epoch   time.Time
	begun   bool // epoch is set
	most    int  // RecordsMax
	done    []*entry
	told    func(cluster.ObjectID) bool // Wait; nil: nothing is waited for
}

// entry is one record. Its sets of targets are bits: bit i is Targets[i].
type entry struct {
	rec    cluster.Record
	acked  uint64 // have it: acknowledged, struck, or this node
	queued uint64 // are in the line, or in the offer on its way, of that peer
	tries  uint8  // offers in a row that came to nothing
	gone   bool   // no longer in the log

	reported uint64 // the last offer made, of any record, when the store last had this one
}

// bits gives the targets that are in a set, as bits.
func (e *entry) bits(set cluster.ReplicaSet) (b uint64) {
	for _, id := range set {
		b |= e.bit(id)
	}
	return b
}

// bit gives one target as a bit; 0 if the node is none.
func (e *entry) bit(id cluster.NodeID) uint64 {
	i, ok := slices.BinarySearch(e.rec.Targets, id)
	if !ok {
		return 0
	}
	return 1 << i
}

func (e *entry) complete() bool { return e.acked == 1<<len(e.rec.Targets)-1 }

// open reports whether a target may be offered the record now: the replica set comes first.
func (e *entry) open(bit uint64) bool {
	first := e.bits(e.rec.Replicas)
	return bit&first != 0 || first&^e.acked == 0
}

// Output is what the shell must do.
type Output struct {
	Offers  []Offer
	Retires []Retire
}

// Offer asks a target whether it has these updates. The shell reads each record's object from the
// store (Notice stands for it where this node has no copy) and sends the headers without contents.
// To a target that wants them it then sends the contents, one by one, and of these very updates: one
// that is newer by now may not be for this target yet. When all that has ended it reports the last
// answer to each item with Log.Answered, once. An item whose record the store no longer has at that
// timestamp is not sent, and answered with Gone. What got no answer is offered again.
type Offer struct {
	Number uint64
	To     cluster.NodeID
	Items  []cluster.Record // never changed; the slices in them are shared
}

// Retire tells a node, this one included, to drop records. It needs no answer and no fsync.
type Retire struct {
	To    cluster.NodeID
	Items []cluster.Retirement // at most RetireMax
}

// Answer is what a target said of one item of an Offer: the last word, if there were several.
type Answer struct {
	ID    cluster.ObjectID
	Reply Reply // Want: it did not get the contents, because this node has none to bring
	// Gone: the item was not sent. The store has no record of the object with this timestamp that
	// propagates: it was replaced or retired while Added, or the offer, was on its way.
	Gone bool
}

// NewLog makes the log of one node's life. struck are the nodes that were removed for good: they
// count as having acknowledged everything. most is how many records make a node overdue; 0:
// RecordsMax.
func NewLog(self cluster.NodeID, struck []cluster.NodeID, most int) *Log {
	l := &Log{self: self, entries: map[cluster.ObjectID]*entry{}, flying: map[uint64]*peer{}, most: cmp.Or(most, RecordsMax)}
	for _, id := range struck {
		l.peer(id).struck = true
	}
	return l
}

// Load takes in a record found on disk at start, BEFORE the first Install. Retired ones are ignored.
func (l *Log) Load(r cluster.Record, now time.Time) { l.take(r, r.Targets, now) }

// Install takes in the members of a new view: what is owed to nodes that came is offered to
// them soon, without waiting for TakeOverAfter.
func (l *Log) Install(members []cluster.NodeID, now time.Time) Output {
	for _, id := range members {
		l.peer(id)
	}
	set := cluster.NewReplicaSet(members...)
	var came []*peer
	for _, p := range l.peers {
		live := set.Contains(p.id) && !p.struck
		if live && !p.live && p.id != l.self {
			came = append(came, p)
		}
		p.live = live
		l.turns.seat(p)
	}
	for _, p := range came {
		p.rest()
		l.hasten(p, now)
	}
	return l.flush(now)
}

// Added takes in a record that is now durable at this node, new or with more targets. It replaces
// an older one of the same object; calls for one object may come in any order.
func (l *Log) Added(r cluster.Record, now time.Time) Output { return l.AddedFor(r, r.Targets, now) }

// AddedFor is Added for a record that has more targets than the update it was made for: told are those
// that the update's sender tells. The others, which only this node knew of ("add targets"), hear of it
// from nobody else, so they are offered it at once and not after TakeOverAfter.
func (l *Log) AddedFor(r cluster.Record, told cluster.ReplicaSet, now time.Time) Output {
	l.take(r, told, now)
	return l.flush(now)
}

func (l *Log) take(r cluster.Record, told cluster.ReplicaSet, now time.Time) {
	e := l.entries[r.ID]
	fresh := &entry{rec: r, reported: l.offers}
	if e != nil {
		switch c := r.Timestamp.Compare(e.rec.Timestamp); {
		case c < 0 || c == 0 && r.Retired != 0:
			return
		case c == 0 && e.rec.Targets.ContainsAll(r.Targets):
			e.reported = l.offers
			return
		case c == 0:
			fresh.rec.Targets = bounded(e.rec.Targets, r.Targets)
			for i, id := range e.rec.Targets {
				if e.acked&(1<<i) != 0 {
					fresh.acked |= fresh.bit(id)
				}
			}
		}
		l.remove(e)
	}
	if r.Retired != 0 {
		return
	}
	l.entries[r.ID] = fresh
	due := TakeOverAfter * time.Duration(l.rank(fresh, cluster.NoNode)+1)
	for i, id := range fresh.rec.Targets {
		p, bit := l.peer(id), uint64(1)<<i
		switch {
		case id == l.self || p.struck:
			fresh.acked |= bit
		case fresh.acked&bit == 0:
			p.owed++
		}
	}
	soon := l.since(now)
	l.queueEach(fresh, func(id cluster.NodeID) time.Duration {
		if told.Contains(id) {
			return soon + due
		}
		return soon
	})
	l.settle(fresh)
}

// rank is this node's place, by id, among the live targets of a record, one of them left out.
func (l *Log) rank(e *entry, but cluster.NodeID) int {
	n := 0
	for _, id := range e.rec.Targets {
		if id < l.self && id != but && l.peer(id).live {
			n++
		}
	}
	return n
}

// since is the time as lines have it.
func (l *Log) since(now time.Time) time.Duration {
	if !l.begun {
		l.epoch, l.begun = now, true
	}
	return now.Sub(l.epoch)
}

// queue puts a record into the lines of all peers that may be offered it and are not in line yet.
func (l *Log) queue(e *entry, due time.Duration) {
	l.queueEach(e, func(cluster.NodeID) time.Duration { return due })
}

func (l *Log) queueEach(e *entry, due func(cluster.NodeID) time.Duration) {
	for i, id := range e.rec.Targets {
		if bit := uint64(1) << i; (e.acked|e.queued)&bit == 0 && e.open(bit) {
			e.queued |= bit
			l.enqueue(l.peer(id), e, due(id))
		}
	}
}

// settle ends a record that all targets have.
func (l *Log) settle(e *entry) {
	if !e.gone && e.complete() {
		l.remove(e)
		l.done = append(l.done, e)
	}
}

// remove takes a record out of the log. Its places in line are found empty later.
func (l *Log) remove(e *entry) {
	e.gone = true
	if l.entries[e.rec.ID] == e {
		delete(l.entries, e.rec.ID)
	}
	for i, id := range e.rec.Targets {
		p, bit := l.peer(id), uint64(1)<<i
		if e.acked&bit == 0 {
			p.owed--
		}
		if e.queued&bit != 0 {
			l.left(p)
		}
	}
}

// Retired takes in what another node, or this one as initiator, has found complete. Output.Retires
// says what of it this node drops from its disk.
func (l *Log) Retired(items []cluster.Retirement, now time.Time) Output {
	var mine []cluster.Retirement
	for _, r := range items {
		if e := l.entries[r.ID]; e != nil && r.Retires(&e.rec) {
			l.remove(e)
			mine = append(mine, r)
		}
	}
	out := l.flush(now)
	out.Retires = append(cut(l.self, mine), out.Retires...)
	return out
}

// Strike takes a node that was removed for good out of all targets.
func (l *Log) Strike(node cluster.NodeID, now time.Time) Output {
	p := l.peer(node)
	p.struck, p.live = true, false
	l.turns.seat(p)
	for _, e := range l.entries { // in any order: flush sorts what is complete
		l.acknowledge(e, p, l.since(now))
	}
	return l.flush(now)
}

// acknowledge notes that a peer has the record, or need not have it.
func (l *Log) acknowledge(e *entry, p *peer, now time.Duration) {
	bit := e.bit(p.id)
	if e.gone || bit == 0 || e.acked&bit != 0 {
		return
	}
	e.acked |= bit
	p.owed--
	e.tries = 0
	l.queue(e, now) // the targets outside the replica set, if this was the last in it
	l.settle(e)
}

// Tick does what is due; Deadline says when that is, zero for never.
func (l *Log) Tick(now time.Time) Output { return l.flush(now) }

// Len is the number of records; Owed, for each node, the number that wait for it; Has whether one of
// the object waits.
func (l *Log) Len() int { return len(l.entries) }

// Owed gives, for each node that records wait for, how many.
func (l *Log) Owed() map[cluster.NodeID]int {
	owed := map[cluster.NodeID]int{}
	for _, p := range l.peers {
		if p.owed > 0 {
			owed[p.id] = p.owed
		}
	}
	return owed
}

// Has reports whether an update of the object is on its way, as far as this node knows.
func (l *Log) Has(id cluster.ObjectID) bool { return l.entries[id] != nil }

// Overdue gives the absent node that most records wait for, when there are more than RecordsMax and the
// absent ones are the reason: what a member does not take is not their fault.
func (l *Log) Overdue() (cluster.NodeID, bool) {
	var worst *peer
	absent := 0 // that records wait for
	for _, p := range l.peers {
		if p.live || p.id == l.self || p.owed == 0 {
			continue
		}
		if absent++; worst == nil || p.owed > worst.owed {
			worst = p
		}
	}
	if len(l.entries) <= l.most || worst == nil || worst.owed*absent <= l.most {
		return cluster.NoNode, false
	}
	return worst.id, true
}

// flush gives what has become due: offers, and retirements of what is complete.
func (l *Log) flush(now time.Time) Output {
	out := Output{Offers: l.dispatch(l.since(now)), Retires: l.retires()}
	return out
}

// retires tells all live targets of what is complete that it is.
func (l *Log) retires() []Retire {
	if len(l.done) == 0 {
		return nil
	}
	slices.SortFunc(l.done, func(a, b *entry) int { return a.rec.ID.Compare(b.rec.ID) })
	to := map[cluster.NodeID][]cluster.Retirement{}
	for _, e := range l.done {
		for _, id := range e.rec.Targets {
			if id == l.self || l.peer(id).live {
				to[id] = append(to[id], cluster.Retirement{ID: e.rec.ID, Timestamp: e.rec.Timestamp, Targets: e.rec.Targets})
			}
		}
	}
	l.done = nil
	var all []Retire
	for _, id := range slices.Sorted(maps.Keys(to)) {
		all = append(all, cut(id, to[id])...)
	}
	return all
}

// cut makes Retires of at most RetireMax items.
func cut(to cluster.NodeID, items []cluster.Retirement) []Retire {
	var all []Retire
	for part := range slices.Chunk(items, RetireMax) {
		all = append(all, Retire{To: to, Items: part})
	}
	return all
}
