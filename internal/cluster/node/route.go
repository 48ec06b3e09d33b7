package node

import (
	"cmp"
	"context"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/softstate"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
)

// route runs f for the manager of owner in the installed view, and again with the next view
// while the answer is that the view is changing or the manager is gone, until the context ends.
// f must be idempotent.
func (n *Node) route(ctx context.Context, op, owner string, f func(ctx context.Context, to cluster.Member) error) error {
	b := n.cfg.Cluster.BucketOf(owner)
	return n.retry(ctx, op, func(ctx context.Context, v *cluster.View) error {
		m, ok := v.Member(v.Manager(b))
		if !ok {
			return cluster.Errorf(cluster.KindUnavailable, op, "no view is installed yet")
		}
		return f(ctx, m)
	})
}

// to runs f for one node, again while the view is changing, until the node is no longer a
// member or the context ends. f must be idempotent.
func (n *Node) to(ctx context.Context, op string, id cluster.NodeID, f func(ctx context.Context, to cluster.Member) error) error {
	return n.retry(ctx, op, func(ctx context.Context, v *cluster.View) error {
		m, ok := v.Member(id)
		if !ok {
			return &goneError{cluster.Errorf(cluster.KindUnavailable, op, "node %s is not a member now", id)}
		}
		err := f(ctx, m)
		if transport.Unreachable(err) {
			return &goneError{err}
		}
		return err
	})
}

// goneError ends a retry: this very node was needed and does not answer.
type goneError struct{ error }

func (e *goneError) Unwrap() error { return e.error }

func (n *Node) retry(ctx context.Context, op string, f func(context.Context, *cluster.View) error) error {
	for {
		in := n.view.Load()
		err := f(ctx, in.view)
		if err == nil || !n.again(err) {
			return err
		}
		n.stats.retries.Add(1)
		pause := time.NewTimer(RouteRetry)
		select {
		case <-in.over:
		case <-pause.C:
		case <-n.stopped:
			err = cluster.Errorf(cluster.KindUnavailable, op, "this node is stopping")
		case <-ctx.Done():
			err = &cluster.Error{Kind: cluster.KindUnavailable, Op: op, Err: err}
		}
		pause.Stop()
		if ctx.Err() != nil || n.ended() {
			return err
		}
	}
}

func (n *Node) ended() bool {
	select {
	case <-n.stopped:
		return true
	default:
		return false
	}
}

// again reports whether an error may pass by itself when the view settles.
func (n *Node) again(err error) bool {
	if _, gone := err.(*goneError); gone {
		return false
	}
	switch cluster.KindOf(err) {
	case cluster.KindStale, cluster.KindBehind:
		return true
	case cluster.KindUnavailable:
		return transport.Unreachable(err) || n.moved(err)
	}
	return false
}

// moved reports whether a node answered that it does not manage the bucket: it has another view.
func (n *Node) moved(err error) bool {
	s, ok := transport.AnswererStamp(err)
	return ok && s.Epoch != n.View().Epoch
}

// call sends one request to a member and tells membership of a failure.
func (n *Node) call(ctx context.Context, to cluster.Member, r *transport.Request) (*transport.Response, error) {
	resp, err := n.cfg.Link.Call(ctx, to.Endpoint, r)
	if err != nil {
		n.suspect(to.ID, err)
	}
	return resp, err
}

// Lookup asks the owner's manager what exists for the owner. It does not wait for completeness:
// Entry.Knowledge says what the entry proves. Error: KindUnavailable when no manager could be
// asked before the context ended.
func (n *Node) Lookup(ctx context.Context, owner string) (cluster.Entry, error) {
	var entry cluster.Entry
	n.stats.lookups.Add(1)
	err := n.route(ctx, "lookup "+owner, owner, func(ctx context.Context, to cluster.Member) (err error) {
		if to.ID == n.cfg.Self.ID {
			entry, err = n.lookupProven(ctx, owner)
			return err
		}
		resp, err := n.call(ctx, to, &transport.Request{Method: call.MethodLookup, Payload: (&call.LookupRequest{Owner: owner}).Marshal()})
		if err != nil {
			return err
		}
		var answer call.LookupAnswer
		err = answer.Unmarshal(resp.Payload)
		entry = answer.Entry
		return err
	})
	return entry, err
}

