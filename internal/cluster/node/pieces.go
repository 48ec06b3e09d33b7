package node

import (
	"context"
	"fmt"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
)

// piecesPageBytes bounds an answer, about.
const piecesPageBytes = 1 << 20

// Pieces reads short stretches of the contents of one owner's objects of a type, as a node has them, with one call:
// of the first of pieces, in their order, at least one and as many as fit into one answer. Ask again for the rest.
// What is read is verified as by OpenRange. Of each piece the item says what is wrong with it. KindUnavailable when the
// node does not answer, or is of a version that cannot.
func (n *Node) Pieces(ctx context.Context, on cluster.NodeID, owner string, t cluster.ObjectType, pieces []cluster.Piece) ([]cluster.Derived, error) {
	if len(pieces) == 0 {
		return nil, nil
	}
	pieces = pieces[:min(len(pieces), call.PiecesMax)]
	for i := range pieces {
		if p := &pieces[i]; p.Offset < 0 || p.Length < 0 || p.Length > cluster.PieceSizeMax {
			return nil, cluster.Errorf(cluster.KindInvalid, "read pieces of "+owner, "%d bytes from byte %d, at most %d allowed", p.Length, p.Offset, cluster.PieceSizeMax)
		}
	}
	if on == n.cfg.Self.ID {
		return n.piecesHere(ctx, owner, t, pieces)
	}
	var answer call.PiecesAnswer
	req := &transport.Request{Method: call.MethodPieces, Payload: (&call.PiecesRequest{Owner: owner, Type: t, Pieces: pieces}).Marshal()}
	err := n.to(ctx, "read pieces of "+owner, on, func(ctx context.Context, to cluster.Member) error {
		resp, err := n.call(ctx, to, req)
		if err != nil {
			return err
		}
		answer = call.PiecesAnswer{}
		err = answer.Unmarshal(resp.Payload)
		if err == nil && len(answer.Items) > len(pieces) {
			err = fmt.Errorf("%d items for %d pieces", len(answer.Items), len(pieces))
		}
		if err != nil {
			return malformed(call.MethodPieces, to.ID, err)
		}
		return nil
	})
	return answer.Items, err
}

func (n *Node) piecesHere(ctx context.Context, owner string, t cluster.ObjectType, pieces []cluster.Piece) ([]cluster.Derived, error) {
	items, err := n.cfg.Store.Pieces(ctx, owner, t, pieces, piecesPageBytes)
	for i := range items {
		n.noteDamage(cluster.ObjectID{Type: t, Owner: owner, ID: pieces[i].ID}, items[i].Err)
	}
	return items, err
}

func (n *Node) handlePieces(ctx context.Context, r *transport.Incoming) (*transport.Response, error) {
	var req call.PiecesRequest
	if err := req.Unmarshal(r.Payload); err != nil {
		return nil, err
	}
	items, err := n.piecesHere(ctx, req.Owner, req.Type, req.Pieces)
	if err != nil {
		return nil, err
	}
	return &transport.Response{Payload: (&call.PiecesAnswer{Items: items}).Marshal()}, nil
}
