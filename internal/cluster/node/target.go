package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/store"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
)

// A call that brings updates must be executed before cluster.LateWindow, less the bound on clock
// skew, has passed since it was sent: who deleted the object meanwhile is not remembered for longer
// (R5). One half of that is for the way, the other for contents that come in a stream; contents in
// one message are there when the call is admitted.
const (
	LateCallMax = cluster.LateWindow/2 - cluster.ClockSkewMax
	LateBodyMax = cluster.LateWindow / 2
)

// refuseLate refuses a call that was under way for too long. Not for good: a caller that lives sends
// it again.
func (n *Node) refuseLate(s *cluster.Stamp, method string) error {
	if method != call.MethodApply && method != call.MethodOffer {
		return nil
	}
	age := time.Duration(n.cfg.Now().UnixNano() - s.Clock.Time)
	if age <= LateCallMax {
		return nil
	}
	n.stats.late.Add(1)
	return cluster.Errorf(cluster.KindUnavailable, method, "sent %v ago by the clock of node %s, at most %v allowed: a late copy, or set the clocks of both nodes",
		age.Round(time.Second), s.From, LateCallMax)
}

// apply is an update at one of its targets: this node.
func (n *Node) apply(ctx context.Context, u *cluster.Update, body cluster.Body) (replication.Reply, error) {
	if body == nil && !u.Object.Deleted && u.Object.Size > 0 {
		replies, err := n.accept(ctx, []cluster.Update{*u}, n.announce)
		if err != nil {
			return replication.Reply{}, err
		}
		return replies[0], nil
	}
	err := n.admitUpdate(u)
	if err == nil {
		err = n.reserveJoin(ctx, u.Object.ID.Type)
	}
	if err != nil {
		return replication.Reply{}, err
	}
	r, err := n.cfg.Store.Apply(ctx, *u, body)
	if err != nil {
		n.doubt(err, *u)
		return replication.Reply{}, err
	}
	n.recorded(&r, u) // AFTER the commit
	n.tellChange(u, &r)
	// What was there already may have been stored by a call that did not get as far as the manager.
	switch {
	case r.Announce || n.movesHere(&r, u) || !r.Applied && !r.Want && u.Object.Replicas.Contains(n.cfg.Self.ID):
		err = n.announce(ctx, []cluster.Update{*u})
	case r.Applied:
		n.usage.touch(u.Object.ID.Owner)
	}
	return replyOf(&r), err
}

// accept is updates without contents at one of their targets: this node. tell hears of those of which
// the managers must.
func (n *Node) accept(ctx context.Context, batch []cluster.Update, tell func(context.Context, []cluster.Update) error) ([]replication.Reply, error) {
	replies := make([]replication.Reply, len(batch))
	admitted := make([]cluster.Update, 0, len(batch))
	places := make([]int, 0, len(batch)) // in the batch, of what was admitted
	for i := range batch {
		err := n.admitUpdate(&batch[i])
		if err == nil {
			err = n.reserveJoin(ctx, batch[i].Object.ID.Type)
		}
		replies[i].Err = err
	}
	n.confirmKept(ctx, batch, replies)
	for i := range batch {
		if replies[i].Err == nil {
			admitted, places = append(admitted, batch[i]), append(places, i)
		}
	}
	if len(admitted) == 0 {
		return replies, nil
	}
	results, err := n.cfg.Store.Accept(ctx, admitted)
	if err != nil {
		n.doubt(err, admitted...)
		return nil, err
	}
	for k := range results {
		replies[places[k]] = replyOf(&results[k])
	}
	return replies, tell(ctx, n.accepted(admitted, results))
}

// accepted takes in what the store has said of updates without contents, AFTER the commit, and gives
// those of which the managers must hear.
func (n *Node) accepted(updates []cluster.Update, results []store.Result) (changed []cluster.Update) {
	for i := range results {
		r := &results[i]
		n.recorded(r, &updates[i])
		n.tellChange(&updates[i], r)
		switch {
		case r.Announce || n.movesHere(r, &updates[i]):
			changed = append(changed, updates[i])
		case r.Applied:
			n.usage.touch(updates[i].Object.ID.Owner)
		}
	}
	return changed
}

// movesHere reports whether others will remove their copies because this node has one. Then the manager must have heard, even if the
// fragment was here before: it may have come with another object that moved just now, of which he has not heard either (V2).
func (n *Node) movesHere(r *store.Result, u *cluster.Update) bool {
	return r.Err == nil && !r.Want && r.Verdict != replication.Older && replication.Moves(n.cfg.Self.ID, u)
}

func replyOf(r *store.Result) replication.Reply {
	return replication.Reply{Verdict: r.Verdict, Have: r.Have, Want: r.Want, Err: r.Err}
}

// announce tells the managers of the owners of updates that have been applied here, and waits until
// they have heard. That they have not in time is an error for cached objects (V1), and where others will
// remove their copies (V2).
func (n *Node) announce(ctx context.Context, updates []cluster.Update) error {
	if len(updates) == 0 {
		return nil
	}
	late, err := n.register(ctx, ownersOf(updates))
	if err != nil {
		return fmt.Errorf("stored, but the manager cannot be told: %w", err)
	}
	for i := range late {
		if h := &late[i]; slices.ContainsFunc(updates, func(u cluster.Update) bool { return n.mustHear(h, &u) }) {
			return cluster.Errorf(cluster.KindUnavailable, "update "+h.Owner, "stored, but the owner's manager has not heard of it yet")
		}
	}
	return nil
}

