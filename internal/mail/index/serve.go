package index

import (
	"context"
	"errors"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/index/talk"
)

// serve answers at the manager.
func (x *Indexes) serve(ctx context.Context, from cluster.NodeID, payload []byte) ([]byte, error) {
	x.figures.questions.Add(1)
	q, err := talk.ParseQuestion(payload)
	if err != nil {
		return nil, err
	}
	if _, err := x.termOf(q.User); err != nil {
		return nil, err
	}
	answer, err := x.serveTurn(ctx, from, &q, len(payload))
	goOn := context.WithoutCancel(ctx) // what it has begun it finishes, if the client goes or not
	for turn := 1; errors.Is(err, errGoOn); turn++ {
		if turn == turnsMax {
			return nil, cluster.Errorf(cluster.KindUnavailable, "answer for "+string(q.User), "messages come as fast as they go: ask again")
		}
		answer, err = x.serveTurn(goOn, from, &q, len(payload))
	}
	return answer, err
}

// turnsMax is how many turns one question takes: the most messages that a user has (Config.MessagesMax), a page in each.
const turnsMax = 1_000

// errGoOn is the answer to a question that has done a part of its work, and does the rest in its next turn: whoever waits comes in between.
var errGoOn = errors.New("the rest is done in the next turn")

// serveTurn answers a question in one turn. errGoOn: in several.
func (x *Indexes) serveTurn(ctx context.Context, from cluster.NodeID, q *talk.Question, octets int) ([]byte, error) {
	b, err := x.enter(ctx, q.User, octets)
	if err != nil {
		if q.Op == talk.OpSync && cluster.IsKind(err, cluster.KindUnavailable) {
			// The session has missed nothing: it need not end, as it must when its folder cannot be followed any more (C1).
			return nil, cluster.Errorf(cluster.KindLimit, "follow the mail of "+string(q.User), "others have the turn, ask again: %w", err)
		}
		return nil, err
	}
	handed := false
	defer func() {
		if !handed {
			b.leave()
		}
	}()
	if q.Op == talk.OpWatch {
		return x.serveWatch(ctx, b, from, q.On)
	}
	b.placing = placing(q)
	var s *state
	s, handed, err = x.current(ctx, b)
	if handed {
		return nil, err
	}
	if err != nil {
		b.placing = nil
		return nil, err
	}
	defer b.settle(s)
	if isChange(q.Op) {
		if answer, ok := s.remembered(q.Request); ok {
			return answer, nil
		}
	}
	a, err := s.answer(ctx, q)
	if s.broken {
		b.state = nil
	}
	// A manager that has lost the bucket while it worked says nothing: what it wrote is in the ledgers, for the
	// next one to say.
	if now, termErr := x.termOf(q.User); termErr != nil || now.bucket != s.term.bucket {
		b.state = nil
		return nil, cluster.Errorf(cluster.KindUnavailable, "answer for "+string(q.User), "the user is being taken over by another manager")
	}
	if err != nil {
		return nil, err
	}
	answer := a.Marshal()
	if isChange(q.Op) && b.state != nil {
		s.remember(q.Request, answer)
	}
	return answer, nil
}

// placing are the messages that a question gives numbers to, in its order: the feed may have told of them before, in another.
func placing(q *talk.Question) map[mail.MessageID]bool {
	if q.Op != talk.OpPlaced || len(q.Items) == 0 {
		return nil
	}
	ids := make(map[mail.MessageID]bool, len(q.Items))
	for i := range q.Items {
		if id, err := mail.ParseMessageID(q.Items[i].Object.ID.ID); err == nil { // else it is refused later
			ids[id] = true
		}
	}
	return ids
}

// settle ends a question: what could not be placed is there all the same.
func (b *box) settle(s *state) {
	b.placing = nil
	s.arrive()
}

// current gives the index as it is now: built, or brought up to date. handed: it is still being built, and the turn is no more that of
// who asked, nor what hangs on it.
func (x *Indexes) current(ctx context.Context, b *box) (s *state, handed bool, err error) {
	t, err := x.termOf(b.user)
	if err != nil {
		b.state = nil
		return nil, false, err
	}
	if b.state != nil && b.state.term == t {
		err := b.state.refresh(ctx)
		if err == nil && !b.state.broken {
			return b.state, false, nil
		}
		if err != nil && !b.state.broken {
			return nil, false, err
		}
	}
	b.state = nil
	return x.await(ctx, b)
}

// serveWatch notes who wants to be told. What happened before is not told: the asking node has its sessions look. So it does if the answer
// says that something was missed since it asked before.
func (x *Indexes) serveWatch(ctx context.Context, b *box, from cluster.NodeID, on bool) ([]byte, error) {
	missed := x.watch(b, from, on)
	if !on {
		return (&talk.Answer{}).Marshal(), nil
	}
	if e, ok := x.cluster.LocalEntry(ctx, string(b.user)); ok && e.Knowledge != cluster.Partial {
		began, err := b.follow(ctx, holdersOf(&e))
		if err != nil {
			x.cfg.Logger.Debug("not followed at all holders, trying again", "user", b.user, "err", err)
		}
		if began || err != nil {
			b.missed()
		}
	}
	return (&talk.Answer{TTL: x.cfg.WatchFor, More: missed}).Marshal(), nil
}

func (s *state) answer(ctx context.Context, q *talk.Question) (*talk.Answer, error) {
	switch q.Op {
	case talk.OpFolders:
		return s.answerFolders(), nil
	case talk.OpCreate:
		return s.answerCreate(ctx, q)
	case talk.OpDelete:
		return s.answerDelete(ctx, q)
	case talk.OpRename:
		return s.answerRename(ctx, q)
	case talk.OpSubscribe:
		return s.answerSubscribe(ctx, q)
	case talk.OpStatus, talk.OpSelect:
		return s.answerSelect(ctx, q)
	case talk.OpUIDs:
		return s.answerUIDs(ctx, q)
	case talk.OpSync:
		return s.answerSync(ctx, q)
	case talk.OpSince:
		return s.answerSince(ctx, q)
	case talk.OpSummaries:
		return s.answerSummaries(ctx, q)
	case talk.OpWhere:
		return s.answerWhere(ctx, q)
	case talk.OpStore:
		return s.answerStore(ctx, q)
	case talk.OpMove:
		return s.answerMove(ctx, q)
	case talk.OpExpunge:
		return s.answerExpunge(ctx, q)
	case talk.OpFind:
		return s.answerFind(q)
	case talk.OpPlaced:
		if err := s.checkPlaced(q); err != nil {
			return nil, err
		}
		return s.answerPlaced(ctx, q)
	case talk.OpKnown:
		return s.answerKnown(q), nil
	case talk.OpWithin:
		return s.answerWithin(q)
	case talk.OpMetadata:
		return s.answerMetadata(q)
	case talk.OpSetMetadata:
		return s.answerSetMetadata(ctx, q)
	}
	return nil, errUnknown(q.Op)
}
