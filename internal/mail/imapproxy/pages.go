package imapproxy

import (
	"context"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/index/talk"
)

// pagesMax bounds the pages of one answer: more than any folder has.
const pagesMax = 10_000

// pages asks about sets of UIDs, as many at once as a question and an answer can hold, until all were dealt with.
// Each question is made anew. One that changes nothing is asked while the answer to the one before is dealt with.
func (s *selected) pages(ctx context.Context, set mail.UIDSet, change bool, ask func(mail.UIDSet) *talk.Question, take func(*talk.Answer) error) error {
	ctx, done := s.m.begin(ctx)
	defer done() // also to a question that nobody waits for any more
	put := s.m.ask
	if change {
		put = s.m.change
	}
	var asked <-chan answered // nil: nothing is on its way
	for range pagesMax {
		if len(set) == 0 {
			return nil
		}
		part := firstRanges(set)
		var a answered
		if asked != nil {
			a = <-asked
		} else {
			a.answer, a.err = put(ctx, ask(part))
		}
		if a.err != nil {
			return a.err
		}
		last, err := lastOf(&a.answer, part)
		if err != nil {
			return err
		}
		set, asked = set.Without(mail.UIDSet{{First: 1, Last: last}}), nil
		if len(set) > 0 && !change {
			asked = askAhead(ctx, put, ask(firstRanges(set)))
		}
		if err := take(&a.answer); err != nil {
			return err
		}
	}
	return cluster.Errorf(cluster.KindLimit, "ask for messages", "more than %d pages", pagesMax)
}

// answered is how a question ended.
type answered struct {
	answer talk.Answer
	err    error
}

// askAhead puts a question, and gives the answer when it is there.
func askAhead(ctx context.Context, put func(context.Context, *talk.Question) (talk.Answer, error), q *talk.Question) <-chan answered {
	c := make(chan answered, 1)
	go func() {
		var a answered
		a.answer, a.err = put(ctx, q)
		c <- a
	}()
	return c
}

// firstRanges gives as much of a set as a question holds.
func firstRanges(set mail.UIDSet) mail.UIDSet { return set[:min(len(set), talk.RangesMax)] }

// lastOf gives the last UID that an answer deals with.
func lastOf(a *talk.Answer, asked mail.UIDSet) (mail.UID, error) {
	last := asked[len(asked)-1].Last
	if !a.More {
		return last, nil
	}
	if a.Next == 0 || a.Next > last {
		return 0, cluster.Errorf(cluster.KindInternal, "ask for messages", "the manager's answer does not go on")
	}
	return a.Next, nil
}
