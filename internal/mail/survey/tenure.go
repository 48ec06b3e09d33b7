package survey

import (
	"slices"
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// SettleAfter is how long a member that has come, or come back, is taken for a newcomer: one whose
// disk may lack what was stored while it was away, and have what was deleted. The update records of
// the others tell it within moments.
const SettleAfter = 5 * time.Second

// tenure knows since when this node has seen each member's present stay. Newcomers are asked last,
// and what they alone show is not shown if a settled replica has it no more (R5).
type tenure struct {
	mu    sync.Mutex
	epoch cluster.Epoch
	stays map[cluster.NodeID]stay
}

type stay struct {
	since cluster.Epoch
	seen  time.Time // zero: it was there when this node first looked
}

// newcomers gives the members of the view that have come just now.
func (t *tenure) newcomers(v *cluster.View, now time.Time) (fresh cluster.ReplicaSet) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if v.Epoch != t.epoch {
		t.install(v, now)
	}
	for _, m := range v.Members {
		if s := t.stays[m.ID]; !s.seen.IsZero() && now.Sub(s.seen) < SettleAfter {
			fresh = append(fresh, m.ID)
		}
	}
	return fresh
}

func (t *tenure) install(v *cluster.View, now time.Time) {
	stays := make(map[cluster.NodeID]stay, len(v.Members))
	for _, m := range v.Members {
		s, known := t.stays[m.ID]
		if !known || s.since != m.Since {
			s = stay{since: m.Since}
			// Who was there before this node looked for the first time is settled.
			if t.stays != nil || m.Since == v.Epoch {
				s.seen = now
			}
		}
		stays[m.ID] = s
	}
	t.epoch, t.stays = v.Epoch, stays
}

// question is whom to ask for a user's mail.
type question struct {
	fragments []cluster.Placed // each with the holders that may be asked for it
	witnesses []cluster.NodeID // settled replicas of what newcomers alone hold: they know what was deleted
	newcomers cluster.ReplicaSet
}

// ask makes the question of an entry. A fragment without holders lies on nodes that are away: it is
// left out (Porcupine §3.6).
func ask(e *cluster.Entry, v *cluster.View, newcomers cluster.ReplicaSet) question {
	q := question{newcomers: newcomers}
	for _, f := range e.Fragments {
		if f.Type != mail.TypeMessage || len(f.Holders) == 0 {
			continue
		}
		settled := slices.DeleteFunc(slices.Clone(f.Holders), newcomers.Contains)
		if len(settled) > 0 {
			f.Holders = settled
		} else {
			for _, id := range f.Replicas.Without(newcomers) {
				if v.Contains(id) && !slices.Contains(q.witnesses, id) {
					q.witnesses = append(q.witnesses, id)
				}
			}
		}
		q.fragments = append(q.fragments, f)
	}
	return q
}

// hides reports a message that newcomers alone have listed, while a settled node of its replica set
// was asked and has it no more.
func (q *question) hides(m *Message, asked cluster.ReplicaSet) bool {
	for _, id := range m.Holders {
		if !q.newcomers.Contains(id) {
			return false
		}
	}
	return slices.ContainsFunc(asked.Without(q.newcomers), m.Nodes.Contains)
}
