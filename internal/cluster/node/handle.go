package node

import (
	"context"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/softstate"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire"
	"porcupine/internal/cluster/wire/call"
)

var _ transport.Host = (*Node)(nil)

// Handle executes a request that Admit let pass.
func (n *Node) Handle(ctx context.Context, from cluster.NodeID, r *transport.Incoming) (*transport.Response, error) {
	switch r.Method {
	case call.MethodMembership:
		return n.handleMembership(from, r)
	case call.MethodPush:
		var req call.PushRequest
		if err := req.Unmarshal(r.Payload); err != nil {
			return nil, err
		}
		p := &softstate.Push{From: from, Epoch: req.Epoch, Holdings: req.Holdings, Complete: req.Complete}
		return &transport.Response{}, n.receive(p)
	case call.MethodConfirm:
		return &transport.Response{}, nil // Admit has seen the epoch
	case call.MethodLookup:
		return n.handleLookup(ctx, r)
	case call.MethodApply:
		return n.handleApply(ctx, r)
	case call.MethodList:
		return n.handleList(r)
	case call.MethodOpen:
		return n.handleOpen(r)
	case call.MethodService:
		return n.handleService(ctx, from, r)
	case call.MethodOwners:
		q, err := call.UnmarshalListQuery(r.Payload)
		if err != nil {
			return nil, err
		}
		page := n.listHere(q)
		return &transport.Response{Payload: call.MarshalListPage(&page)}, nil
	case call.MethodStatus:
		status := n.selfStatus()
		return &transport.Response{Payload: status.Marshal()}, nil
	}
	return nil, cluster.Errorf(cluster.KindInvalid, r.Method, "no such method: is this node of an older version?")
}

func (n *Node) handleMembership(from cluster.NodeID, r *transport.Incoming) (*transport.Response, error) {
	m, err := wire.UnmarshalMessage(r.Payload)
	if err != nil {
		return nil, err
	}
	if m.From.ID != from {
		return nil, cluster.Errorf(cluster.KindDenied, "membership", "message of node %s from node %s", m.From.ID, from)
	}
	n.post(func(l *loop) { l.obey(l.members.Step(l.now(), *m)) })
	return &transport.Response{}, nil
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

func (n *Node) handleApply(ctx context.Context, r *transport.Incoming) (*transport.Response, error) {
	var req call.ApplyRequest
	if err := req.Unmarshal(r.Payload); err != nil {
		return nil, err
	}
	if r.Body == nil {
		return &transport.Response{}, n.applyAll(ctx, req.Updates)
	}
	if len(req.Updates) != 1 {
		return nil, cluster.Errorf(cluster.KindInvalid, "apply", "%d updates with one body", len(req.Updates))
	}
	body, err := asBody(r)
	if err != nil {
		return nil, err
	}
	return &transport.Response{}, n.apply(ctx, req.Updates[0], body)
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
	first, _ := slices.BinarySearchFunc(objects, req.After, func(o cluster.Object, after string) int {
		if o.ID.ID <= after && after != "" {
			return -1
		}
		return 1
	})
	rest := objects[first:]
	k := min(len(rest), req.Max)
	return call.ListAnswer{Objects: rest[:k], More: k < len(rest)}
}

func (n *Node) handleOpen(r *transport.Incoming) (*transport.Response, error) {
	var req call.OpenRequest
	if err := req.Unmarshal(r.Payload); err != nil {
		return nil, err
	}
	object, body, err := n.cfg.Store.OpenBody(req.ID)
	if err != nil {
		return nil, err
	}
	return &transport.Response{Payload: (&call.OpenAnswer{Object: object}).Marshal(), Body: body, BodySize: object.Size}, nil
}

func (n *Node) handleService(ctx context.Context, from cluster.NodeID, r *transport.Incoming) (*transport.Response, error) {
	var req call.ServiceRequest
	if err := req.Unmarshal(r.Payload); err != nil {
		return nil, err
	}
	if n.View().Manager(n.cfg.Cluster.BucketOf(req.Owner)) != n.cfg.Self.ID {
		return nil, cluster.Errorf(cluster.KindStale, req.Method, "this node does not manage the owner")
	}
	answer, err := n.service(ctx, from, req.Method, req.Payload)
	if err != nil {
		return nil, err
	}
	return &transport.Response{Payload: answer}, nil
}
