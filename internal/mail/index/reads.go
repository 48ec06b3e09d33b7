package index

import (
	"context"
	"math"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/uidledger"
)

// status is a folder counted once, until it changes: SELECT is told of it.
type status struct {
	backend.Status
	uids mail.UIDSet // of all messages; never changed
}

// find gives the folder of a name, with all that is wanted of it shown.
func (s *state) find(ctx context.Context, name string) (*folder, error) {
	known, err := s.tree.Find(name)
	if err != nil {
		return nil, err
	}
	return s.shown(ctx, known.ID)
}

// shown gives an existing folder, with all that is wanted of it shown. Where UIDs have run out, the folder
// gets another UIDVALIDITY (L12).
func (s *state) shown(ctx context.Context, id mail.FolderID) (*folder, error) {
	known, ok := s.tree.Folder(id)
	if !ok {
		return nil, cluster.Errorf(cluster.KindNotFound, "open folder "+id.String(), "there is no such folder any more")
	}
	if err := s.closed(id); err != nil {
		return nil, err
	}
	f := s.folder(id)
	f.renew(s.validity(&known))
	err := s.reveal(ctx, f)
	if cluster.IsKind(err, cluster.KindLimit) {
		if known, err = s.bump(ctx, id, known.UIDValidity); err == nil {
			f.renew(s.greater(f, &known))
			err = s.reveal(ctx, f)
		}
	}
	if err != nil {
		s.broken = true // what can be reached may be other nodes by now
		return nil, err
	}
	return f, nil
}

// reopen gives a folder for a session that has shown a part of it, if its state is not behind that (C1, L13).
func (s *state) reopen(ctx context.Context, q *talk.Question) (*folder, error) {
	op := "go on with folder " + q.Folder.String() + " of " + string(s.user)
	f, err := s.shown(ctx, q.Folder)
	if err != nil {
		if cluster.IsKind(err, cluster.KindNotFound) {
			return nil, cluster.Errorf(cluster.KindUnavailable, op, "%w", err)
		}
		return nil, err
	}
	v := f.ledger.View()
	switch {
	case v.UIDValidity() != q.Mark.Validity:
		return nil, cluster.Errorf(cluster.KindUnavailable, op, "its UIDs are others now: select it again")
	case !v.Continues(ledgerMark(&q.Mark)):
		return nil, cluster.Errorf(cluster.KindUnavailable, op, "what the client has seen cannot be reached now")
	}
	return f, nil
}

// statusOf counts a folder.
func (s *state) statusOf(f *folder) backend.Status {
	if f.status != nil {
		return f.status.Status
	}
	v := f.ledger.View()
	st := backend.Status{ID: f.id, UIDNext: v.UIDNext(), UIDValidity: v.UIDValidity(), HighestModSeq: v.HighestModSeq()}
	keywords := make(map[mail.Flag]struct{})
	v.Range(1, math.MaxUint32, func(e *uidledger.Entry) bool {
		st.Messages++
		if m := s.messages[e.ID]; m != nil {
			st.Size += m.size
		}
		seen := false
		for _, fl := range e.Flags {
			switch fl {
			case mail.FlagSeen:
				seen = true
			case mail.FlagDeleted:
				st.Deleted++
			case mail.FlagAnswered, mail.FlagFlagged, mail.FlagDraft:
			default:
				keywords[fl] = struct{}{}
			}
		}
		if !seen {
			if st.Unseen++; st.FirstUnseen == 0 {
				st.FirstUnseen = e.UID
			}
		}
		return true
	})
	for k := range keywords {
		st.Keywords = append(st.Keywords, k)
	}
	slices.Sort(st.Keywords)
	st.Keywords = st.Keywords[:min(len(st.Keywords), talk.KeywordsMax)]
	f.status = &status{st, v.UIDs()}
	return st
}

// summary gives what is known of a message. Of one that lies where nobody can be asked now that is what the ledger says
// (mail.Summary.IsAway).
func (s *state) summary(e *uidledger.Entry) mail.Summary {
	m := s.messages[e.ID]
	if m == nil {
		return mail.Summary{UID: e.UID, ID: e.ID, Flags: e.Flags, ModSeq: e.ModSeq, Saved: time.Unix(0, e.Stay.Time).UTC(), Size: -1}
	}
	return mail.Summary{UID: e.UID, ID: e.ID, Email: m.email, Flags: e.Flags, ModSeq: e.ModSeq,
		Received: time.Unix(0, m.received).UTC(), Saved: time.Unix(0, e.Stay.Time).UTC(), Size: m.size}
}

