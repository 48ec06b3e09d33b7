package membership

import (
	"cmp"
	"encoding/binary"
	"hash/fnv"
	"maps"
	"slices"

	"porcupine/internal/cluster"
)

// contacts is the set of nodes ever met, without this one. It is a join of what nodes said of
// themselves: merging in any order, any number of times, gives the same set on every node. Of a
// struck node only that is kept, and its address.
type contacts struct {
	self    cluster.NodeID
	byID    map[cluster.NodeID]Contact
	removed int              // tombstones in byID
	struck  []cluster.NodeID // since the last flush
	dirty   bool             // changed since the last Persistent
}

func newContacts(self cluster.NodeID, list []Contact) contacts {
	s := contacts{self: self, byID: make(map[cluster.NodeID]Contact, len(list))}
	s.joinAll(list)
	s.dirty, s.struck = false, nil
	return s
}

// join takes what a third node passed on.
func (s *contacts) join(c Contact) {
	if c.ID == cluster.NoNode || c.ID == s.self || c.Addr == "" {
		return
	}
	old, ok := s.byID[c.ID]
	if !ok && len(s.byID) >= KnownMax {
		return
	}
	removed, life := c.Removed || old.Removed, c.Life.join(old.Life)
	switch {
	case ok && c.Heard.Less(old.Heard):
		c = old
	case ok && c.Heard == old.Heard:
		// Both are the node's words of one epoch; the order is lost. A Sole that may be true
		// counts as true.
		c.Sole = c.Sole || old.Sole
		if cmp.Or(cmp.Compare(old.Addr, c.Addr), cmp.Compare(old.Name, c.Name)) > 0 {
			c.Endpoint = old.Endpoint
		}
	}
	c.Removed, c.Life = removed, life
	c.Sole = c.Sole && !removed
	s.put(c)
}

func (s *contacts) joinAll(list []Contact) {
	for _, c := range list {
		s.join(c)
	}
}

// meet takes what a node said itself, while it had that epoch installed.
func (s *contacts) meet(e cluster.Endpoint, sole bool, installed cluster.Epoch) {
	if old, ok := s.byID[e.ID]; ok {
		if installed.Less(old.Heard) || old.Removed || old.Endpoint == e && old.Sole == sole {
			return // if only Heard would change: not worth a write for every message
		}
		s.put(Contact{Known: cluster.Known{Endpoint: e, Sole: sole}, Heard: installed, Life: old.Life})
		return
	}
	s.join(Contact{Known: cluster.Known{Endpoint: e, Sole: sole}, Heard: installed})
}

// hear notes how far a node's disk has come, if it is the process that a view told of. That alone is not
// worth a write: it becomes durable with the next thing that is.
func (s *contacts) hear(m Message) {
	if c, ok := s.byID[m.From.ID]; ok && c.Life.isProcess(m.Boot, m.Process) && c.Life.Durable < m.Durable {
		c.Life.Durable = m.Durable
		s.byID[c.ID] = c
	}
}

// install notes the members of a view that all of them take to be true.
func (s *contacts) install(v *cluster.View) {
	for _, m := range v.Members {
		if m.ID == s.self {
			continue
		}
		old, ok := s.byID[m.ID]
		if !ok && len(s.byID) >= KnownMax || v.Epoch.Less(old.Heard) || old.Removed {
			continue
		}
		s.put(Contact{Known: cluster.Known{Endpoint: m.Endpoint, Sole: old.Sole}, Heard: v.Epoch, Life: old.Life})
	}
}

// learn notes which processes take part in a view.
func (s *contacts) learn(v *cluster.View, lives []Life) {
	for i, l := range lives {
		if l.Boot > 0 {
			l.In = v.Epoch
			m := v.Members[i]
			s.join(Contact{Known: cluster.Known{Endpoint: m.Endpoint, Sole: s.byID[m.ID].Sole}, Heard: v.Epoch, Life: l})
		}
	}
}

// put stores a contact. Of too many tombstones it drops the one of the smallest epoch.
func (s *contacts) put(c Contact) {
	old := s.byID[c.ID]
	if old == c {
		return
	}
	if c.Removed && !old.Removed {
		if s.removed >= RemovedMax {
			first := s.firstRemoved()
			if c.compareAge(first) < 0 {
				return
			}
			delete(s.byID, first.ID)
			s.removed--
		}
		s.removed++
		s.struck = append(s.struck, c.ID)
	}
	s.byID[c.ID] = c
	s.dirty = true
}

// firstRemoved gives the tombstone of the smallest epoch.
func (s *contacts) firstRemoved() (first Contact) {
	for _, c := range s.byID {
		if c.Removed && (first.ID == cluster.NoNode || c.compareAge(first) < 0) {
			first = c
		}
	}
	return first
}

func (c Contact) compareAge(o Contact) int {
	return cmp.Or(c.Heard.Compare(o.Heard), cmp.Compare(c.ID, o.ID))
}

// list gives all contacts, tombstones included, ascending by id.
func (s *contacts) list() []Contact {
	out := make([]Contact, 0, len(s.byID))
	for _, id := range slices.Sorted(maps.Keys(s.byID)) {
		out = append(out, s.byID[id])
	}
	return out
}

// absent gives the contacts, tombstones included, that are not members of v, ascending by id.
func (s *contacts) absent(v *cluster.View) []Contact {
	var out []Contact
	for id, c := range s.byID {
		if !v.Contains(id) {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b Contact) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// digest condenses a list of contacts. Equal lists have equal digests; the reverse holds but for
// accidents of 1 in 2^64, which cost nothing but a later exchange.
func digest(list []Contact) uint64 {
	h := fnv.New64a()
	var b []byte
	for _, c := range list {
		b = binary.BigEndian.AppendUint64(b[:0], uint64(c.ID))
		b = binary.BigEndian.AppendUint64(b, c.Heard.Counter)
		b = binary.BigEndian.AppendUint64(b, uint64(c.Heard.Coordinator))
		for _, x := range [...]uint64{c.Life.Boot, c.Life.Process, c.Life.In.Counter, uint64(c.Life.In.Coordinator), c.Life.Durable, c.Life.Before} {
			b = binary.BigEndian.AppendUint64(b, x)
		}
		for _, flag := range []bool{c.Sole, c.Removed} {
			if flag {
				b = append(b, 1)
			} else {
				b = append(b, 0)
			}
		}
		b = append(append(append(append(b, c.Addr...), 0), c.Name...), 0)
		h.Write(b) // a hash.Hash never returns an error
	}
	return h.Sum64()
}
