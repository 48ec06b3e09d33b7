package imaptest

import (
	"bytes"
	"context"
	"io"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
	structure "porcupine/internal/mail/message"
)

// selected is an open folder.
type selected struct {
	b        *mailbox
	f        *folder
	uids     mail.UIDSet // the view
	status   backend.Status
	readOnly bool
	notify   func()
}

var _ backend.Selected = (*selected)(nil)

func (s *selected) Status() backend.Status { return s.status }

func (s *selected) do(method string, f func() (*folder, error)) error {
	return s.b.do("Selected."+method, f)
}

func (s *selected) UIDs(context.Context) (uids mail.UIDSet, err error) {
	err = s.do("UIDs", func() (*folder, error) { uids = slices.Clone(s.uids); return nil, nil })
	return uids, err
}

func (s *selected) Sync(context.Context) (c backend.Changes, err error) {
	err = s.do("Sync", func() (*folder, error) {
		now := s.f.uids()
		c.Vanished, c.Arrived = s.uids.Without(now), now.Without(s.uids)
		for _, m := range s.f.messages {
			if s.uids.Contains(m.uid) && m.modseq > s.status.HighestModSeq {
				c.Changed = append(c.Changed, m.summary())
			}
		}
		s.uids, s.status = now, s.f.status()
		c.Status = s.status
		return nil, nil
	})
	return c, err
}

func (s *selected) Since(_ context.Context, since mail.ModSeq, known mail.UIDSet) (c backend.Changes, err error) {
	err = s.do("Since", func() (*folder, error) {
		if since > s.f.modseq {
			return nil, cluster.Errorf(cluster.KindUnavailable, "look back", "the client has seen a newer state")
		}
		for _, m := range s.f.messages {
			if m.modseq > since && s.uids.Contains(m.uid) && (known == nil || known.Contains(m.uid)) {
				c.Changed = append(c.Changed, m.summary())
			}
		}
		var vanished []mail.UID
		for _, g := range s.f.gone {
			if g.modseq > since && (known == nil || known.Contains(g.uid)) {
				vanished = append(vanished, g.uid)
			}
		}
		c.Vanished, c.Status = mail.NewUIDSet(vanished...), s.status
		return nil, nil
	})
	return c, err
}

// some gives the messages of the view among those asked for.
func (s *selected) some(method string, uids mail.UIDSet) (found []*message, err error) {
	err = s.do(method, func() (*folder, error) {
		for _, r := range uids.Intersect(s.uids) {
			i, _ := s.f.find(r.First)
			for ; i < len(s.f.messages) && s.f.messages[i].uid <= r.Last; i++ {
				found = append(found, s.f.messages[i])
			}
		}
		return nil, nil
	})
	return found, err
}

func (s *selected) Summaries(_ context.Context, uids mail.UIDSet, yield func(*mail.Summary) error) error {
	found, err := s.some("Summaries", uids)
	if err != nil {
		return err
	}
	for _, m := range found {
		s.b.m.mu.Lock()
		sum := m.summary()
		s.b.m.mu.Unlock()
		if err := yield(&sum); err != nil {
			return err
		}
	}
	return nil
}

func (s *selected) Structures(_ context.Context, uids mail.UIDSet, yield func(mail.UID, *structure.Index) error) error {
	found, err := s.some("Structures", uids)
	if err != nil {
		return err
	}
	for _, m := range found {
		index, err := structure.Build(bytes.NewReader(m.body), int64(len(m.body)))
		if err != nil {
			return err
		}
		if err := yield(m.uid, index); err != nil {
			return err
		}
	}
	return nil
}

// Ahead does nothing: all is at hand.
func (s *selected) Ahead(context.Context, []backend.Piece) {}

func (s *selected) Open(_ context.Context, uid mail.UID, offset, length int64) (io.ReadCloser, error) {
	found, err := s.some("Open", mail.NewUIDSet(uid))
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, cluster.Errorf(cluster.KindNotFound, "open message", "UID %d is gone", uid)
	}
	body := found[0].body
	return io.NopCloser(bytes.NewReader(body[offset : offset+length])), nil
}

func (s *selected) Store(_ context.Context, uids mail.UIDSet, change backend.FlagChange, unchangedSince mail.ModSeq) (done []mail.Summary, modified mail.UIDSet, err error) {
	err = s.do("Store", func() (*folder, error) {
		for _, m := range s.f.messages {
			switch {
			case !uids.Contains(m.uid) || !s.uids.Contains(m.uid):
			case unchangedSince != 0 && m.modseq > unchangedSince:
				modified.Append(m.uid)
			default:
				s.f.change(m, change)
				done = append(done, m.summary())
			}
		}
		return s.f, nil
	})
	return done, modified, err
}

func (s *selected) place(method string, uids mail.UIDSet, to string, move bool) (p backend.Placed, err error) {
	err = s.do(method, func() (*folder, error) {
		dst := s.b.a.folders[to]
		if dst == nil {
			return nil, errGone(method, to)
		}
		p.UIDValidity = dst.uidValidity
		for _, m := range slices.Clone(s.f.messages) {
			if !uids.Contains(m.uid) || !s.uids.Contains(m.uid) {
				continue
			}
			c := s.b.m.add(dst, m.body, m.received, m.flags)
			c.email = m.email
			if move {
				c.id = m.id
			}
			p.From, p.To = append(p.From, m.uid), append(p.To, c.uid)
		}
		if move {
			s.f.remove(mail.NewUIDSet(p.From...))
		}
		return dst, nil
	})
	return p, err
}

func (s *selected) Copy(_ context.Context, uids mail.UIDSet, to string) (backend.Placed, error) {
	return s.place("Copy", uids, to, false)
}

func (s *selected) Move(_ context.Context, uids mail.UIDSet, to string) (backend.Placed, error) {
	return s.place("Move", uids, to, true)
}

func (s *selected) Expunge(_ context.Context, uids mail.UIDSet) error {
	return s.do("Expunge", func() (*folder, error) {
		var gone mail.UIDSet
		for _, m := range s.f.messages {
			if (uids == nil || uids.Contains(m.uid)) && s.uids.Contains(m.uid) && slices.Contains(m.flags, mail.FlagDeleted) {
				gone.Append(m.uid)
			}
		}
		s.f.remove(gone)
		return s.f, nil
	})
}

func (s *selected) Watch(notify func()) {
	s.b.m.mu.Lock()
	defer s.b.m.mu.Unlock()
	s.notify = notify
}

func (s *selected) Close() error {
	return s.do("Close", func() (*folder, error) {
		s.b.m.open--
		s.b.a.open = slices.DeleteFunc(s.b.a.open, func(x *selected) bool { return x == s })
		return nil, nil
	})
}