// summaryBytes is what a summary takes in an answer, about, beside its flags.
const summaryBytes = 80

// page counts what goes into one answer.
type page struct{ count, bytes int }

// takes reports whether one more with these flags goes in.
func (p *page) takes(flags ...[]mail.Flag) bool {
	p.count++
	p.bytes += summaryBytes
	for _, some := range flags {
		for _, f := range some {
			p.bytes += len(f) + 1
		}
	}
	return p.count <= talk.PageMax && p.bytes <= talk.PageBytes
}

// each goes through the messages of a set that are in the view, until yield gives false.
func each(v *uidledger.View, set mail.UIDSet, yield func(*uidledger.Entry) bool) {
	for _, r := range set {
		more := true
		v.Range(r.First, r.Last, func(e *uidledger.Entry) bool {
			more = yield(e)
			return more
		})
		if !more {
			return
		}
	}
}

func (s *state) answerSelect(ctx context.Context, q *talk.Question) (*talk.Answer, error) {
	f, err := s.find(ctx, q.Name)
	if err != nil {
		return nil, err
	}
	a := &talk.Answer{Status: s.statusOf(f), Mark: markOf(f.ledger.View())}
	if q.Op == talk.OpStatus {
		return a, nil
	}
	a.UIDs, a.Next, a.More = s.cut(f.status.uids, 0) // as of the status
	return a, nil
}

func (s *state) answerUIDs(ctx context.Context, q *talk.Question) (*talk.Answer, error) {
	f, err := s.reopen(ctx, q)
	if err != nil {
		return nil, err
	}
	a := &talk.Answer{}
	a.UIDs, a.Next, a.More = s.cut(below(f.ledger.View().UIDs(), q.Mark.Next), q.After)
	return a, nil
}

func (s *state) answerSummaries(ctx context.Context, q *talk.Question) (*talk.Answer, error) {
	f, err := s.reopen(ctx, q)
	if err != nil {
		return nil, err
	}
	a := &talk.Answer{}
	var p page
	each(f.ledger.View(), below(q.UIDs, q.Mark.Next), func(e *uidledger.Entry) bool {
		if q.On {
			p.bytes += lieBytes
		}
		if !p.takes(e.Flags) {
			a.More = true
			return false
		}
		a.Next = e.UID
		a.Summaries = append(a.Summaries, s.summary(e))
		if q.On {
			a.Lies = append(a.Lies, s.lie(e))
		}
		return true
	})
	return a, nil
}

// lieBytes is what the whereabouts of a message take in an answer, about, beside its flags and what a summary has.
const lieBytes = 10 * 8

// lie says where a message lies. Without nodes: it is there, and no node is known that could be asked.
func (s *state) lie(e *uidledger.Entry) talk.Lie {
	m := s.messages[e.ID]
	if m == nil {
		return talk.Lie{UID: e.UID, ID: e.ID, Flags: e.Flags}
	}
	nodes := []cluster.NodeID(slices.Clone(m.place.said))
	for _, id := range m.place.nodes {
		if !slices.Contains(nodes, id) {
			nodes = append(nodes, id)
		}
	}
	return talk.Lie{UID: e.UID, ID: e.ID, Email: m.email, Received: time.Unix(0, m.received).UTC(),
		Size: m.size, Flags: e.Flags, Nodes: nodes[:min(len(nodes), 2*cluster.ReplicaSetMax)]}
}

func (s *state) answerWhere(ctx context.Context, q *talk.Question) (*talk.Answer, error) {
	f, err := s.reopen(ctx, q)
	if err != nil {
		return nil, err
	}
	a := &talk.Answer{}
	var p page
	each(f.ledger.View(), below(q.UIDs, q.Mark.Next), func(e *uidledger.Entry) bool {
		if p.bytes += lieBytes; !p.takes(e.Flags) {
			a.More = true
			return false
		}
		a.Next = e.UID
		a.Lies = append(a.Lies, s.lie(e))
		return true
	})
	return a, nil
}
