package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
)

// Whoever keeps an object has acknowledged it long before the last of those who shall let go of theirs hears
// of that: he may have been away for days. Disks rot meanwhile, and nobody has noticed yet. So a node asks,
// BEFORE it removes a copy because the object lies elsewhere, until one of those who keep it has read his and
// found it whole (D1, decision 0016). Otherwise the update is refused and offered again, and whoever found
// his damaged gets it back, from this node perhaps. Who has handed his on names those to whom, and they are asked
// in his place: what he knew of their copies when he let go of his may be long ago too. Who has no copy and knows
// nothing of one elsewhere vouches: it was deleted, or all have long had what came after. If all who should keep
// the object were struck, this node takes it back.

// Limits of that.
const (
	ConfirmsInFlight   = 16 // questions of this node to those who keep objects
	WholeReadsInFlight = 4  // copies read here at once because others ask: clients read from the same disk
	WholeTimeout       = transport.CallTimeoutDefault
	// KeepersTimeout bounds the questions of one batch. It is half of what the batch may take: what was confirmed
	// until then, and what removes nothing, is made durable and answered in time. Else one keeper that is slow would
	// hold up everything that is offered with what he keeps.
	KeepersTimeout = OfferTimeout / 2
	// What was read for somebody who had given up meanwhile counts when he asks again, which he does within
	// replication.RetryMax: contents that take longer to read than he waits would never be vouched for.
	VouchFor   = 2 * replication.RetryMax
	VouchesMax = 256 // of them; more are read again
	// KeeperStepsMax is how often those to whom the object was handed on are asked in place of those who had it. Where
	// it wandered further the copy stays until this node has heard of a later move.
	KeeperStepsMax = 4
)

// keeping bounds the work.
type keeping struct {
	asks, reads chan struct{} // places

	mu      sync.Mutex
	vouches map[cluster.ObjectID]vouch // copies here that were whole, and whose readers had no time to hear it
}

// vouch says that a version was whole.
type vouch struct {
	version cluster.Timestamp
	at      time.Time
}

func (k *keeping) init() {
	k.asks = make(chan struct{}, ConfirmsInFlight)
	k.reads = make(chan struct{}, WholeReadsInFlight)
	k.vouches = map[cluster.ObjectID]vouch{}
}

// note notes that a copy was whole.
func (k *keeping) note(o *cluster.Object, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	maps.DeleteFunc(k.vouches, func(_ cluster.ObjectID, v vouch) bool { return now.Sub(v.at) > VouchFor })
	if len(k.vouches) < VouchesMax {
		k.vouches[o.ID] = vouch{o.Timestamp, now}
	}
}

// vouchesFor reports whether a copy was whole a moment ago.
func (k *keeping) vouchesFor(o *cluster.Object, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	v, ok := k.vouches[o.ID]
	return ok && v.version == o.Timestamp && now.Sub(v.at) <= VouchFor
}

// confirmKept refuses those updates of a batch that would remove copies here, while nobody is known to have
// a whole one. What is refused already it leaves alone.
func (n *Node) confirmKept(ctx context.Context, batch []cluster.Update, replies []replication.Reply) {
	var doubtful []int
	for i := range batch {
		if replies[i].Err == nil && n.removes(&batch[i]) {
			doubtful = append(doubtful, i)
		}
	}
	if len(doubtful) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, KeepersTimeout)
	defer cancel()
	inParallel(len(doubtful), func(k int) {
		i := doubtful[k]
		replies[i].Err = n.askKeepers(ctx, &batch[i])
	})
}

// removes reports whether this node has a copy that an update removes, because the object lies elsewhere. An
// error of the disk is no answer: the update itself will meet it.
func (n *Node) removes(u *cluster.Update) bool {
	o := &u.Object
	if o.Deleted || len(o.Replicas) == 0 || o.Replicas.Contains(n.cfg.Self.ID) {
		return false
	}
	have, err := n.cfg.Store.Get(o.ID)
	return err == nil && !have.Deleted && have.Timestamp.Compare(o.Timestamp) < 0
}

// askKeepers gives nil when one of an update's replicas vouches for the object.
func (n *Node) askKeepers(ctx context.Context, u *cluster.Update) error {
	if !enter(ctx, n.keeping.asks) {
		n.stats.unconfirmed.Add(1)
		return cluster.Errorf(cluster.KindUnavailable, "update "+u.Object.ID.Owner, "the copy stays, since there was no time to ask the nodes that keep the object: %w", context.Cause(ctx))
	}
	defer func() { <-n.keeping.asks }()
	if n.Struck().ContainsAll(u.Object.Replicas) {
		return n.takeBack(ctx, u)
	}
	asked := cluster.ReplicaSet{n.cfg.Self.ID} // a copy does not vouch for itself
	keepers := u.Object.Replicas
	var errs error
	for range 1 + KeeperStepsMax {
		next, err := n.askEach(ctx, u, keepers)
		if err == nil {
			return nil
		}
		errs = errors.Join(errs, err)
		asked = asked.Union(keepers)
		if keepers = next.Without(asked); len(keepers) == 0 {
			break
		}
	}
	n.stats.unconfirmed.Add(1)
	return cluster.Errorf(cluster.KindUnavailable, "update "+u.Object.ID.Owner, "the copy stays, since no node that keeps the object says that its own is whole: %w", errs)
}

