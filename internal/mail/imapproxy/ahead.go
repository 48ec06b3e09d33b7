package imapproxy

import (
	"bytes"
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/index/talk"
)

// aheadWait bounds the reading ahead. What has not come by then is opened in the ordinary way.
const aheadWait = 5 * time.Second

// held is a piece of a message that was read ahead.
type held struct {
	offset int64
	data   []byte
}

// wanted is a piece to be read ahead, and where.
type wanted struct {
	uid   mail.UID
	piece cluster.Piece
	nodes []cluster.NodeID
	data  []byte
	have  bool
}

// Ahead reads the pieces where they lie, with one call for all that lie at a node, and keeps them for Open. It is a
// matter of time alone: what it does not get, for whatever reason, Open looks for, and it is Open that says what became
// of a message.
func (s *selected) Ahead(ctx context.Context, pieces []backend.Piece) {
	s.held = nil
	if pieces = bounded(pieces); len(pieces) == 0 {
		return
	}
	ctx, done := s.m.begin(ctx)
	defer done()
	ctx, cancel := context.WithTimeout(ctx, aheadWait)
	defer cancel()
	list, err := s.placed(ctx, pieces)
	if err != nil {
		s.m.proxy.cfg.Logger.Debug("messages are not read ahead", "user", s.m.user, "err", err)
		return
	}
	for try := range cluster.ReplicaSetMax {
		groups := make(map[cluster.NodeID][]*wanted)
		for i := range list {
			if w := &list[i]; !w.have && try < len(w.nodes) {
				groups[w.nodes[try]] = append(groups[w.nodes[try]], w)
			}
		}
		if len(groups) == 0 || ctx.Err() != nil {
			break
		}
		var group sync.WaitGroup
		for node, of := range groups {
			group.Go(func() { s.readAt(ctx, node, of) })
		}
		group.Wait()
	}
	s.held = make(map[mail.UID][]held, len(list))
	for i := range list {
		if w := &list[i]; w.have {
			s.held[w.uid] = append(s.held[w.uid], held{w.piece.Offset, w.data})
		}
	}
}

// bounded gives the first of the pieces that may be held together, without those that are too long.
func bounded(pieces []backend.Piece) (some []backend.Piece) {
	size := int64(0)
	for _, p := range pieces {
		if p.Offset < 0 || p.Length <= 0 || p.Length > backend.PieceSizeMax || slices.Contains(some, p) {
			continue
		}
		if size += p.Length; size > backend.AheadBytesMax || len(some) == backend.AheadPiecesMax {
			break
		}
		some = append(some, p)
	}
	return some
}

// placed finds out where the messages lie.
func (s *selected) placed(ctx context.Context, pieces []backend.Piece) ([]wanted, error) {
	s.opens = true
	var unknown []mail.UID
	for _, p := range pieces {
		if _, ok := s.lies[p.UID]; !ok {
			unknown = append(unknown, p.UID)
		}
	}
	if len(unknown) > 0 {
		if err := s.locate(ctx, mail.NewUIDSet(unknown...)); err != nil {
			return nil, err
		}
	}
	list := make([]wanted, 0, len(pieces))
	for _, p := range pieces {
		if l, ok := s.lies[p.UID]; ok && s.known.Contains(p.UID) {
			list = append(list, wanted{uid: p.UID, nodes: s.nearest(l.Nodes), piece: cluster.Piece{ID: l.ID.String(), Offset: p.Offset, Length: p.Length}})
		}
	}
	return list, nil
}

// locate finds out where messages lie, and remembers it.
func (s *selected) locate(ctx context.Context, uids mail.UIDSet) error {
	return s.where(ctx, uids, func(ls []talk.Lie) error {
		s.remember(ls)
		return nil
	})
}

// remember keeps whereabouts.
func (s *selected) remember(ls []talk.Lie) {
	if len(s.lies)+len(ls) > liesMax {
		clear(s.lies)
	}
	for _, l := range ls[:min(len(ls), liesMax)] {
		s.lies[l.UID] = l
	}
}

// nearest gives the nodes to ask in their order, but this one first: it is asked without a call.
func (s *selected) nearest(nodes []cluster.NodeID) []cluster.NodeID {
	i := slices.Index(nodes, s.m.proxy.cluster.ID())
	if i <= 0 {
		return nodes
	}
	return slices.Concat(nodes[i:i+1], nodes[:i], nodes[i+1:])
}

// readAt asks one node, until it has said something of each piece. It is the only one that has to do with these.
func (s *selected) readAt(ctx context.Context, node cluster.NodeID, list []*wanted) {
	for len(list) > 0 {
		pieces := make([]cluster.Piece, len(list))
		for i, w := range list {
			pieces[i] = w.piece
		}
		answer, err := s.m.proxy.cluster.Pieces(ctx, node, string(s.m.user), mail.TypeMessage, pieces)
		if err != nil || len(answer) == 0 || len(answer) > len(list) {
			s.m.proxy.cfg.Logger.Debug("messages not read ahead from a node", "user", s.m.user, "node", node, "err", err)
			return
		}
		for i := range answer {
			switch err := answer[i].Err; {
			case cluster.IsKind(err, cluster.KindCorrupt):
				s.m.proxy.cfg.Logger.Warn("a damaged copy of a message was passed over", "user", s.m.user, "id", pieces[i].ID, "node", node, "err", err)
			case err == nil && int64(len(answer[i].Data)) == pieces[i].Length: // what is shorter Open finds out about
				list[i].data, list[i].have = answer[i].Data, true
			}
		}
		list = list[len(answer):]
	}
}

// ahead gives what was read ahead of a message, if it is all of that.
func (s *selected) ahead(uid mail.UID, offset, length int64) io.ReadCloser {
	for _, h := range s.held[uid] {
		if from := offset - h.offset; from >= 0 && length >= 0 && length <= int64(len(h.data))-from {
			return io.NopCloser(bytes.NewReader(h.data[from : from+length]))
		}
	}
	return nil
}
