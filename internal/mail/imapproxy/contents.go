package imapproxy

import (
	"context"
	"io"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/message"
	"porcupine/internal/mail/survey"
)

const (
	liesMax      = 1024 // whereabouts that a session remembers
	liesAhead    = 64   // that are asked for at once
	derivedBatch = 256  // structures asked of one node at once
)

// where gives the whereabouts of messages, page by page.
func (s *selected) where(ctx context.Context, uids mail.UIDSet, take func([]talk.Lie) error) error {
	ask := func(part mail.UIDSet) *talk.Question {
		q := s.question(talk.OpWhere)
		q.UIDs = part
		return q
	}
	return s.pages(ctx, uids.Intersect(s.known), false, ask, func(a *talk.Answer) error { return take(a.Lies) })
}

// lie gives where one message lies; again: what is remembered is wrong. The next ones are asked for along with it.
func (s *selected) lie(ctx context.Context, uid mail.UID, again bool) (talk.Lie, error) {
	if l, ok := s.lies[uid]; ok && !again {
		return l, nil
	}
	wanted := mail.NewUIDSet(uid)
	if !again {
		wanted = wanted.Union(first(s.known.Without(mail.UIDSet{{First: 1, Last: uid}}), liesAhead))
	}
	if err := s.locate(ctx, wanted); err != nil {
		return talk.Lie{}, err
	}
	l, ok := s.lies[uid]
	if !ok {
		return l, cluster.Errorf(cluster.KindNotFound, "find message", "UID %d of folder %s is gone, or lies on nodes that are away", uid, s.status.ID)
	}
	return l, nil
}

// first gives the first UIDs of a set, at most n.
func first(s mail.UIDSet, n int) (part mail.UIDSet) {
	for u := range s.All() {
		if n--; n < 0 {
			break
		}
		part.Append(u)
	}
	return part
}

// Open opens contents at a node that has them, or at another replica if its copy is gone or damaged, or, if that is
// no use either, where they lie by now.
func (s *selected) Open(ctx context.Context, uid mail.UID, offset, length int64) (io.ReadCloser, error) {
	if !s.known.Contains(uid) {
		return nil, cluster.Errorf(cluster.KindNotFound, "open message", "UID %d is not in the folder", uid)
	}
	if body := s.ahead(uid, offset, length); body != nil {
		return body, nil
	}
	ctx, done := s.m.begin(ctx)
	body, err := s.open(ctx, uid, offset, length)
	if err != nil {
		done()
		return nil, err
	}
	return &bodyOf{body, done}, nil
}

// bodyOf ends the call when it is closed.
type bodyOf struct {
	io.ReadCloser
	done func()
}

func (b *bodyOf) Close() error {
	err := b.ReadCloser.Close()
	b.done()
	return err
}

func (s *selected) open(ctx context.Context, uid mail.UID, offset, length int64) (io.ReadCloser, error) {
	r := survey.Reading{Op: "read mail of " + string(s.m.user), Logger: s.m.proxy.cfg.Logger}
	for _, again := range []bool{false, true} {
		l, err := s.lie(ctx, uid, again)
		if err != nil {
			return nil, err
		}
		body := r.Try(s.nearest(l.Nodes), func(node cluster.NodeID) (io.ReadCloser, error) {
			_, body, err := s.m.proxy.cluster.OpenRange(ctx, node, l.ID.Object(s.m.user), offset, length)
			return body, err
		})
		if body != nil {
			return body, nil
		}
		delete(s.lies, uid)
	}
	return nil, r.Err()
}

// openAt opens all contents of a message where it was said to lie.
func (s *selected) openAt(ctx context.Context, l *talk.Lie) (io.ReadCloser, error) {
	r := survey.Reading{Op: "read mail of " + string(s.m.user), Logger: s.m.proxy.cfg.Logger}
	body := r.Try(l.Nodes, func(node cluster.NodeID) (io.ReadCloser, error) {
		_, body, err := s.m.proxy.cluster.OpenRange(ctx, node, l.ID.Object(s.m.user), 0, -1)
		return body, err
	})
	if body == nil {
		return nil, r.Err()
	}
	return body, nil
}

// Structures asks the holders, each for many at once. What a node cannot derive another one may, and where none can, the
// message is read.
func (s *selected) Structures(ctx context.Context, uids mail.UIDSet, yield func(mail.UID, *message.Index) error) error {
	ctx, done := s.m.begin(ctx)
	defer done()
	return s.where(ctx, uids, func(ls []talk.Lie) error {
		s.remember(ls)
		for batch := range slices.Chunk(ls, derivedBatch) {
			found := s.derive(ctx, batch)
			for i := range batch {
				x := found[i]
				if x == nil && len(batch[i].Nodes) == 0 {
					continue // its summary says that it is away
				}
				if x == nil {
					var err error
					if x, err = s.build(ctx, &batch[i]); cluster.IsKind(err, cluster.KindNotFound) {
						continue // gone meanwhile
					} else if err != nil {
						return err
					}
				}
				if err := yield(batch[i].UID, x); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// derive asks for structures: each at the first of its nodes, then those that are missing at the second. What no node
// gives stays nil.
func (s *selected) derive(ctx context.Context, batch []talk.Lie) []*message.Index {
	found := make([]*message.Index, len(batch))
	for try := range cluster.ReplicaSetMax {
		groups := make(map[cluster.NodeID][]int)
		for i := range batch {
			if found[i] == nil && try < len(batch[i].Nodes) {
				node := batch[i].Nodes[try]
				groups[node] = append(groups[node], i)
			}
		}
		if len(groups) == 0 || ctx.Err() != nil {
			return found
		}
		for node, indexes := range groups {
			s.deriveAt(ctx, node, batch, indexes, found)
		}
	}
	return found
}

// deriveAt asks one node, until it has said something of each.
func (s *selected) deriveAt(ctx context.Context, node cluster.NodeID, batch []talk.Lie, indexes []int, found []*message.Index) {
	for len(indexes) > 0 {
		ids := make([]string, len(indexes))
		for k, i := range indexes {
			ids[k] = batch[i].ID.String()
		}
		answer, err := s.m.proxy.cluster.Derived(ctx, node, string(s.m.user), mail.TypeMessage, ids)
		if err != nil || len(answer) == 0 {
			s.m.proxy.cfg.Logger.Debug("structures not had from a node", "user", s.m.user, "node", node, "err", err)
			return
		}
		for k := range answer[:min(len(answer), len(indexes))] {
			if answer[k].Err != nil {
				continue
			}
			x, err := message.Parse(answer[k].Data)
			if err != nil {
				s.m.proxy.cfg.Logger.Warn("a structure cannot be read", "user", s.m.user, "id", ids[k], "node", node, "err", err)
				continue
			}
			found[indexes[k]] = x
		}
		indexes = indexes[min(len(answer), len(indexes)):]
	}
}

// build reads a message and finds out its structure here.
func (s *selected) build(ctx context.Context, l *talk.Lie) (*message.Index, error) {
	body, err := s.fetch(ctx, l)
	if err != nil {
		return nil, err
	}
	x, err := message.Build(body, body.Size())
	if closeErr := body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, cluster.Errorf(cluster.KindUnavailable, "find the structure of message "+l.ID.String(), "%w", err)
	}
	return x, nil
}
