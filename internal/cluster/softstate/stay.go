package softstate

import "porcupine/internal/cluster"

// stayID names one stay: a member from its Since until it leaves the view. A reference belongs
// to a stay, not to a node, so what a node told before it was gone for a while is not taken for
// what it holds now. Small, since every reference carries one.
type stayID uint32

// stays numbers the stays that references belong to.
type stays struct {
	list    []stay
	current map[cluster.NodeID]stayID
	free    []stayID
}

type stay struct {
	node  cluster.NodeID
	since cluster.Epoch
	live  bool // the node is a member and this is its stay
	refs  int  // references that carry its id; the id is free when it has ended and they are gone
}

func newStays() stays { return stays{current: make(map[cluster.NodeID]stayID)} }

// install ends the stays that do not go on in v, and begins those that are new.
func (s *stays) install(v *cluster.View) (ended, begun []stayID) {
	for i := range s.list {
		old := &s.list[i]
		if !old.live {
			continue
		}
		if now, ok := v.Member(old.node); !ok || now.Since != old.since {
			old.live = false
			delete(s.current, old.node)
			ended = append(ended, stayID(i))
			s.release(stayID(i), 0)
		}
	}
	for _, m := range v.Members {
		if _, ok := s.current[m.ID]; !ok {
			begun = append(begun, s.begin(m))
		}
	}
	return ended, begun
}

func (s *stays) begin(m cluster.Member) stayID {
	var id stayID
	if n := len(s.free); n > 0 {
		id, s.free = s.free[n-1], s.free[:n-1]
	} else {
		id = stayID(len(s.list))
		s.list = append(s.list, stay{})
	}
	s.list[id] = stay{node: m.ID, since: m.Since, live: true}
	s.current[m.ID] = id
	return id
}

// release drops n references to a stay; an ended stay without references gives its id back.
func (s *stays) release(id stayID, n int) {
	st := &s.list[id]
	st.refs -= n
	if !st.live && st.refs == 0 {
		s.free = append(s.free, id)
	}
}

func (s *stays) retain(id stayID)                   { s.list[id].refs++ }
func (s *stays) live(id stayID) bool                { return s.list[id].live }
func (s *stays) node(id stayID) cluster.NodeID      { return s.list[id].node }
func (s *stays) of(n cluster.NodeID) (stayID, bool) { id, ok := s.current[n]; return id, ok }

// all lists the current stays, in order of the ids of stays.
func (s *stays) all() []stayID {
	ids := make([]stayID, 0, len(s.current))
	for i := range s.list {
		if s.list[i].live {
			ids = append(ids, stayID(i))
		}
	}
	return ids
}
