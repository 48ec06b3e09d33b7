package node

import (
	"context"
	"errors"
	"io"
	"slices"
	"sort"

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
	objects, err := n.listObjects(req.Owner, req.Type)
	if err != nil {
		return nil, err
	}
	answer := pageOf(objects, &req)
	return &transport.Response{Payload: answer.Marshal()}, nil
}

// pageOf cuts the page that a request asks for out of a whole listing.
func pageOf(objects []cluster.Object, req *call.ListRequest) call.ListAnswer {
	first := 0
	if req.After != "" {
		first = sort.Search(len(objects), func(i int) bool { return objects[i].ID.ID > req.After })
	}
	rest := objects[first:]
	k, size := 0, 0
	for k < min(len(rest), req.Max) {
		size += len(rest[k].ID.ID) + len(rest[k].Attr) + objectOverhead
		if size > listPageBytes && k > 1 { // one could be the empty id, after which nothing begins
			break
		}
		k++
	}
	return call.ListAnswer{Objects: rest[:k], More: k < len(rest)}
}

// Open gives an object and its contents from a node that holds it. The bytes are verified there;
// the caller closes the reader. KindNotFound when that node holds no such object, KindCorrupt when
// its copy is damaged, KindUnavailable when the node does not answer: another replica may have it.
func (n *Node) Open(ctx context.Context, on cluster.NodeID, id cluster.ObjectID) (cluster.Object, io.ReadCloser, error) {
	if on == n.cfg.Self.ID {
		return n.openHere(id)
	}
	var object cluster.Object
	var body io.ReadCloser
	err := n.to(ctx, "open "+id.Owner, on, func(ctx context.Context, to cluster.Member) error {
		req := &transport.Request{Method: call.MethodOpen, Payload: (&call.OpenRequest{ID: id}).Marshal(), Large: true}
		resp, err := n.call(ctx, to, req)
		if err != nil {
			return err
		}
		var answer call.OpenAnswer
		err = answer.Unmarshal(resp.Payload)
		if err == nil && resp.Body == nil {
			err = errors.New("it has no contents")
		}
		if err != nil {
			if resp.Body != nil {
				err = errors.Join(err, resp.Body.Close())
			}
			return malformed(call.MethodOpen, to.ID, err)
		}
		object, body = answer.Object, resp.Body
		return nil
	})
	return object, body, err
}

// openHere opens an object on this node's disk. Damage is reported to Config.OnDamaged, whenever it
// is found.
func (n *Node) openHere(id cluster.ObjectID) (cluster.Object, io.ReadCloser, error) {
	object, contents, err := n.cfg.Store.OpenBody(id)
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
