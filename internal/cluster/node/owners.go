package node

import (
	"context"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/softstate"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
)

// Limits of a listing of owners.
const (
	OwnersMax     = softstate.ListMax // cached objects that Owners gives at once
	ownersPageMax = 1 << 20           // bytes of one manager's page; one owner's objects may exceed it
	ownersPageMin = 16                // objects asked of each manager at least
)

// Owners lists the cached objects of a type in the whole cluster, the newest version of each and no
// tombstones, beginning after an owner: all objects of the owners listed, and of as many owners as
// it takes to reach limit (at most OwnersMax). None: there are no more. To go on, give the last
// object's owner.
//
// The order is the cluster's own, by bucket and by owner within: the same at every node and for
// ever, so that a listing can go on at another node and in another view. It is so because every
// manager has its owners in that order, and each bucket has one manager: the listing merges
// pages and holds one of each manager, whatever the size of the cluster's soft state.
//
// KindUnavailable when a manager does not answer or does not know all of its buckets yet: a
// list is never silently partial.
func (n *Node) Owners(ctx context.Context, t cluster.ObjectType, after string, limit int) ([]cluster.CachedObject, error) {
	op := "list owners of type " + string(t)
	if limit <= 0 || limit > OwnersMax {
		limit = OwnersMax
	}
	var cursor softstate.Cursor
	if after != "" {
		cursor = softstate.Cursor{Bucket: n.cfg.Cluster.BucketOf(after), Owner: after}
	}
	var list []cluster.CachedObject
	err := n.retry(ctx, op, func(ctx context.Context, v *cluster.View) (err error) {
		if len(v.Members) == 0 {
			return cluster.Errorf(cluster.KindUnavailable, op, "no view is installed yet")
		}
		m := &merge{n: n, op: op, view: v, query: softstate.ListQuery{Type: t, After: cursor,
			Max: min(limit, limit*5/4/len(v.Members)+ownersPageMin)}}
		list, err = m.run(ctx, limit)
		return err
	})
	return list, err
}

// merge brings the listings of all managers together.
type merge struct {
	n       *Node
	op      string
	view    *cluster.View
	query   softstate.ListQuery
	streams []*stream
}

// stream is one manager's listing.
type stream struct {
	from  cluster.Member
	after softstate.Cursor
	page  []cluster.CachedObject // read and not yet taken
	ended bool                   // there is no further page
}

func (m *merge) run(ctx context.Context, limit int) ([]cluster.CachedObject, error) {
	for _, member := range m.view.Members {
		m.streams = append(m.streams, &stream{from: member, after: m.query.After})
	}
	errs := make([]error, len(m.streams))
	inParallel(len(m.streams), func(i int) { errs[i] = m.fill(ctx, m.streams[i]) })
	if err := firstOf(errs); err != nil {
		return nil, err
	}
	var list []cluster.CachedObject
	for {
		s := m.first()
		if s == nil || len(list) >= limit && list[len(list)-1].Object.ID.Owner != s.page[0].Object.ID.Owner {
			return list, nil
		}
		list = append(list, s.page[0])
		s.page = s.page[1:]
		if err := m.fill(ctx, s); err != nil {
			return nil, err
		}
	}
}

// first gives the stream whose next object comes first; nil when all have ended.
func (m *merge) first() (first *stream) {
	var bucket cluster.Bucket
	for _, s := range m.streams {
		if len(s.page) == 0 {
			continue
		}
		if b := m.n.cfg.Cluster.BucketOf(s.page[0].Object.ID.Owner); first == nil || b < bucket {
			first, bucket = s, b
		}
	}
	return first
}

// fill reads the stream's next page if it has none. A page may be empty and not the last.
func (m *merge) fill(ctx context.Context, s *stream) error {
	for len(s.page) == 0 && !s.ended {
		q := m.query
		q.After = s.after
		page, err := m.n.ownersPage(ctx, s.from, q)
		switch {
		case err != nil:
			return err
		case page.Knowledge == cluster.Partial:
			return cluster.Errorf(cluster.KindUnavailable, m.op, "node %s does not know all of its buckets yet: try again in a moment", s.from.ID)
		case page.More && !isAfter(page.Next, s.after):
			return cluster.Errorf(cluster.KindInternal, m.op, "the listing of node %s does not go on", s.from.ID)
		}
		s.page, s.after, s.ended = page.Objects, page.Next, !page.More
	}
	return nil
}

func isAfter(c, d softstate.Cursor) bool {
	return c.Bucket > d.Bucket || c.Bucket == d.Bucket && c.Owner > d.Owner
}

func (n *Node) ownersPage(ctx context.Context, from cluster.Member, q softstate.ListQuery) (softstate.ListPage, error) {
	if from.ID == n.cfg.Self.ID {
		return n.listHere(q), nil
	}
	resp, err := n.call(ctx, from, &transport.Request{Method: call.MethodOwners, Payload: call.MarshalListQuery(q)})
	if err != nil {
		return softstate.ListPage{}, err
	}
	page, err := call.UnmarshalListPage(resp.Payload)
	if err != nil {
		return softstate.ListPage{}, malformed(call.MethodOwners, from.ID, err)
	}
	return page, nil
}

func (n *Node) handleOwners(r *transport.Incoming) (*transport.Response, error) {
	q, err := call.UnmarshalListQuery(r.Payload)
	if err != nil {
		return nil, err
	}
	page := n.listHere(q)
	return &transport.Response{Payload: call.MarshalListPage(&page)}, nil
}

func (n *Node) listHere(q softstate.ListQuery) softstate.ListPage {
	n.soft.mu.Lock()
	page := n.soft.manager.List(q)
	n.soft.mu.Unlock()
	n.cutPage(&page)
	return page
}

// cutPage ends a page between two owners when it gets too large to travel.
func (n *Node) cutPage(p *softstate.ListPage) {
	size := 0
	for i := range p.Objects {
		o := &p.Objects[i]
		size += len(o.Contents) + len(o.Object.Attr) + len(o.Object.ID.Owner) + len(o.Object.ID.ID) + objectOverhead
		if size <= ownersPageMax || i == 0 || p.Objects[i-1].Object.ID.Owner == o.Object.ID.Owner {
			continue
		}
		owner := p.Objects[i-1].Object.ID.Owner
		p.Objects, p.More = p.Objects[:i], true
		p.Next = softstate.Cursor{Bucket: n.cfg.Cluster.BucketOf(owner), Owner: owner}
		return
	}
}
