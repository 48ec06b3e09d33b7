package node

import (
	"context"
	"errors"
	"fmt"
	"io"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
)

// Limits of pages, in bytes, about; well below transport.PayloadMax.
const (
	derivedPageBytes  = 1 << 20
	contentsPageBytes = 384 << 10
)

// OpenRange is Open for a part of the contents: length bytes from offset on, cut at their end; a negative
// length means all the rest. Of large contents only what is needed is read there, and verified chunk
// by chunk. KindInvalid: the offset is negative.
func (n *Node) OpenRange(ctx context.Context, on cluster.NodeID, id cluster.ObjectID, offset, length int64) (cluster.Object, io.ReadCloser, error) {
	if offset < 0 {
		return cluster.Object{}, nil, cluster.Errorf(cluster.KindInvalid, "open "+id.Owner, "from byte %d", offset)
	}
	if on == n.cfg.Self.ID {
		return n.openRangeHere(id, offset, length)
	}
	req := &transport.Request{
		Method: call.MethodRange, Payload: (&call.RangeRequest{ID: id, Offset: offset, Length: length}).Marshal(),
		Large: length < 0 || length > transport.InlineBodyMax,
	}
	return n.openAt(ctx, on, id, req)
}

// openAt sends a request whose answer is an object, and contents of it.
func (n *Node) openAt(ctx context.Context, on cluster.NodeID, id cluster.ObjectID, req *transport.Request) (object cluster.Object, body io.ReadCloser, err error) {
	err = n.to(ctx, "open "+id.Owner, on, func(ctx context.Context, to cluster.Member) error {
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
			return malformed(req.Method, to.ID, err)
		}
		object, body = answer.Object, resp.Body
		return nil
	})
	return object, body, err
}

func (n *Node) openRangeHere(id cluster.ObjectID, offset, length int64) (cluster.Object, io.ReadCloser, error) {
	object, contents, err := n.cfg.Store.OpenRange(id, offset, length)
	return n.watched(id, object, contents, err)
}

func (n *Node) handleRange(r *transport.Incoming) (*transport.Response, error) {
	var req call.RangeRequest
	if err := req.Unmarshal(r.Payload); err != nil {
		return nil, err
	}
	object, body, err := n.openRangeHere(req.ID, req.Offset, req.Length)
	if err != nil {
		return nil, err
	}
	size := max(object.Size-req.Offset, 0)
	if req.Length >= 0 {
		size = min(size, req.Length)
	}
	return &transport.Response{Payload: (&call.OpenAnswer{Object: object}).Marshal(), Body: body, BodySize: size}, nil
}

// Derived gives what is derived (cluster.TypeSpec.Derive) from objects of one owner and type, as a node that
// holds them has it: of the first of ids, in their order, at least one and as many as fit into one
// answer. Ask again for the rest. Of each object the item says what is wrong with it. KindInvalid: nothing is
// derived from that type; KindUnavailable when the node does not answer.
func (n *Node) Derived(ctx context.Context, on cluster.NodeID, owner string, t cluster.ObjectType, ids []string) ([]cluster.Derived, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	ids = ids[:min(len(ids), call.DerivedMax)]
	if on == n.cfg.Self.ID {
		return n.derivedHere(ctx, owner, t, ids)
	}
	var answer call.DerivedAnswer
	req := &transport.Request{Method: call.MethodDerived, Payload: (&call.DerivedRequest{Owner: owner, Type: t, IDs: ids}).Marshal()}
	err := n.to(ctx, "read derived data of "+owner, on, func(ctx context.Context, to cluster.Member) error {
		resp, err := n.call(ctx, to, req)
		if err != nil {
			return err
		}
		answer = call.DerivedAnswer{}
		err = answer.Unmarshal(resp.Payload)
		if err == nil && len(answer.Items) > len(ids) {
			err = fmt.Errorf("%d items for %d ids", len(answer.Items), len(ids))
		}
		if err != nil {
			return malformed(call.MethodDerived, to.ID, err)
		}
		return nil
	})
	return answer.Items, err
}

func (n *Node) derivedHere(ctx context.Context, owner string, t cluster.ObjectType, ids []string) ([]cluster.Derived, error) {
	items, err := n.cfg.Store.Derived(ctx, owner, t, ids, derivedPageBytes)
	for i := range items {
		n.noteDamage(cluster.ObjectID{Type: t, Owner: owner, ID: ids[i]}, items[i].Err)
	}
	return items, err
}

func (n *Node) handleDerived(ctx context.Context, r *transport.Incoming) (*transport.Response, error) {
	var req call.DerivedRequest
	if err := req.Unmarshal(r.Payload); err != nil {
		return nil, err
	}
	items, err := n.derivedHere(ctx, req.Owner, req.Type, req.IDs)
	if err != nil {
		return nil, err
	}
	return &transport.Response{Payload: (&call.DerivedAnswer{Items: items}).Marshal()}, nil
}

// Contents gives a page of an owner's objects of an inline type (cluster.TypeSpec.Inline) with their contents,
// as a node has them: ascending by id, those after an id ("": from the first on), without tombstones. more:
// go on with the id of the last one. Of a copy that is damaged its item says so. The listing is not of one moment
// when it comes in several pages. KindInvalid: the type is not inline; KindUnavailable when the node
// does not answer.
func (n *Node) Contents(ctx context.Context, on cluster.NodeID, owner string, t cluster.ObjectType, after string) (page []cluster.Copy, more bool, err error) {
	if on == n.cfg.Self.ID {
		return n.contentsHere(owner, t, after)
	}
	var answer call.ContentsAnswer
	req := &transport.Request{Method: call.MethodContents, Payload: (&call.ContentsRequest{Owner: owner, Type: t, After: after}).Marshal()}
	err = n.to(ctx, "read contents of "+owner, on, func(ctx context.Context, to cluster.Member) error {
		resp, err := n.call(ctx, to, req)
		if err != nil {
			return err
		}
		answer = call.ContentsAnswer{}
		if err = answer.Unmarshal(resp.Payload); err == nil {
			err = checkCopies(&answer, after)
		}
		if err != nil {
			return malformed(call.MethodContents, to.ID, err)
		}
		return nil
	})
	return answer.Copies, answer.More, err
}

// checkCopies refuses a page after which the next one would begin where this one did.
func checkCopies(a *call.ContentsAnswer, after string) error {
	for i := range a.Copies {
		if id := a.Copies[i].Object.ID.ID; id < after || id == after && after != "" {
			return errors.New("the page is not in order")
		}
		after = a.Copies[i].Object.ID.ID
	}
	if a.More && (len(a.Copies) == 0 || after == "") {
		return errors.New("the page does not go on")
	}
	return nil
}

func (n *Node) contentsHere(owner string, t cluster.ObjectType, after string) ([]cluster.Copy, bool, error) {
	list, more, err := n.cfg.Store.Contents(owner, t, after, call.ContentsMax, contentsPageBytes)
	for i := range list {
		n.noteDamage(list[i].Object.ID, list[i].Err)
	}
	return list, more, err
}

func (n *Node) handleContents(r *transport.Incoming) (*transport.Response, error) {
	var req call.ContentsRequest
	if err := req.Unmarshal(r.Payload); err != nil {
		return nil, err
	}
	list, more, err := n.contentsHere(req.Owner, req.Type, req.After)
	if err != nil {
		return nil, err
	}
	return &transport.Response{Payload: (&call.ContentsAnswer{Copies: list, More: more}).Marshal()}, nil
}
