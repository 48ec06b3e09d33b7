package node

import (
	"context"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/softstate"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire"
	"porcupine/internal/cluster/wire/call"
)

var _ transport.Host = (*Node)(nil)

// Handle executes a request that Admit let pass. The view may change while it runs. That matters to
// three methods, and each sees to itself: a push is admitted again by the manager of the soft
// state, a lookup and a service look again whether this node manages the owner.
func (n *Node) Handle(ctx context.Context, from cluster.NodeID, r *transport.Incoming) (*transport.Response, error) {
	switch r.Method {
	case call.MethodMembership:
		return n.handleMembership(ctx, from, r)
	case call.MethodPush:
		return n.handlePush(from, r)
	case call.MethodConfirm:
		return &transport.Response{}, nil // Admit has seen the epoch
	case call.MethodLookup:
		return n.handleLookup(ctx, r)
	case call.MethodApply:
		return n.handleApply(ctx, r)
	case call.MethodOffer:
		return n.handleOffer(ctx, r)
	case call.MethodRetire:
		return n.handleRetire(r)
	case call.MethodList:
		return n.handleList(r)
	case call.MethodOpen:
		return n.handleOpen(r)
	case call.MethodWhole:
		return n.handleWhole(ctx, r)
	case call.MethodRange:
		return n.handleRange(r)
	case call.MethodDerived:
		return n.handleDerived(ctx, r)
	case call.MethodPieces:
		return n.handlePieces(ctx, r)
	case call.MethodContents:
		return n.handleContents(r)
	case call.MethodService:
		return n.handleService(ctx, from, r)
	case call.MethodOwners:
		return n.handleOwners(r)
	case call.MethodStatus:
		status := n.selfStatus()
		return &transport.Response{Payload: status.Marshal()}, nil
	}
	// Not KindInvalid: once this node has been upgraded it may know the method.
	return nil, cluster.Errorf(cluster.KindUnavailable, r.Method, "no such method: is this node of an older version?")
}

func (n *Node) handleMembership(ctx context.Context, from cluster.NodeID, r *transport.Incoming) (*transport.Response, error) {
	m, err := wire.UnmarshalMessage(r.Payload)
	if err != nil {
		return nil, err
	}
	if m.From.ID != from {
		return nil, cluster.Errorf(cluster.KindDenied, "membership", "message of node %s from node %s", m.From.ID, from)
	}
	err = n.post(ctx, func(l *loop) {
		if !n.isOut() { // else it was too late
			l.obey(l.members.Step(l.now(), *m))
		}
	})
	if err != nil {
		return nil, err
	}
	return &transport.Response{}, nil
}

func (n *Node) handlePush(from cluster.NodeID, r *transport.Incoming) (*transport.Response, error) {
	var req call.PushRequest
	if err := req.Unmarshal(r.Payload); err != nil {
		return nil, err
	}
	p := &softstate.Push{From: from, Epoch: req.Epoch, Holdings: req.Holdings, Complete: req.Complete}
	if err := n.receive(p); err != nil {
		return nil, err
	}
	return &transport.Response{}, nil
}
