package node

import (
	"context"

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
	CatchUpsInFlight = 16 // calls with contents
	CatchUpsPerPeer  = 4  // of them: one that hangs leaves room for the others
	CatchUpBytesMax  = 16 << 20
	OfferTimeout     = transport.CallTimeoutDefault
	// GroupMax is the most updates with their contents in one call, all of which fit into
	// transport.InlineBodyMax.
	GroupMax = 64
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
	var wanted []int
	for i := range replies {
		answers[i] = replication.Answer{ID: updates[i].Object.ID, Reply: replies[i]}
		// A node outside the replica set has no contents to bring; that they are wanted is the answer.
		if replies[i].Want && updates[i].Object.Replicas.Contains(n.cfg.Self.ID) {
			wanted = append(wanted, i)
		}
	}
	n.bringAll(ctx, to, updates, wanted, answers)
	return answers, nil
}
