package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
)

// Limits of catching up: what a node sends to those that missed updates, to all of them together.
// A commit of a client's waits for no more than these at its disk.
const (
	OffersInFlight   = 8
	CatchUpsInFlight = 64
	CatchUpBytesMax  = 16 << 20
	OfferTimeout     = transport.CallTimeoutDefault
)

// catchUp bounds the work.
type catchUp struct {
	offers chan struct{} // places
	calls  chan struct{}
	bytes  *semaphore.Weighted
}

func (c *catchUp) init() {
	c.offers = make(chan struct{}, OffersInFlight)
	c.calls = make(chan struct{}, CatchUpsInFlight)
	c.bytes = semaphore.NewWeighted(CatchUpBytesMax)
}

// enter takes a place; false if ctx ended before.
func enter(ctx context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// offer asks a target whether it has the updates of an offer, and sends the contents of those that
// it lacks. The answers are of the items that this node still had at their timestamps.
func (n *Node) offer(ctx context.Context, o replication.Offer) ([]replication.Answer, error) {
	if !enter(ctx, n.catchUp.offers) {
		return nil, stopping("offer updates")
	}
	defer func() { <-n.catchUp.offers }()
	n.stats.offers.Add(1)
	n.stats.offered.Add(int64(len(o.Items)))
	updates, answers := n.readOffer(o.Items)
	for len(updates) > 0 {
		k := fitting(updates, call.UpdatesMax)
		some, err := n.offerSome(ctx, o.To, updates[:k])
		if err != nil {
			n.log.Debug("offer not answered", "peer", o.To, "items", len(updates), "err", err)
			if len(answers) > 0 {
				err = nil // the others are offered again
			}
			return answers, err
		}
		answers = append(answers, some...)
		updates = updates[k:]
	}
	return answers, nil
}

// readOffer reads the headers of what is offered. What cannot be read is answered here: with the
// error, or as gone.
func (n *Node) readOffer(items []cluster.Record) (updates []cluster.Update, failed []replication.Answer) {
	updates = make([]cluster.Update, 0, len(items))
	for i := range items {
		u, ok, err := n.cfg.Store.Update(items[i].ID, items[i].Timestamp)
		switch {
		case err != nil:
			n.noteDamage(items[i].ID, err)
			failed = append(failed, replication.Answer{ID: items[i].ID, Reply: replication.Reply{Err: err}})
		case ok:
			updates = append(updates, u)
		default: // replaced or retired meanwhile
			failed = append(failed, replication.Answer{ID: items[i].ID, Gone: true})
		}
	}
	return updates, failed
}

// offerSome makes one call of an offer, and those with contents that it leads to.
func (n *Node) offerSome(ctx context.Context, id cluster.NodeID, updates []cluster.Update) ([]replication.Answer, error) {
	to, ok := n.View().Member(id)
	if !ok {
		return nil, departed(call.MethodOffer, id)
	}
	bounded, cancel := context.WithTimeout(ctx, OfferTimeout)
	defer cancel()
	req := &transport.Request{Method: call.MethodOffer, Payload: (&call.ApplyRequest{Updates: updates}).Marshal()}
	n.stats.caughtUp.Add(int64(len(req.Payload)))
	replies, err := n.callTarget(bounded, to, req, len(updates))
	if err != nil {
		return nil, err
	}
	answers := make([]replication.Answer, len(updates))
	var wanted sync.WaitGroup
	for i := range replies {
		answers[i] = replication.Answer{ID: updates[i].Object.ID, Reply: replies[i]}
		// A node outside the replica set has no contents to bring; that they are wanted is the answer.
		if replies[i].Want && updates[i].Object.Replicas.Contains(n.cfg.Self.ID) && enter(ctx, n.catchUp.calls) {
			wanted.Go(func() {
				defer func() { <-n.catchUp.calls }()
				answers[i].Reply = n.bring(ctx, to, &updates[i])
			})
		}
	}
	wanted.Wait()
	return answers, nil
}

// bring sends an update with its contents to a target that wants them.
func (n *Node) bring(ctx context.Context, to cluster.Member, u *cluster.Update) replication.Reply {
	n.stats.wants.Add(1)
	r, err := n.tryBring(ctx, to, u)
	if err != nil {
		n.log.Debug("contents not brought", "peer", to.ID, "owner", u.Object.ID.Owner, "err", err)
		return replication.Reply{Err: err}
	}
	return r
}

func (n *Node) tryBring(ctx context.Context, to cluster.Member, u *cluster.Update) (replication.Reply, error) {
	op := "bring " + string(u.Object.ID.Type) + " of " + u.Object.ID.Owner
	size := min(u.Object.Size, CatchUpBytesMax)
	if err := n.catchUp.bytes.Acquire(ctx, size); err != nil {
		return replication.Reply{}, stopping(op)
	}
	defer n.catchUp.bytes.Release(size)
	ctx, cancel := context.WithTimeout(ctx, TargetTimeout+time.Duration(u.Object.Size)*time.Second/transport.UploadRateMin)
	defer cancel()
	object, contents, err := n.openHere(u.Object.ID)
	if err != nil {
		return replication.Reply{}, err
	}
	var r replication.Reply
	if object.Timestamp != u.Object.Timestamp {
		err = cluster.Errorf(cluster.KindNotFound, op, "a newer update took its place")
	} else {
		req := applyRequest(u, &sequential{r: contents, size: object.Size})
		n.stats.caughtUp.Add(int64(len(req.Payload)) + object.Size)
		var replies []replication.Reply
		if replies, err = n.callTarget(ctx, to, req, 1); err == nil {
			r = replies[0]
		}
	}
	if closeErr := contents.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("%s: %w", op, closeErr)
	}
	return r, err
}
