package index

import (
	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/index/talk"
)

// answerKnown says what is known of messages that an import may have stored before.
func (s *state) answerKnown(q *talk.Question) *talk.Answer {
	a := &talk.Answer{}
	for _, id := range q.Messages {
		k := talk.KnownNot
		_, dead := s.dead[id]
		_, away := s.absent[id]
		switch m := s.messages[id]; {
		case dead:
			k = talk.KnownDead
		case m != nil && m.home.folder == q.Folder:
			k = talk.KnownHere
		case m != nil || away:
			k = talk.KnownElsewhere
		}
		a.Known = append(a.Known, k)
	}
	return a
}

// checkPlaced wants to know where each item lies: whoever asks says it, or was told that it is known here. It may have been
// another manager that said so.
func (s *state) checkPlaced(q *talk.Question) error {
	for i := range q.Items {
		o := &q.Items[i].Object
		id, err := mail.ParseMessageID(o.ID.ID)
		if err == nil && len(o.Replicas) == 0 && s.messages[id] == nil {
			return cluster.Errorf(cluster.KindUnavailable, "store mail of "+string(s.user), "message %s is not known here any more: try again in a moment", id)
		}
	}
	return nil
}

// isTwin reports whether an object may be the message stored a second time, by somebody who did not know of the first (D6): no
// node has heard of both. It is one message, and all that have a copy must hear of its deletion.
func (m *message) isTwin(o *cluster.Object) bool {
	both := m.place.nodes.Union(o.Replicas)
	return len(o.Replicas) > 0 && len(both) == len(m.place.nodes)+len(o.Replicas) && len(both) <= cluster.ReplicaSetMax
}

// withTwin gives where a message lies when its twin is known too: who has said it of the newer one, and the nodes of both. What has two
// versions may as well have been moved: then those that had the older one, and have it no more, prove nothing.
func (m *message) withTwin(o *cluster.Object, said, nodes cluster.ReplicaSet) (cluster.ReplicaSet, cluster.ReplicaSet) {
	if o.Timestamp.Compare(m.version) < 0 {
		said = m.place.said
	}
	return said, m.place.nodes.Union(nodes)
}

func latest(a, b cluster.Timestamp) cluster.Timestamp {
	if a.Compare(b) < 0 {
		return b
	}
	return a
}
