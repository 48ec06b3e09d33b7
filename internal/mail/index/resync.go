package index

import (
	"cmp"
	"context"
	"math"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/uidledger"
)

// cut gives the part of a set that goes into one answer: above after. next is where to go on.
func (s *state) cut(set mail.UIDSet, after mail.UID) (part mail.UIDSet, next mail.UID, more bool) {
	if after > 0 {
		set = set.Without(mail.UIDSet{{First: 1, Last: after}})
	}
	if len(set) <= s.x.cfg.RangesMax {
		return set, 0, false
	}
	part = set[:s.x.cfg.RangesMax]
	return part, part[len(part)-1].Last, true
}

// below gives the part of a set that a session whose client was told this UIDNEXT can know.
func below(set mail.UIDSet, next mail.UID) mail.UIDSet {
	if next <= 1 {
		return nil
	}
	return set.Intersect(mail.UIDSet{{First: 1, Last: next - 1}})
}

// answerSync gives what a session must be told to follow. If too many have changed for one answer, it
// is told of those that changed first, and asks again from there. If too many came or went, it is told instead of all that
// are there, which can go on in further answers (OpUIDs): what goes meanwhile is missing there, and told again later. In pages
// of what has gone, what goes meanwhile would be missed, if its page was told already.
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
	if len(a.Vanished) > s.x.cfg.RangesMax || len(a.Arrived) > s.x.cfg.RangesMax {
		if !q.On {
			return nil, cluster.Errorf(cluster.KindUnavailable, "follow folder "+f.id.String(), "more has changed than can be told: select it again")
		}
		a.Vanished, a.Arrived = nil, nil
		if a.UIDs, a.Next, _ = s.cut(f.status.uids, 0); len(a.UIDs) == 0 {
			a.Vanished = below(mail.UIDSet{{First: 1, Last: math.MaxUint32}}, q.Mark.Next)
		}
	}
	var p page
	var last mail.ModSeq
	for _, c := range f.changedSince(q.Mark.ModSeq, a.Mark) {
		e, ok := v.Get(c.uid)
		if !ok || e.UID >= q.Mark.Next {
			continue
		}
		if !p.takes(e.Flags) && e.ModSeq > last { // not between two of one number
			a.More, a.Mark = true, talkMark(v.MarkAt(v.UIDNext(), last))
			break
		}
		a.Summaries, last = append(a.Summaries, s.summary(&e)), e.ModSeq
	}
	if !a.More {
		f.changes = nil
	}
	slices.SortFunc(a.Summaries, func(x, y mail.Summary) int { return cmp.Compare(x.UID, y.UID) })
	return a, nil
}

// changes are the messages of a folder that have changed since some number, in the order of their changes: for the pages of one
// answer, which would else be sorted for each.
type changes struct {
	at    talk.Mark // of the view
	since mail.ModSeq
	list  []change
}

type change struct {
	modseq mail.ModSeq
	uid    mail.UID
}

// cost is what they take, in bytes, about.
func (c *changes) cost() int64 {
	if c == nil {
		return 0
	}
	return int64(len(c.list)) * changeCost
}

// changeCost is what one change takes, in bytes.
const changeCost = 16

// changedSince gives the changes after a number, as of the folder's view, which has this mark.
func (f *folder) changedSince(since mail.ModSeq, at talk.Mark) []change {
	if f.changes == nil || f.changes.at != at || since < f.changes.since {
		f.changes = &changes{at: at, since: since}
		f.ledger.View().ChangedSince(since, func(e *uidledger.Entry) bool {
			f.changes.list = append(f.changes.list, change{e.ModSeq, e.UID})
			return true
		})
		slices.SortFunc(f.changes.list, func(x, y change) int {
			return cmp.Or(cmp.Compare(x.modseq, y.modseq), cmp.Compare(x.uid, y.uid))
		})
	}
	next, _ := slices.BinarySearchFunc(f.changes.list, since+1, func(c change, n mail.ModSeq) int { return cmp.Compare(c.modseq, n) })
	return f.changes.list[next:]
}

// answerSince is the answer to a client that comes back with what it knew (QRESYNC, CHANGEDSINCE): by UID, what has gone
// and what has changed, up to where the page of one of them ends.
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
	gone, upTo, more := s.cut(v.VanishedSince(q.ModSeq, nil), q.After)
	var p page
	v.ChangedSince(q.ModSeq, func(e *uidledger.Entry) bool {
		switch {
		case e.UID <= q.After:
			return true
		case more && e.UID > upTo:
			return false
		case !p.takes(e.Flags):
			more, upTo = true, a.Summaries[len(a.Summaries)-1].UID
			return false
		}
		a.Summaries = append(a.Summaries, s.summary(e))
		return true
	})
	if more {
		a.More, a.Next = true, upTo
		gone = gone.Intersect(mail.UIDSet{{First: 1, Last: upTo}})
	}
	a.Vanished = gone
	return a, nil
}
