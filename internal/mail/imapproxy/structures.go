package imapproxy

import (
	"context"
	"sync"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/message"
)

// derivedBatch is how many structures are asked for at once. Two batches are held: that which is dealt with, and the next.
const derivedBatch = 256

// Structures asks the holders, each for many at once, for the next ones while those before are dealt with. What a node
// cannot derive another one may, and where none can, the message is read.
func (s *selected) Structures(ctx context.Context, uids mail.UIDSet, yield func(mail.UID, *message.Index) error) error {
	ctx, done := s.m.begin(ctx)
	defer done()
	return s.where(ctx, uids, func(ls []talk.Lie) error {
		s.remember(ls)
		next := s.deriveAhead(ctx, ls)
		for len(ls) > 0 {
			batch, found := ls[:min(len(ls), derivedBatch)], <-next
			ls = ls[len(batch):]
			next = s.deriveAhead(ctx, ls)
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

// deriveAhead asks for the structures of the first batch of messages, and gives them when they are there.
func (s *selected) deriveAhead(ctx context.Context, ls []talk.Lie) <-chan []*message.Index {
	if len(ls) == 0 {
		return nil
	}
	c := make(chan []*message.Index, 1)
	batch := ls[:min(len(ls), derivedBatch)]
	go func() { c <- s.derive(ctx, batch) }()
	return c
}

// derive asks for structures: each at the nearest of its nodes, then those that are missing at the next one. What no node
// gives stays nil.
func (s *selected) derive(ctx context.Context, batch []talk.Lie) []*message.Index {
	found := make([]*message.Index, len(batch))
	nodes := make([][]cluster.NodeID, len(batch))
	for i := range batch {
		nodes[i] = s.nearest(batch[i].Nodes)
	}
	for try := range cluster.ReplicaSetMax {
		groups := make(map[cluster.NodeID][]int)
		for i := range batch {
			if found[i] == nil && try < len(nodes[i]) {
				groups[nodes[i][try]] = append(groups[nodes[i][try]], i)
			}
		}
		if len(groups) == 0 || ctx.Err() != nil {
			return found
		}
		var asking sync.WaitGroup
		for node, indexes := range groups {
			asking.Go(func() { s.deriveAt(ctx, node, batch, indexes, found) })
		}
		asking.Wait()
	}
	return found
}

// deriveAt asks one node, until it has said something of each. It is the only one that has to do with these.
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