// askEach asks nodes one after the other, and gives nil when one vouches for the object of an update. next are
// those to whom others of them have handed it on.
func (n *Node) askEach(ctx context.Context, u *cluster.Update, nodes cluster.ReplicaSet) (next cluster.ReplicaSet, errs error) {
	op := "confirm " + u.Object.ID.Owner
	for _, id := range nodes {
		have, err := n.whole(ctx, id, u.Object.ID)
		switch {
		case cluster.IsKind(err, cluster.KindNotFound):
			return nil, nil
		case err != nil:
			errs = errors.Join(errs, err)
		case have.Timestamp.Compare(u.Object.Timestamp) < 0:
			errs = errors.Join(errs, cluster.Errorf(cluster.KindStale, op, "node %s has an older version, of %v", id, have.Timestamp))
		case !have.Replicas.Contains(id):
			next = next.Union(have.Replicas)
			errs = errors.Join(errs, cluster.Errorf(cluster.KindUnavailable, op, "node %s has handed it on to %v", id, have.Replicas))
		default:
			return nil, nil
		}
	}
	return next, errs
}

// takeBack makes an object that should lie on nodes alone that were struck one of this node's. As with every
// move, its timestamp is just above that of the update it answers, so it loses to whatever else was done.
// The update meets it, and is the older one. A copy that is damaged, while nobody else has the contents, is nothing to
// take back: the update removes it.
func (n *Node) takeBack(ctx context.Context, u *cluster.Update) error {
	o, contents, err := n.openHere(u.Object.ID)
	if cluster.IsKind(err, cluster.KindCorrupt) && n.cfg.IsLost != nil && n.cfg.IsLost(u.Object.ID) {
		n.log.Warn("a damaged copy is removed: all nodes that should keep the object were removed, and nobody else has its contents",
			"type", u.Object.ID.Type, "owner", u.Object.ID.Owner)
		return nil
	}
	if err != nil {
		return err
	}
	var body cluster.Body // of larger contents none is needed: they lie here
	if o.Size <= transport.InlineBodyMax {
		read, readErr := io.ReadAll(contents)
		body, err = bytes.NewReader(read), readErr
	}
	if closeErr := contents.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	o.Timestamp = cluster.Timestamp{Time: u.Object.Timestamp.Time + 1, Node: n.cfg.Self.ID}
	o.Replicas = cluster.ReplicaSet{n.cfg.Self.ID}
	n.log.Warn("all nodes that should keep an object were removed: this node keeps it", "type", o.ID.Type, "owner", o.ID.Owner)
	return n.Update(ctx, cluster.Update{Object: o, Previous: u.Targets()}, body)
}

// whole has another node read its copy of an object to the end, and gives what it has; where it is not one of the
// replicas it has no copy, and that is what it knows of the object. KindCorrupt: the copy is damaged, and is being
// healed. KindNotFound: it has none, and knows nothing of one elsewhere.
func (n *Node) whole(ctx context.Context, on cluster.NodeID, id cluster.ObjectID) (o cluster.Object, err error) {
	ctx, cancel := context.WithTimeout(ctx, WholeTimeout)
	defer cancel()
	req := &transport.Request{Method: call.MethodWhole, Payload: (&call.OpenRequest{ID: id}).Marshal()}
	err = n.to(ctx, "confirm "+id.Owner, on, func(ctx context.Context, to cluster.Member) error {
		resp, err := n.call(ctx, to, req)
		if err != nil {
			return err
		}
		var answer call.OpenAnswer
		if err := answer.Unmarshal(resp.Payload); err != nil {
			return malformed(req.Method, to.ID, err)
		}
		o = answer.Object
		return nil
	})
	return o, err
}

// handleWhole reads a copy to the end, even if it takes longer than who asks waits.
func (n *Node) handleWhole(ctx context.Context, r *transport.Incoming) (*transport.Response, error) {
	var req call.OpenRequest
	if err := req.Unmarshal(r.Payload); err != nil {
		return nil, err
	}
	if have, err := n.cfg.Store.Get(req.ID); err == nil && !have.Deleted && n.keeping.vouchesFor(&have, n.cfg.Now()) {
		return &transport.Response{Payload: (&call.OpenAnswer{Object: have}).Marshal()}, nil
	}
	if !enter(ctx, n.keeping.reads) {
		return nil, cluster.Errorf(cluster.KindUnavailable, "read a copy", "others are read: %w", context.Cause(ctx))
	}
	defer func() { <-n.keeping.reads }()
	object, contents, err := n.openHere(req.ID)
	if cluster.IsKind(err, cluster.KindNotFound) {
		return n.elsewhere(req.ID, err) // AFTER the look at the copy: a removal leaves its record in the same commit
	}
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, contents)
	if closeErr := contents.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		n.keeping.note(&object, n.cfg.Now())
	}
	return &transport.Response{Payload: (&call.OpenAnswer{Object: object}).Marshal()}, nil
}

// elsewhere answers for an object that this node has no copy of: with what it knows of a move, as the notice that
// it would offer, or with the error given.
func (n *Node) elsewhere(id cluster.ObjectID, none error) (*transport.Response, error) {
	rec, found, err := n.cfg.Store.Record(id)
	switch {
	case err != nil:
		return nil, err
	case !found || rec.Deleted || len(rec.Replicas) == 0:
		return nil, none
	case rec.Replicas.Contains(n.cfg.Self.ID):
		return nil, cluster.Errorf(cluster.KindUnavailable, "read a copy of "+id.Owner, "it has just come: ask again")
	}
	return &transport.Response{Payload: (&call.OpenAnswer{Object: replication.Notice(&rec).Object}).Marshal()}, nil
}
