package node

import (
	"context"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
)

// LookupTimeout bounds one attempt of a lookup: two rounds of confirmation, and the way.
const LookupTimeout = 2*ConfirmTimeout + time.Second

// Lookup asks the owner's manager what exists for the owner. It does not wait for completeness:
// Entry.Knowledge says what the entry proves. Error: KindUnavailable when no manager could be
// asked before the context ended.
//
// Conclusive is confirmed only where it matters, when the entry has no cached object or is Gone. A service that keeps several cached objects for one owner must not conclude from the
// presence of one that another does not exist anywhere.
func (n *Node) Lookup(ctx context.Context, owner string) (cluster.Entry, error) {
	var entry cluster.Entry
	n.stats.lookups.Add(1)
	err := n.route(ctx, "lookup "+owner, owner, func(ctx context.Context, to cluster.Member) (err error) {
		if to.ID == n.cfg.Self.ID {
			entry, err = n.lookupProven(ctx, owner)
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, LookupTimeout)
		defer cancel()
		resp, err := n.call(ctx, to, &transport.Request{Method: call.MethodLookup, Payload: (&call.LookupRequest{Owner: owner}).Marshal()})
		if err != nil {
			return err
		}
		var answer call.LookupAnswer
		if err := answer.Unmarshal(resp.Payload); err != nil {
			return malformed(call.MethodLookup, to.ID, err)
		}
		entry = answer.Entry
		return nil
	})
	return entry, err
}

// LocalEntry is Lookup at the manager itself: no routing, no trying again. It is false when this
// node does not manage the owner. An entry that would prove that something does not exist is
// confirmed first, as with Lookup: a manager that was stopped for a while must not refuse anybody
// for good (V1).
func (n *Node) LocalEntry(ctx context.Context, owner string) (cluster.Entry, bool) {
	e, err := n.lookupProven(ctx, owner)
	return e, err == nil
}

// lookupHere is a lookup at the manager, and the epoch in which it was made. KindStale when this
// node does not manage the owner: whoever thinks so has another view.
func (n *Node) lookupHere(owner string) (cluster.Entry, cluster.Epoch, error) {
	n.soft.mu.Lock()
	defer n.soft.mu.Unlock()
	epoch := n.View().Epoch // installed with the manager, under the same lock
	e, err := n.soft.manager.Lookup(owner)
	if err != nil {
		err = cluster.Errorf(cluster.KindStale, "look up "+owner, "%w", err)
	}
	return e, epoch, err
}

// lookupProven is a lookup at the manager. An entry that would prove that a cached object does not
// exist is confirmed first; if that fails it proves nothing for good.
func (n *Node) lookupProven(ctx context.Context, owner string) (cluster.Entry, error) {
	e, _, err := n.lookupHere(owner)
	if err != nil || e.Knowledge != cluster.Conclusive || len(e.Cached) > 0 && !e.Gone() {
		return e, err
	}
	confirmed, confirmErr := n.confirm(ctx)
	// Asked again: what was written before the confirmation was told before it.
	e, epoch, err := n.lookupHere(owner)
	if err != nil {
		return e, err
	}
	if confirmErr != nil || epoch != confirmed {
		n.log.Debug("not confirmed", "owner", owner, "epoch", epoch, "err", confirmErr)
		e.Knowledge = min(e.Knowledge, cluster.Complete)
	}
	return e, nil
}

func (n *Node) handleLookup(ctx context.Context, r *transport.Incoming) (*transport.Response, error) {
	var req call.LookupRequest
	if err := req.Unmarshal(r.Payload); err != nil {
		return nil, err
	}
	entry, err := n.lookupProven(ctx, req.Owner)
	if err != nil {
		return nil, err
	}
	return &transport.Response{Payload: (&call.LookupAnswer{Entry: entry}).Marshal()}, nil
}
