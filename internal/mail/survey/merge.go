package survey

import (
	"cmp"
	"slices"

	"porcupine/internal/cluster"
)

// merge makes one list of all, by id. Of two versions of a message the newer counts.
func (a *answer) merge(floor cluster.Timestamp) Listing {
	total := 0
	var asked cluster.ReplicaSet
	for _, l := range a.lists {
		total += len(l.objects)
		asked = asked.Union(cluster.ReplicaSet{l.node})
	}
	all := make([]Message, 0, total)
	for _, l := range a.lists {
		for i := range l.objects {
			o := &l.objects[i]
			if o.Deleted || o.Timestamp.Compare(floor) <= 0 {
				continue
			}
			all = append(all, Message{Object: *o, Holders: []cluster.NodeID{l.node}, Nodes: o.Replicas})
		}
	}
	slices.SortFunc(all, func(a, b Message) int {
		return cmp.Or(cmp.Compare(a.Object.ID.ID, b.Object.ID.ID), b.Object.Timestamp.Compare(a.Object.Timestamp),
			cmp.Compare(a.Holders[0], b.Holders[0]))
	})
	messages := all[:0]
	for _, m := range all {
		if n := len(messages); n > 0 && messages[n-1].Object.ID.ID == m.Object.ID.ID {
			messages[n-1].join(m)
			continue
		}
		messages = append(messages, m)
	}
	if len(a.question.newcomers) > 0 {
		messages = slices.DeleteFunc(messages, func(m Message) bool { return a.question.hides(&m, asked) })
	}
	return Listing{Messages: messages, Asked: asked.Without(a.question.newcomers)}
}

// join takes in another copy of the same message, not newer.
func (m *Message) join(o Message) {
	m.Holders = append(m.Holders, o.Holders...)
	m.Nodes = cluster.NewReplicaSet(slices.Concat(m.Nodes, o.Nodes, m.Holders)...)
}
