package store

import (
	"bytes"
	"context"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// Pieces gives stretches of the contents of objects of one owner and type, in the order of pieces: as many of the first of
// them as fit into bytesMax, at least one. Each is cut at the end of the contents, and verified as OpenRange does. ctx is looked at between two.
// The error is of all; of one piece it is in its Derived. KindInvalid: a stretch that cannot be, or longer than cluster.PieceSizeMax.
func (s *Store) Pieces(ctx context.Context, owner string, t cluster.ObjectType, pieces []cluster.Piece, bytesMax int) ([]cluster.Derived, error) {
	name := "read pieces of " + string(t) + " objects of " + owner
	if err := s.enter(name); err != nil {
		return nil, err
	}
	defer s.gate.exit()
	spec, err := s.declared(name, owner, t)
	if err != nil {
		return nil, err
	}
	for i := range pieces {
		p := &pieces[i]
		if p.Offset < 0 || p.Length < 0 || p.Length > cluster.PieceSizeMax {
			return nil, cluster.Errorf(cluster.KindInvalid, name, "%d bytes from byte %d, at most %d allowed", p.Length, p.Offset, cluster.PieceSizeMax)
		}
		if bytesMax -= int(p.Length); bytesMax < 0 && i > 0 {
			pieces = pieces[:i]
			break
		}
	}
	all := make([]cluster.Derived, len(pieces))
	left, err := s.piecesTogether(ctx, &spec, owner, pieces, all)
	if err != nil {
		return nil, within(name, err)
	}
	for _, i := range left {
		if err := ctx.Err(); err != nil {
			return nil, cluster.Errorf(cluster.KindUnavailable, name, "%w", err)
		}
		all[i].Data, all[i].Err = s.piece(cluster.ObjectID{Type: t, Owner: owner, ID: pieces[i].ID}, &pieces[i])
	}
	return all, nil
}

// piecesTogether reads the pieces of small contents that lie by themselves and are whole, all as of one moment and in
// the order in which they lie. It gives the places of those that are left.
func (s *Store) piecesTogether(ctx context.Context, t *cluster.TypeSpec, owner string, pieces []cluster.Piece, all []cluster.Derived) (left []int, err error) {
	ids := make([]string, len(pieces))
	for i := range pieces {
		ids[i] = pieces[i].ID
	}
	err = s.together(t, owner, ids, layout.PrefixBody, all, func(it *pebble.Iterator, x *sought) error {
		if err := ctx.Err(); err != nil {
			return cluster.Errorf(cluster.KindUnavailable, "read", "%w", err)
		}
		data, ok := s.pieceAt(it, &x.record, &pieces[x.place])
		if !ok {
			left = append(left, x.place)
			return nil
		}
		all[x.place].Data = data
		return nil
	})
	return left, err
}

// pieceAt reads one piece; false: the contents are not small, or not whole, or the engine cannot read them.
func (s *Store) pieceAt(it *pebble.Iterator, r *layout.Record, p *cluster.Piece) ([]byte, bool) {
	if r.Chunked || r.Number == 0 || s.damaged.has(r.Number) {
		return nil, false
	}
	key := layout.AppendBodyKey(nil, r.Number)
	if !it.SeekGE(key) || !bytes.Equal(it.Key(), key) {
		return nil, false
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return nil, false
	}
	_, contents, err := layout.ParseBody(value)
	if err != nil || verifyContents(&r.Object, contents) != nil {
		return nil, false
	}
	from, to := cut(r.Object.Size, p.Offset, p.Length)
	return bytes.Clone(contents[from:to]), true
}

// piece reads one piece by itself, as whoever opens the object does: what is wrong with it is found out, counted and remembered.
func (s *Store) piece(id cluster.ObjectID, p *cluster.Piece) ([]byte, error) {
	o, body, err := s.OpenRange(id, p.Offset, p.Length)
	if err != nil {
		return nil, err
	}
	from, to := cut(o.Size, p.Offset, p.Length)
	data := make([]byte, to-from)
	_, err = io.ReadFull(body, data)
	if closeErr := body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, cluster.Errorf(cluster.KindOf(err), opName("read a piece of", id), "%w", err)
	}
	return data, nil
}
