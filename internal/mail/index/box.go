package index

import (
	"container/list"
	"context"
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// boxCost is what a user costs without an index, in bytes, about.
const boxCost = 512

// box is what this node keeps of one user.
type box struct {
	x    *Indexes
	user mail.User
	turn chan struct{} // holds one element while somebody has the turn
	// state is the index: of whoever has the turn; of Indexes.mu while line is 0. nil: none.
	state *state
	// weight is that of the question under way, of whoever has the turn.
	weight int
	// unread is how many indexes in a row were built while the ledgers of some member could not be read: of whoever has the turn.
	unread int
	// placing are the messages that the question under way gives numbers to: of whoever has the turn.
	placing map[mail.MessageID]bool

	// Guarded by Indexes.mu.
	line     int // those who have the turn or wait for it, by weight
	used     time.Time
	cost     int64
	place    *list.Element
	unsaid   bool      // the index knows of messages that are gone, and the ledgers do not say it
	due      time.Time // when the index has more to show though nothing was told (state.due); zero: never
	watchers map[cluster.NodeID]watching

	mu      sync.Mutex
	stops   map[cluster.NodeID]func() // subscriptions, by holder
	changes []cluster.Change          // that the index has not seen yet
	stale   bool                      // changes were lost: list again
}

// watching is a node that wants to be told.
type watching struct {
	until  time.Time
	missed bool // it could not be told of something: it is when it asks for the watch again
}

// changesMax bounds the changes that wait for the next question.
const changesMax = 4096

// lineUnit is how many octets of a question count as one in the line: with a LineMax of 512, 32 MiB of questions wait at most.
const lineUnit = 64 << 10

// enter takes a user's turn for a question of so many octets. KindLimit: too many wait, or there are too many users.
func (x *Indexes) enter(ctx context.Context, u mail.User, octets int) (*box, error) {
	op := "wait for the index of " + string(u)
	weight := 1 + octets/lineUnit
	b, dropped, err := x.queue(u, op, weight)
	if dropped != nil {
		dropped.rest()
	}
	if err != nil {
		x.figures.refused.Add(1)
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, x.cfg.TurnWait)
	defer cancel()
	select {
	case b.turn <- struct{}{}:
		b.weight = weight
		return b, nil
	case <-ctx.Done():
		x.unqueue(b, weight)
		return nil, cluster.Errorf(cluster.KindUnavailable, op, "%w", context.Cause(ctx))
	}
}

// leave gives the turn to the next.
func (b *box) leave() {
	b.weigh()
	weight := b.weight
	<-b.turn
	b.x.unqueue(b, weight)
}

// weigh notes what of the index is to be known without the turn. Preconditions: the caller has it.
func (b *box) weigh() {
	cost, unsaid, due := int64(boxCost), false, time.Time{}
	if s := b.state; s != nil {
		cost, unsaid, due = cost+s.cost(), len(s.unsaid) > 0, s.due()
	}
	b.x.mu.Lock()
	defer b.x.mu.Unlock()
	b.x.cost += cost - b.cost
	b.cost, b.unsaid, b.due = cost, unsaid, due
}

// queue puts a question into a user's line. dropped is a box that made room, and wants rest.
func (x *Indexes) queue(u mail.User, op string, weight int) (b, dropped *box, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	b = x.boxes[u]
	if b == nil {
		if len(x.boxes) >= x.cfg.UsersMax {
			if dropped = x.dropOne(); dropped == nil {
				return nil, nil, cluster.Errorf(cluster.KindLimit, op, "this node keeps the mail of %d users already: try again in a moment", len(x.boxes))
			}
		}
		b = &box{x: x, user: u, turn: make(chan struct{}, 1), stops: make(map[cluster.NodeID]func()), cost: boxCost}
		b.place = x.recent.PushFront(b)
		x.boxes[u] = b
		x.cost += boxCost
	}
	if b.line > 0 && b.line+weight > x.cfg.LineMax { // where nobody waits, any question may
		return nil, dropped, cluster.Errorf(cluster.KindLimit, op, "%d questions are waiting: try again in a moment", b.line)
	}
	b.line += weight
	return b, dropped, nil
}

// unqueue takes a question out of the line, and drops the indexes that were used longest ago if all
// together are too large. The one just used stays, however large it is: it would be built again for every question.
func (x *Indexes) unqueue(b *box, weight int) {
	x.mu.Lock()
	b.line -= weight
	b.used = time.Now()
	x.recent.MoveToFront(b.place)
	var dropped []*box
	for e := x.recent.Back(); e != nil && x.over(false); {
		old := e.Value.(*box)
		e = e.Prev()
		if old != b && old.line == 0 && old.state != nil && (!old.owes() || x.over(true)) {
			dropped = append(dropped, old)
			x.drop(old)
		}
	}
	x.mu.Unlock()
	for _, old := range dropped {
		old.rest()
	}
}

// drop forgets a box's index, and the box if nobody watches. Preconditions: mu is held, and nobody else has
// the turn or waits for it.
func (x *Indexes) drop(b *box) {
	if b.state != nil {
		x.figures.evictions.Add(1)
	}
	b.state, b.unsaid, b.due = nil, false, time.Time{}
	x.cost += boxCost - b.cost
	b.cost = boxCost
	if len(b.watchers) == 0 {
		x.cost -= boxCost
		delete(x.boxes, b.user)
		x.recent.Remove(b.place)
	}
}

// dropOne makes room for one user: the one that was used longest ago and is not watched, rather one that owes nothing. It gives the
// box, which wants rest; nil: there is none. Preconditions: mu is held.
func (x *Indexes) dropOne() (oldest *box) {
	scanned := 0
	for e := x.recent.Back(); e != nil && scanned < dropScanMax; e = e.Prev() {
		scanned++
		b := e.Value.(*box)
		if b.line > 0 || len(b.watchers) > 0 {
			continue
		}
		if !b.owes() {
			oldest = b
			break
		}
		if oldest == nil {
			oldest = b
		}
	}
	if oldest != nil {
		x.drop(oldest)
	}
	return oldest
}

// dropScanMax bounds the work of making room.
const dropScanMax = 64

// rest ends the subscriptions of a box that nobody needs any more.
func (b *box) rest() {
	b.x.mu.Lock()
	needed := b.x.boxes[b.user] == b
	b.x.mu.Unlock()
	if !needed {
		b.unfollow()
	}
}