func (n *Node) lookupHere(owner string) (cluster.Entry, error) {
	n.soft.mu.Lock()
	defer n.soft.mu.Unlock()
	return n.soft.manager.Lookup(owner)
}

// LocalEntry is Lookup at the manager itself: no routing, no trying again. It is false when this
// node does not manage the owner. An entry that would prove that something does not exist is
// confirmed first, as with Lookup: a manager that was stopped for a while must not refuse anybody
// for good (V1).
func (n *Node) LocalEntry(ctx context.Context, owner string) (cluster.Entry, bool) {
	e, err := n.lookupProven(ctx, owner)
	return e, err == nil
}

// Ask calls a service's method at the owner's manager, this node included. The method must be
// idempotent: it may be executed again when the manager changes. The answer is the caller's own.
func (n *Node) Ask(ctx context.Context, owner, method string, payload []byte) ([]byte, error) {
	var answer []byte
	err := n.route(ctx, method, owner, func(ctx context.Context, to cluster.Member) (err error) {
		if to.ID == n.cfg.Self.ID {
			answer, err = n.service(ctx, n.cfg.Self.ID, method, payload)
			return err
		}
		req := &call.ServiceRequest{Owner: owner, Method: method, Payload: payload}
		resp, err := n.call(ctx, to, &transport.Request{Method: call.MethodService, Payload: req.Marshal()})
		if err != nil {
			return err
		}
		answer = resp.Payload
		return nil
	})
	return answer, err
}

func (n *Node) service(ctx context.Context, from cluster.NodeID, method string, payload []byte) ([]byte, error) {
	f, ok := n.services[method]
	if !ok {
		return nil, cluster.Errorf(cluster.KindInvalid, method, "no such method: is this node of an older version?")
	}
	return f(ctx, from, payload)
}

// Owners lists the cached objects of a type in the whole cluster in order of owner, at most limit
// of them, beginning after an owner. KindUnavailable when a manager does not answer or does not
// know all of its buckets yet: a list is never silently partial.
func (n *Node) Owners(ctx context.Context, t cluster.ObjectType, after string, limit int) ([]cluster.CachedObject, error) {
	var all []cluster.CachedObject
	err := n.retry(ctx, "list "+string(t), func(ctx context.Context, v *cluster.View) error {
		all = all[:0]
		for _, m := range v.Members {
			err := n.ownersOf(ctx, m, t, func(o cluster.CachedObject) {
				if o.Object.ID.Owner > after {
					all = append(all, o)
				}
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b cluster.CachedObject) int {
		return cmp.Or(cmp.Compare(a.Object.ID.Owner, b.Object.ID.Owner), cmp.Compare(a.Object.ID.ID, b.Object.ID.ID))
	})
	return all[:min(limit, len(all))], nil
}

// ownersOf walks all cached objects of a type that one manager knows.
func (n *Node) ownersOf(ctx context.Context, m cluster.Member, t cluster.ObjectType, each func(cluster.CachedObject)) error {
	q := softstate.ListQuery{Type: t}
	for {
		page, err := n.ownersPage(ctx, m, q)
		if err != nil {
			return err
		}
		if page.Knowledge == cluster.Partial {
			return cluster.Errorf(cluster.KindUnavailable, "list "+string(t), "node %s does not know all of its buckets yet: try again in a moment", m.ID)
		}
		for _, o := range page.Objects {
			each(o)
		}
		if !page.More {
			return nil
		}
		q.After = page.Next
	}
}

func (n *Node) ownersPage(ctx context.Context, m cluster.Member, q softstate.ListQuery) (softstate.ListPage, error) {
	if m.ID == n.cfg.Self.ID {
		return n.listHere(q), nil
	}
	resp, err := n.call(ctx, m, &transport.Request{Method: call.MethodOwners, Payload: call.MarshalListQuery(q)})
	if err != nil {
		return softstate.ListPage{}, err
	}
	return call.UnmarshalListPage(resp.Payload)
}

func (n *Node) listHere(q softstate.ListQuery) softstate.ListPage {
	n.soft.mu.Lock()
	defer n.soft.mu.Unlock()
	return n.soft.manager.List(q)
}
