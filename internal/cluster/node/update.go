package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
)

// TargetTimeout bounds the wait for a target of an update, to which the time for large contents is
// added. A machine that is dead leaves the view long before; this is for one that answers pings
// and has a disk that hangs.
const TargetTimeout = transport.CallTimeoutDefault

// FarewellsInFlight bounds the updates on their way to nodes that shall remove their copies. What
// exceeds it, and what does not arrive, the log of the targets brings.
const FarewellsInFlight = 64

// Update makes an update durable on all nodes of its new replica set, and removes the object from
// the nodes that are in its old one only (Porcupine §4.4). It sends it to all of the replica set at
// once, this node included by a plain call, and to the others AFTER that, in the background. A zero
// Timestamp is filled in. body is nil for a deletion, and for a change that keeps the contents that the
// replicas have; it is read by several goroutines, and not after Update has returned.
//
// nil: durable on all of the replica set, and the owner's manager has been told. If the manager
// does not answer within RegisterWait, then it is nil for objects of which the manager knows only
// where they lie (the reporter goes on until the manager knows), and a failure of that target for
// cached objects, since who relies on one must find it (V1), and for objects that others shall remove: the
// manager would send readers there (V2). Of a deletion without trace: durable on
// a target, and the others have it too or were not reached. What a target missed the others'
// records bring to it when it is back.
//
// *cluster.Shortfall: durable on some of the replica set. It is for the caller to decide whether
// that is enough, or whether other nodes shall take the place of those missing.
//
// After any other error it is not known to be durable anywhere, though it may be. KindFull: a node
// has no room or is stopping. KindUnavailable: no node answered, or not all said the same.
// KindInvalid, KindLimit, KindDenied and so on: all nodes said so. Trying again with the same
// timestamp is harmless.
//
// A target that is not a member counts as not reached at once, one that leaves the view when it
// does; for the others the wait is bounded by TargetTimeout and by ctx.
func (n *Node) Update(ctx context.Context, u cluster.Update, body cluster.Body) error {
	if err := n.prepare(ctx, &u); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, targetTimeout(body))
	defer cancel()
	p := replication.Propagate(&u)
	n.applyAtAll(bounded, p, p.Next(), &u, body)
	err := p.Outcome()
	if rest := p.Next(); len(rest) > 0 {
		n.farewell(p, rest, u)
	} else {
		n.retireAfter(p, &u)
	}
	return err
}

// farewell has nodes remove their copies. Nobody waits for it.
func (n *Node) farewell(p *replication.Propagation, targets []cluster.NodeID, u cluster.Update) {
	select {
	case n.farewells <- struct{}{}:
	default:
		return
	}
	begun := n.async(func(ctx context.Context) {
		defer func() { <-n.farewells }()
		ctx, cancel := context.WithTimeout(ctx, TargetTimeout)
		defer cancel()
		n.applyAtAll(ctx, p, targets, &u, nil)
		n.retireAfter(p, &u)
	})
	if !begun {
		<-n.farewells
	}
}

// targetTimeout is how long one target may take for an update with these contents.
func targetTimeout(body cluster.Body) time.Duration {
	if body == nil {
		return TargetTimeout
	}
	return TargetTimeout + time.Duration(body.Size())*time.Second/transport.UploadRateMin
}

// answer is how an update ended at one target.
type answer struct {
	reply replication.Reply
	err   error
}

// applyAtAll sends one update to targets at once, and waits for all. The last way is this
// goroutine's own: to this node's disk if it is a target.
func (n *Node) applyAtAll(ctx context.Context, p *replication.Propagation, targets []cluster.NodeID, u *cluster.Update, body cluster.Body) {
	own := max(slices.Index(targets, n.cfg.Self.ID), 0)
	if len(targets) == 1 {
		r, err := n.applyAt(ctx, targets[own], u, body, nil)
		p.Answered(targets[own], r, err)
		return
	}
	answers := make([]answer, len(targets))
	req := applyRequest(u, body) // the same bytes for all
	var others sync.WaitGroup
	for i, id := range targets {
		if i != own {
			others.Go(func() { answers[i].reply, answers[i].err = n.applyAt(ctx, id, u, body, req) })
		}
	}
	answers[own].reply, answers[own].err = n.applyAt(ctx, targets[own], u, body, req)
	others.Wait()
	for i, id := range targets {
		p.Answered(id, answers[i].reply, answers[i].err)
	}
}

// applyAt applies one update at one target. req is what is sent to another node; nil: not made yet.
func (n *Node) applyAt(ctx context.Context, id cluster.NodeID, u *cluster.Update, body cluster.Body, req *transport.Request) (r replication.Reply, err error) {
	if id == n.cfg.Self.ID {
		ctx, end := n.whileSound(ctx)
		defer end()
		return n.apply(ctx, u, body)
	}
	if req == nil {
		req = applyRequest(u, body)
	}
	err = n.to(ctx, "update "+u.Object.ID.Owner, id, func(ctx context.Context, to cluster.Member) error {
		replies, err := n.callTarget(ctx, to, req, 1)
		if err == nil {
			r = replies[0]
		}
		return err
	})
	return r, err
}

func applyRequest(u *cluster.Update, body cluster.Body) *transport.Request {
	return &transport.Request{Method: call.MethodApply, Payload: (&call.ApplyRequest{Updates: []cluster.Update{*u}}).Marshal(), Body: body}
}

