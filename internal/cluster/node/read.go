package node

import (
	"context"
	"errors"
	"io"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
)

// Limits of a page of a listing.
const (
	listPageBytes  = 2 << 20 // about; well below transport.PayloadMax
	objectOverhead = 160     // bytes that an object takes beside its names and attributes, about
)

// List gives the objects of one owner and type that a node holds, ascending by id, without
// tombstones. It is not of one moment when it comes in several pages. KindUnavailable when the
// node does not answer.
func (n *Node) List(ctx context.Context, on cluster.NodeID, owner string, t cluster.ObjectType) ([]cluster.Object, error) {
	if on == n.cfg.Self.ID {
		return n.listObjects(owner, t)
	}
	var all []cluster.Object
	err := n.to(ctx, "list "+owner, on, func(ctx context.Context, to cluster.Member) error {
		all = nil
		for after := ""; ; {
			req := &call.ListRequest{Owner: owner, Type: t, After: after}
			resp, err := n.call(ctx, to, &transport.Request{Method: call.MethodList, Payload: req.Marshal()})
			if err != nil {
				return err
			}
			var page call.ListAnswer
			if err := page.Unmarshal(resp.Payload); err != nil {
				return malformed(call.MethodList, to.ID, err)
			}
			all = append(all, page.Objects...)
			if !page.More {
				return nil
			}
			if len(page.Objects) == 0 || page.Objects[len(page.Objects)-1].ID.ID <= after {
				return malformed(call.MethodList, to.ID, errors.New("the listing does not go on"))
			}
			after = page.Objects[len(page.Objects)-1].ID.ID
		}
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

func (n *Node) listObjects(owner string, t cluster.ObjectType) ([]cluster.Object, error) {
	objects, err := n.cfg.Store.List(owner, t)
	return slices.DeleteFunc(objects, func(o cluster.Object) bool { return o.Deleted }), err
}

func (n *Node) handleList(r *transport.Incoming) (*transport.Response, error) {
	var req call.ListRequest
	if err := req.Unmarshal(r.Payload); err != nil {
		return nil, err
	}
	objects, more, err := n.cfg.Store.ListPage(req.Owner, req.Type, req.After, req.Max, listPageBytes)
	if err != nil {
		return nil, err
	}
	return &transport.Response{Payload: (&call.ListAnswer{Objects: objects, More: more}).Marshal()}, nil
}

// Open gives an object and its contents from a node that holds it. The bytes are verified there;
// the caller closes the reader. KindNotFound when that node holds no such object, KindCorrupt when
// its copy is damaged, KindUnavailable when the node does not answer: another replica may have it.
func (n *Node) Open(ctx context.Context, on cluster.NodeID, id cluster.ObjectID) (cluster.Object, io.ReadCloser, error) {
	if on == n.cfg.Self.ID {
		return n.openHere(id)
	}
	req := &transport.Request{Method: call.MethodOpen, Payload: (&call.OpenRequest{ID: id}).Marshal(), Large: true}
	return n.openAt(ctx, on, id, req)
}

// openHere opens an object on this node's disk. Damage is reported to Config.OnDamaged, whenever it
// is found.
func (n *Node) openHere(id cluster.ObjectID) (cluster.Object, io.ReadCloser, error) {
	object, contents, err := n.cfg.Store.OpenBody(id)
	return n.watched(id, object, contents, err)
}

// watched reports damage of contents that were opened, now or while they are read.
func (n *Node) watched(id cluster.ObjectID, object cluster.Object, contents io.ReadCloser, err error) (cluster.Object, io.ReadCloser, error) {
	if err != nil {
		n.noteDamage(id, err)
		return object, contents, err
	}
	if object.Size > transport.InlineBodyMax && n.cfg.OnDamaged != nil { // smaller ones have been checked
		contents = &watchedBody{ReadCloser: contents, n: n, id: id}
	}
	return object, contents, nil
}

func (n *Node) noteDamage(id cluster.ObjectID, err error) {
	if cluster.IsKind(err, cluster.KindCorrupt) && n.cfg.OnDamaged != nil {
		n.cfg.OnDamaged(id)
	}
}

// watchedBody is contents that are checked while they are read.
type watchedBody struct {
	io.ReadCloser
	n  *Node
	id cluster.ObjectID
}

func (b *watchedBody) Read(p []byte) (int, error) {
	k, err := b.ReadCloser.Read(p)
	if err != nil {
		b.n.noteDamage(b.id, err)
	}
	return k, err
}

func (n *Node) handleOpen(r *transport.Incoming) (*transport.Response, error) {
	var req call.OpenRequest
	if err := req.Unmarshal(r.Payload); err != nil {
		return nil, err
	}
	object, body, err := n.openHere(req.ID)
	if err != nil {
		return nil, err
	}
	return &transport.Response{Payload: (&call.OpenAnswer{Object: object}).Marshal(), Body: body, BodySize: object.Size}, nil
}
