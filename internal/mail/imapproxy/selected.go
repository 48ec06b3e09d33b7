package imapproxy

import (
	"context"
	"math"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/index/talk"
)

// selected is an open folder.
type selected struct {
	m        *mailbox
	readOnly bool
	status   backend.Status
	mark     talk.Mark   // what the client has been shown
	known    mail.UIDSet // the messages that it has been shown
	lies     map[mail.UID]talk.Lie
	held     map[mail.UID][]held // what was read ahead
	opens    bool                // messages were opened since the last Summaries: so may be those of the next
	watcher  *watcher            // nil: none
}

var _ backend.Selected = (*selected)(nil)

func (s *selected) Status() backend.Status { return s.status }

func (s *selected) UIDs(context.Context) (mail.UIDSet, error) { return s.known, nil }

// question is a question about this folder, by a session that has shown that much of it.
func (s *selected) question(op talk.Op) *talk.Question {
	return &talk.Question{Op: op, Folder: s.status.ID, Mark: s.mark}
}

// Sync asks what has changed: a page of it, so that a session holds no more however many messages that are.
func (s *selected) Sync(ctx context.Context) (backend.Changes, error) {
	q := s.question(talk.OpSync)
	q.On = true
	a, err := s.m.ask(ctx, q)
	if err != nil {
		return backend.Changes{}, err
	}
	if len(a.UIDs) > 0 { // more has come or gone than can be told: what is there says it
		if a.UIDs, err = s.m.uids(ctx, s.status.ID, &a); err != nil {
			return backend.Changes{}, err
		}
		a.Arrived = a.UIDs.Intersect(mail.UIDSet{{First: max(s.mark.Next, 1), Last: math.MaxUint32}})
		a.Vanished = s.known.Without(a.UIDs)
	}
	c := backend.Changes{Vanished: a.Vanished.Intersect(s.known), Arrived: a.Arrived, Status: a.Status, More: a.More}
	left := s.known.Without(c.Vanished)
	for i := range a.Summaries {
		if left.Contains(a.Summaries[i].UID) {
			c.Changed = append(c.Changed, a.Summaries[i])
		}
	}
	for u := range c.Vanished.All() {
		delete(s.lies, u)
	}
	s.known = left.Union(c.Arrived)
	c.Status.Messages = s.known.Len()
	if c.More { // not all that has changed up to there is told
		c.Status.HighestModSeq = a.Mark.ModSeq
	}
	s.mark, s.status = a.Mark, c.Status
	return c, nil
}

// Since leaves out what the session will be told by Sync.
func (s *selected) Since(ctx context.Context, since mail.ModSeq, known mail.UIDSet) (backend.Changes, error) {
	c := backend.Changes{Status: s.status}
	q := s.question(talk.OpSince)
	q.ModSeq = since
	for range pagesMax {
		a, err := s.m.ask(ctx, q)
		if err != nil {
			return backend.Changes{}, err
		}
		gone := a.Vanished
		if known != nil {
			gone = gone.Intersect(known)
		}
		c.Vanished = c.Vanished.Union(gone.Without(s.known))
		for i := range a.Summaries {
			if s.known.Contains(a.Summaries[i].UID) {
				c.Changed = append(c.Changed, a.Summaries[i])
			}
		}
		if !a.More {
			return c, nil
		}
		if a.Next <= q.After {
			break
		}
		q.After = a.Next
	}
	return backend.Changes{}, cluster.Errorf(cluster.KindInternal, "resynchronise a folder", "the manager's answer does not go on")
}

// Summaries of few messages come with their whereabouts, if the client has been opening messages: the next thing that it needs is these.
func (s *selected) Summaries(ctx context.Context, uids mail.UIDSet, yield func(*mail.Summary) error) error {
	uids = uids.Intersect(s.known)
	lies := s.opens && uids.Len() <= liesFew
	s.opens = false
	ask := func(part mail.UIDSet) *talk.Question {
		q := s.question(talk.OpSummaries)
		q.UIDs, q.On = part, lies
		return q
	}
	return s.pages(ctx, uids, false, ask, func(a *talk.Answer) error {
		s.remember(a.Lies)
		for i := range a.Summaries {
			if err := yield(&a.Summaries[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *selected) Store(ctx context.Context, uids mail.UIDSet, change backend.FlagChange, unchangedSince mail.ModSeq) (done []mail.Summary, modified mail.UIDSet, err error) {
	if err := s.writable(); err != nil {
		return nil, nil, err
	}
	if len(change.Flags) > talk.FlagsMax {
		return nil, nil, cluster.Errorf(cluster.KindLimit, "store flags", "%d flags, at most %d allowed", len(change.Flags), talk.FlagsMax)
	}
	ask := func(part mail.UIDSet) *talk.Question {
		q := s.question(talk.OpStore)
		q.UIDs, q.FlagOp, q.Flags, q.ModSeq = part, change.Op, change.Flags, unchangedSince
		return q
	}
	err = s.pages(ctx, uids.Intersect(s.known), true, ask, func(a *talk.Answer) error {
		done = append(done, a.Summaries...)
		modified = modified.Union(a.Modified)
		return nil
	})
	return done, modified, err
}

func (s *selected) Move(ctx context.Context, uids mail.UIDSet, to string) (backend.Placed, error) {
	if err := s.writable(); err != nil {
		return backend.Placed{}, err
	}
	if err := checkName(to); err != nil {
		return backend.Placed{}, err
	}
	var p backend.Placed
	ask := func(part mail.UIDSet) *talk.Question {
		q := s.question(talk.OpMove)
		q.UIDs, q.To = part, to
		return q
	}
	err := s.pages(ctx, uids.Intersect(s.known), true, ask, func(a *talk.Answer) error {
		if a.Placed.UIDValidity != 0 {
			p.UIDValidity = a.Placed.UIDValidity
			p.From, p.To = append(p.From, a.Placed.From...), append(p.To, a.Placed.To...)
		}
		return nil
	})
	return p, err
}

func (s *selected) Expunge(ctx context.Context, uids mail.UIDSet) error {
	if err := s.writable(); err != nil {
		return err
	}
	among := s.known
	if uids != nil {
		among = uids.Intersect(s.known)
	}
	ask := func(part mail.UIDSet) *talk.Question {
		q := s.question(talk.OpExpunge)
		q.UIDs, q.On = part, true
		return q
	}
	return s.pages(ctx, among, true, ask, func(*talk.Answer) error { return nil })
}

func (s *selected) writable() error {
	if s.readOnly {
		return cluster.Errorf(cluster.KindDenied, "change a folder", "it was opened to be read only")
	}
	return nil
}

func (s *selected) Watch(notify func()) {
	s.m.proxy.watches.end(s.watcher)
	s.watcher = nil
	if notify != nil {
		id := s.status.ID // the watcher is called from other goroutines
		s.watcher = s.m.proxy.watches.begin(s.m.user, func(folders []mail.FolderID) {
			if len(folders) == 0 || slices.Contains(folders, id) {
				notify()
			}
		})
	}
}

func (s *selected) Close() error {
	s.Watch(nil)
	if s.m.selected == s {
		s.m.selected = nil
	}
	return nil
}