// callTarget sends updates to a target, which must give as many replies.
func (n *Node) callTarget(ctx context.Context, to cluster.Member, req *transport.Request, updates int) ([]replication.Reply, error) {
	resp, err := n.call(ctx, to, req)
	if err != nil {
		return nil, err
	}
	var answer call.ApplyAnswer
	err = answer.Unmarshal(resp.Payload)
	if err == nil && len(answer.Replies) != updates {
		err = fmt.Errorf("%d replies to %d updates", len(answer.Replies), updates)
	}
	if err != nil {
		return nil, malformed(req.Method, to.ID, err)
	}
	return answer.Replies, nil
}

// prepare checks an update and gives it its timestamp.
func (n *Node) prepare(ctx context.Context, u *cluster.Update) (err error) {
	op := "update " + u.Object.ID.Owner
	if n.failed.Load() {
		return cluster.Errorf(cluster.KindUnavailable, op, "this node has failed and must be started again")
	}
	if err := n.takesPart(op, cluster.KindUnavailable); err != nil {
		return err
	}
	if k := len(u.Targets()); k == 0 || k > replication.TargetsMax {
		return cluster.Errorf(cluster.KindInvalid, op, "%d target nodes, want 1 to %d", k, replication.TargetsMax)
	}
	if u.Object.Timestamp.IsZero() {
		u.Object.Timestamp, err = n.timestamp(ctx)
	}
	return err
}

// retireAfter tells the targets that the update is over, if it is.
func (n *Node) retireAfter(p *replication.Propagation, u *cluster.Update) {
	if len(u.Previous) == 0 && len(u.Object.Replicas) < 2 {
		return // no record was written
	}
	if r, ok := p.Retirement(); ok && len(r.Targets) > 1 {
		n.retirer.add(r.Targets, r, n.cfg.Now())
	}
}

// UpdateAll applies updates that have no contents with them, grouped by node: deletions, and changes
// that keep the contents that the replicas have. The errors are in the order of the updates, each
// as of Update; an update that fails does not stop the others. It waits for all targets.
func (n *Node) UpdateAll(ctx context.Context, updates []cluster.Update) []error {
	ctx, cancel := context.WithTimeout(ctx, TargetTimeout)
	defer cancel()
	updates = slices.Clone(updates) // timestamps are filled in
	errs := make([]error, len(updates))
	under := make([]*replication.Propagation, len(updates))
	for i := range updates {
		if errs[i] = n.prepare(ctx, &updates[i]); errs[i] == nil {
			under[i] = replication.Propagate(&updates[i])
		}
	}
	for n.sendNext(ctx, updates, under) {
	}
	for i, p := range under {
		if p != nil {
			n.retireAfter(p, &updates[i])
			errs[i] = p.Outcome()
		}
	}
	return errs
}

// sendNext sends each update to the targets whose turn it is; false: there are none left.
func (n *Node) sendNext(ctx context.Context, updates []cluster.Update, under []*replication.Propagation) bool {
	groups := map[cluster.NodeID][]int{}
	for i, p := range under {
		if p == nil {
			continue
		}
		for _, id := range p.Next() {
			groups[id] = append(groups[id], i)
		}
	}
	ids := slices.Sorted(maps.Keys(groups))
	answers := make([][]answer, len(ids))
	inParallel(len(ids), func(k int) {
		batch := make([]cluster.Update, len(groups[ids[k]]))
		for j, i := range groups[ids[k]] {
			batch[j] = updates[i]
		}
		answers[k] = n.applyEach(ctx, ids[k], batch)
	})
	for k, id := range ids {
		for j, i := range groups[id] {
			under[i].Answered(id, answers[k][j].reply, answers[k][j].err)
		}
	}
	return len(ids) > 0
}

// applyEach applies updates without contents at one node, as many at once as a call can take.
func (n *Node) applyEach(ctx context.Context, id cluster.NodeID, batch []cluster.Update) []answer {
	answers := make([]answer, 0, len(batch))
	for len(batch) > 0 {
		k := fitting(batch, call.UpdatesMax)
		replies, err := n.applySome(ctx, id, batch[:k])
		for i := range k {
			a := answer{err: err}
			if err == nil {
				a.reply = replies[i]
			}
			answers = append(answers, a)
		}
		batch = batch[k:]
	}
	return answers
}

// fitting counts the updates at the beginning of a batch that go into one call.
func fitting(batch []cluster.Update, most int) int {
	k, size := 0, 0
	for ; k < min(len(batch), most); k++ {
		o := &batch[k].Object
		size += len(o.Attr) + len(o.ID.Owner) + len(o.ID.ID) + 8*len(batch[k].Previous) + objectOverhead
		if size > listPageBytes && k > 0 {
			break
		}
	}
	return k
}

// applySome applies updates without contents in one call.
func (n *Node) applySome(ctx context.Context, id cluster.NodeID, batch []cluster.Update) (replies []replication.Reply, err error) {
	if id == n.cfg.Self.ID {
		ctx, end := n.whileSound(ctx)
		defer end()
		return n.accept(ctx, batch, n.announce)
	}
	req := &transport.Request{Method: call.MethodApply, Payload: (&call.ApplyRequest{Updates: batch}).Marshal()}
	err = n.to(ctx, fmt.Sprintf("%d updates", len(batch)), id, func(ctx context.Context, to cluster.Member) (err error) {
		replies, err = n.callTarget(ctx, to, req, len(batch))
		return err
	})
	return replies, err
}

// inParallel runs f for 0 to count-1 at once and waits for all.
func inParallel(count int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range count {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// fanOut runs f for each node at once and waits for all. The errors are in order.
func fanOut(ids []cluster.NodeID, f func(cluster.NodeID) error) []error {
	errs := make([]error, len(ids))
	inParallel(len(ids), func(i int) { errs[i] = f(ids[i]) })
	return errs
}

// firstOf gives the first error, nil if there is none.
func firstOf(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
