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

// List gives the objects of one owner and type that a node holds, ascending by id, without
// tombstones. KindUnavailable when the node does not answer.
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
				return err
			}
			all = append(all, page.Objects...)
			if !page.More || len(page.Objects) == 0 {
				return nil
			}
			after = page.Objects[len(page.Objects)-1].ID.ID
		}
	})
	return all, err
}

func (n *Node) listObjects(owner string, t cluster.ObjectType) ([]cluster.Object, error) {
	objects, err := n.cfg.Store.List(owner, t)
	return slices.DeleteFunc(objects, func(o cluster.Object) bool { return o.Deleted }), err
}

// Open gives an object and its contents from a node that holds it. The bytes are verified there;
// the caller closes the reader. KindNotFound when that node holds no such object, KindCorrupt when
// its copy is damaged, KindUnavailable when the node does not answer.
func (n *Node) Open(ctx context.Context, on cluster.NodeID, id cluster.ObjectID) (cluster.Object, io.ReadCloser, error) {
	if on == n.cfg.Self.ID {
		return n.cfg.Store.OpenBody(id)
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
		if err := answer.Unmarshal(resp.Payload); err != nil {
			return errors.Join(err, resp.Body.Close())
		}
		object, body = answer.Object, resp.Body
		return nil
	})
	return object, body, err
}