// mention is announce without waiting: for updates that nobody waits for.
func (n *Node) mention(ctx context.Context, updates []cluster.Update) error {
	if len(updates) == 0 {
		return nil
	}
	var holdings []cluster.Holding
	for _, owner := range ownersOf(updates) {
		h, err := n.cfg.Store.Holding(owner)
		if err != nil {
			return fmt.Errorf("stored, but the manager cannot be told: %w", err)
		}
		holdings = append(holdings, h)
	}
	return n.post(context.WithoutCancel(ctx), func(l *loop) { // the commit is made: the managers must hear of it
		for _, h := range holdings {
			l.carry(l.reporter.Register(h, l.now()))
		}
	})
}

// ownersOf lists the owners of updates, each once.
func ownersOf(updates []cluster.Update) []string {
	owners := make([]string, len(updates))
	for i := range updates {
		owners[i] = updates[i].Object.ID.Owner
	}
	slices.Sort(owners)
	return slices.Compact(owners)
}

// mustHear reports whether an update may not count as applied here before the manager has heard of the
// holding that it led to.
func (n *Node) mustHear(h *cluster.Holding, u *cluster.Update) bool {
	return u.Object.ID.Owner == h.Owner && (isCachedIn(h, u.Object.ID) || replication.Moves(n.cfg.Self.ID, u))
}

func isCachedIn(h *cluster.Holding, id cluster.ObjectID) bool {
	return slices.ContainsFunc(h.Cached, func(c cluster.CachedObject) bool { return c.Object.ID == id })
}

// admitUpdate refuses what this node should not take in now. What takes nothing in is always taken:
// deletions, and that a replica lies elsewhere from now on.
func (n *Node) admitUpdate(u *cluster.Update) error {
	op := "update " + u.Object.ID.Owner
	if err := n.senses.observe(u.Object.Timestamp, n.cfg.Now()); err != nil {
		n.stats.skewed.Add(1)
		return cluster.Errorf(cluster.KindUnavailable, op, "%w", err) // of two clocks, this node's may be the wrong one: others take it (V1)
	}
	self := n.cfg.Self.ID
	switch mine := u.Object.Replicas.Contains(self); {
	case !mine && !u.Previous.Contains(self):
		return cluster.Errorf(cluster.KindInvalid, op, "node %s is not one of its targets %v", self, u.Targets())
	case !mine || u.Object.Deleted:
		return nil
	case n.stats.full.Load():
		return cluster.Errorf(cluster.KindUnavailable, op, "%d holdings wait for their managers: try again", n.stats.owedHoldings.Load())
	case n.stopping.Load():
		return cluster.Errorf(cluster.KindFull, op, "node %s is stopping", self)
	case n.draining.Load() && !u.Previous.Contains(self):
		return cluster.Errorf(cluster.KindFull, op, "node %s is draining", self)
	}
	return nil
}

func (n *Node) handleApply(ctx context.Context, r *transport.Incoming) (*transport.Response, error) {
	var req call.ApplyRequest
	if err := req.Unmarshal(r.Payload); err != nil {
		return nil, err
	}
	var replies []replication.Reply
	var err error
	switch {
	case len(req.Updates) == 1 && (r.Body != nil || !req.Updates[0].Object.Deleted):
		if r.BodySize > transport.InlineBodyMax {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, LateBodyMax)
			defer cancel()
		}
		replies = make([]replication.Reply, 1)
		replies[0], err = n.apply(ctx, &req.Updates[0], asBody(r))
	case r.Body != nil:
		replies, err = n.applyGroup(ctx, req.Updates, r)
	default:
		replies, err = n.accept(ctx, req.Updates, n.announce)
	}
	if err != nil {
		return nil, err
	}
	return &transport.Response{Payload: (&call.ApplyAnswer{Replies: replies}).Marshal()}, nil
}

// handleOffer answers the log of another target. Nobody waits for the managers to hear of it, but where
// others will remove their copies (V2).
func (n *Node) handleOffer(ctx context.Context, r *transport.Incoming) (*transport.Response, error) {
	var req call.ApplyRequest
	if err := req.Unmarshal(r.Payload); err != nil {
		return nil, err
	}
	replies, err := n.accept(ctx, req.Updates, n.mention)
	if err == nil {
		err = n.awaitMoves(ctx, req.Updates, replies)
	}
	if err != nil {
		return nil, err
	}
	return &transport.Response{Payload: (&call.ApplyAnswer{Replies: replies}).Marshal()}, nil
}

// awaitMoves waits until the managers have heard of what was offered and will be removed elsewhere. Where
// they have not in time, the reply becomes an error: it will be offered again.
func (n *Node) awaitMoves(ctx context.Context, updates []cluster.Update, replies []replication.Reply) error {
	var moves []cluster.Update
	for i := range updates {
		if r := &replies[i]; r.Err == nil && !r.Want && r.Verdict != replication.Older && replication.Moves(n.cfg.Self.ID, &updates[i]) {
			moves = append(moves, updates[i])
		}
	}
	if len(moves) == 0 {
		return nil
	}
	late, err := n.register(ctx, ownersOf(moves))
	if err != nil {
		return fmt.Errorf("stored, but the manager cannot be told: %w", err)
	}
	for i := range updates {
		owner := updates[i].Object.ID.Owner
		if replication.Moves(n.cfg.Self.ID, &updates[i]) && slices.ContainsFunc(late, func(h cluster.Holding) bool { return h.Owner == owner }) {
			replies[i] = replication.Reply{Err: cluster.Errorf(cluster.KindUnavailable, "update "+owner, "stored, but the owner's manager has not heard of it yet")}
		}
	}
	return nil
}

func (n *Node) handleRetire(r *transport.Incoming) (*transport.Response, error) {
	var req call.RetireRequest
	if err := req.Unmarshal(r.Payload); err != nil {
		return nil, err
	}
	n.stats.retires.Add(int64(len(req.Retirements)))
	n.learn(fact{retired: req.Retirements})
	return &transport.Response{}, nil
}
