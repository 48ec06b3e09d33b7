package imapproxy

import (
	"context"
	"io"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/survey"
)

const (
	liesMax   = 1024 // whereabouts that a session remembers
	liesAhead = 64   // that are asked for at once
	liesFew   = 256  // that come with summaries
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
	s.opens = true
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
