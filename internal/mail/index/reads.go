package index

import (
	"context"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/uidledger"
)

// status is a folder counted once, until it changes.
type status struct{ backend.Status }

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

// markOf is what a session that is told of this view has shown. Seen has the ledger's sums.
func markOf(v *uidledger.View) talk.Mark {
	return talkMark(v.Mark())
}

func talkMark(k uidledger.Mark) talk.Mark {
	var sums []byte
	for _, sum := range k.Sum {
		sums = binary.BigEndian.AppendUint64(sums, sum)
	}
	return talk.Mark{Validity: k.UIDValidity, Next: k.UIDNext, ModSeq: k.ModSeq, Seen: string(sums)}
}

func ledgerMark(m *talk.Mark) uidledger.Mark {
	k := uidledger.Mark{UIDValidity: m.Validity, UIDNext: m.Next, ModSeq: m.ModSeq}
	if len(m.Seen) == 8*len(k.Sum) {
		for i := range k.Sum {
			k.Sum[i] = binary.BigEndian.Uint64([]byte(m.Seen[8*i:]))
		}
	}
	return k
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
	f.status = &status{st}
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
func (p *page) takes(flags []mail.Flag) bool {
	p.count++
	p.bytes += summaryBytes
	for _, f := range flags {
		p.bytes += len(f) + 1
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
	a.UIDs, a.Next, a.More = cut(f.ledger.View().UIDs(), 0)
	return a, nil
}

// cut gives the part of a set that goes into one answer: above after. next is where to go on.
func cut(set mail.UIDSet, after mail.UID) (part mail.UIDSet, next mail.UID, more bool) {
	if after > 0 {
		set = set.Without(mail.UIDSet{{First: 1, Last: after}})
	}
	if len(set) <= talk.RangesMax {
		return set, 0, false
	}
	part = set[:talk.RangesMax]
	return part, part[len(part)-1].Last, true
}

// below gives the part of a set that a session whose client was told this UIDNEXT can know.
func below(set mail.UIDSet, next mail.UID) mail.UIDSet {
	if next <= 1 {
		return nil
	}
	return set.Intersect(mail.UIDSet{{First: 1, Last: next - 1}})
}

func (s *state) answerUIDs(ctx context.Context, q *talk.Question) (*talk.Answer, error) {
	f, err := s.reopen(ctx, q)
	if err != nil {
		return nil, err
	}
	a := &talk.Answer{}
	a.UIDs, a.Next, a.More = cut(below(f.ledger.View().UIDs(), q.Mark.Next), q.After)
	return a, nil
}

// answerSync gives what a session must be told to follow. If too many have changed for one answer, it
// is told of those that changed first, and asks again from there.
func (s *state) answerSync(ctx context.Context, q *talk.Question) (*talk.Answer, error) {
	f, err := s.reopen(ctx, q)
	if err != nil {
		return nil, err
	}
	v := f.ledger.View()
	a := &talk.Answer{Status: s.statusOf(f), Mark: markOf(v)}
	if a.Mark.Next == q.Mark.Next && a.Mark.ModSeq == q.Mark.ModSeq {
		return a, nil
	}
	a.Vanished = below(v.VanishedSince(q.Mark.ModSeq, nil), q.Mark.Next)
	if v.UIDNext() > q.Mark.Next {
		a.Arrived = v.UIDs().Intersect(mail.UIDSet{{First: max(q.Mark.Next, 1), Last: v.UIDNext() - 1}})
	}
	if len(a.Vanished) > talk.RangesMax || len(a.Arrived) > talk.RangesMax {
		return nil, cluster.Errorf(cluster.KindUnavailable, "follow folder "+f.id.String(), "more has changed than can be told: select it again")
	}
	var changed []uidledger.Entry
	v.ChangedSince(q.Mark.ModSeq, func(e *uidledger.Entry) bool {
		if e.UID < q.Mark.Next {
			changed = append(changed, *e)
		}
		return true
	})
	slices.SortFunc(changed, func(x, y uidledger.Entry) int { return compareModSeqs(x.ModSeq, y.ModSeq) })
	var p page
	for i := range changed {
		e := &changed[i]
		if !p.takes(e.Flags) && e.ModSeq > changed[i-1].ModSeq { // not between two of one number
			a.More, a.Mark = true, talkMark(v.MarkAt(v.UIDNext(), changed[i-1].ModSeq))
			break
		}
		a.Summaries = append(a.Summaries, s.summary(e))
	}
	slices.SortFunc(a.Summaries, func(x, y mail.Summary) int { return compareUIDs(x.UID, y.UID) })
	return a, nil
}

func compareModSeqs(a, b mail.ModSeq) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func compareUIDs(a, b mail.UID) int { return compareModSeqs(mail.ModSeq(a), mail.ModSeq(b)) }

// answerSince is the answer to a client that comes back with what it knew (QRESYNC, CHANGEDSINCE).
func (s *state) answerSince(ctx context.Context, q *talk.Question) (*talk.Answer, error) {
	f, err := s.reopen(ctx, q)
	if err != nil {
		return nil, err
	}
	v := f.ledger.View()
	if v.Behind(q.Mark.Validity, q.ModSeq, 0, nil) {
		return nil, cluster.Errorf(cluster.KindUnavailable, "resynchronise folder "+f.id.String(), "the client has seen a newer state than can be reached now")
	}
	a := &talk.Answer{Status: s.statusOf(f), Mark: markOf(v)}
	if q.After == 0 {
		a.Vanished = v.VanishedSince(q.ModSeq, nil)
		if len(a.Vanished) > talk.RangesMax { // the newest ones are lost: the client asks for the rest by their absence
			return nil, cluster.Errorf(cluster.KindUnavailable, "resynchronise folder "+f.id.String(), "more has vanished than can be told: read all anew")
		}
	}
	var p page
	v.ChangedSince(q.ModSeq, func(e *uidledger.Entry) bool {
		if e.UID <= q.After {
			return true
		}
		if !p.takes(e.Flags) {
			a.More = true
			return false
		}
		a.Next = e.UID
		a.Summaries = append(a.Summaries, s.summary(e))
		return true
	})
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
		if !p.takes(e.Flags) {
			a.More = true
			return false
		}
		a.Next = e.UID
		a.Summaries = append(a.Summaries, s.summary(e))
		return true
	})
	return a, nil
}

// lieBytes is what the nodes of a message take in an answer, about.
const lieBytes = 10 * 8

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
		m := s.messages[e.ID]
		if m == nil { // it is there, and no node is known that could be asked
			a.Lies = append(a.Lies, talk.Lie{UID: e.UID, ID: e.ID, Flags: e.Flags})
			return true
		}
		nodes := []cluster.NodeID(slices.Clone(m.place.said))
		for _, id := range m.place.nodes {
			if !slices.Contains(nodes, id) {
				nodes = append(nodes, id)
			}
		}
		a.Lies = append(a.Lies, talk.Lie{UID: e.UID, ID: e.ID, Email: m.email, Received: time.Unix(0, m.received).UTC(),
			Size: m.size, Flags: e.Flags, Nodes: nodes[:min(len(nodes), 2*cluster.ReplicaSetMax)]})
		return true
	})
	return a, nil
}
