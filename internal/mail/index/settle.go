package index

import (
	"context"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// hasSettled reports that the newcomers of the last listing have settled: what they say counts now.
func (s *state) hasSettled() bool {
	return !s.unsettled.IsZero() && len(s.x.survey.Newcomers()) == 0
}

// settleMissing buries the messages of the index that are not in a new listing and are proven to be gone.
func (s *state) settleMissing(ctx context.Context, e *cluster.Entry, missing []mail.MessageID) error {
	if len(missing) == 0 {
		return nil
	}
	gone, err := s.gone(ctx, e, missing, func(id mail.MessageID, answered cluster.ReplicaSet) bool {
		p := s.messages[id].place
		return answered.ContainsAll(p.nodes) || slices.ContainsFunc(p.said, answered.Contains)
	})
	if err != nil {
		return err
	}
	s.bury(gone...)
	if len(gone) < len(missing) && len(s.x.survey.Newcomers()) > 0 {
		s.b.missed() // in a moment what these say will count
	}
	return nil
}

// settleAbsent has the messages depart that ledgers know and that are nowhere: proven only if all nodes there
// are have been asked, and twice.
func (s *state) settleAbsent(ctx context.Context, e *cluster.Entry, sure bool) error {
	if len(s.absent) == 0 || !sure || !s.isWhole(e) {
		return nil
	}
	absent := make([]mail.MessageID, 0, len(s.absent))
	for id := range s.absent {
		absent = append(absent, id)
	}
	gone, err := s.gone(ctx, e, absent, func(mail.MessageID, cluster.ReplicaSet) bool { return true })
	if err != nil || !s.isWhole(e) {
		return err
	}
	for _, id := range gone {
		s.depart(s.absent[id].folder, id)
		delete(s.absent, id)
	}
	return nil
}

// isWhole reports that no node that may have mail is away or has just come back.
func (s *state) isWhole(e *cluster.Entry) bool {
	if e.Knowledge == cluster.Partial || s.x.cluster.KnownNodes() > len(s.x.cluster.View().Members) || len(s.x.survey.Newcomers()) > 0 {
		return false
	}
	return !slices.ContainsFunc(e.Fragments, func(f cluster.Placed) bool { return f.Type == mail.TypeMessage && len(f.Holders) == 0 })
}
