package node

import (
	"context"
	"fmt"
	"io"

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
	items := make([]cluster.Derived, 0, len(pieces))
	size := 0
	for i := range pieces {
		if err := ctx.Err(); err != nil {
			return nil, cluster.Errorf(cluster.KindUnavailable, "read pieces of "+owner, "%w", err)
		}
		p := &pieces[i]
		if size += int(p.Length); size > piecesPageBytes && i > 0 {
			break
		}
		var d cluster.Derived
		d.Data, d.Err = n.pieceHere(cluster.ObjectID{Type: t, Owner: owner, ID: p.ID}, p)
		items = append(items, d)
	}
	return items, nil
}

// pieceHere reads one piece; all of it, or it is an error.
func (n *Node) pieceHere(id cluster.ObjectID, p *cluster.Piece) ([]byte, error) {
	object, body, err := n.openRangeHere(id, p.Offset, p.Length)
	if err != nil {
		return nil, err
	}
	data := make([]byte, min(p.Length, max(object.Size-p.Offset, 0)))
	_, err = io.ReadFull(body, data)
	if closeErr := body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, cluster.Errorf(cluster.KindOf(err), "read a piece of "+id.Owner, "%w", err)
	}
	return data, nil
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
