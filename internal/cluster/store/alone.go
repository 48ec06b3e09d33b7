package store

import (
	"cmp"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/store/internal/layout"
)

// alone are the cached objects that may lie on this node alone, though their replica sets name others
// (replication.Decision.Alone). It is in memory only: a store that is opened takes every copy whose update
// record propagates for one of them.
type alone map[cluster.ObjectID]struct{}

// totals is the state of the store, and how many objects are alone. Both change at one moment: the
// node says that it holds the only copy of something as long as either says so (V1).
type totals struct {
	layout.State
	alone int
}

// findAlone finds the objects that may lie here alone when the store is opened. What a record that
// cannot be read may have said is lost; then this node counts as a sole holder until it is opened again.
func (s *Store) findAlone() alone {
	found := alone{}
	var damaged error
	lower, upper := layout.Bounds(layout.PrefixUpdate)
	err := s.each(s.db, lower, upper, func(key, value []byte) error {
		r, err := parseUpdate(key, value)
		if err != nil {
			damaged = cmp.Or(damaged, err)
			return nil
		}
		if s.types[r.ID.Type].Cached && r.Retired == 0 && !r.Deleted && len(r.Replicas) > 1 && r.Replicas.Contains(s.format.Node) {
			found[r.ID] = struct{}{}
		}
		return nil
	})
	if err := cmp.Or(err, damaged); err != nil {
		s.cfg.Logger.Error("store: not all update records can be read; run the store's verify command", "dir", s.cfg.Dir, "err", err)
		found[cluster.ObjectID{}] = struct{}{} // no object has that id, so it stays
	}
	return found
}

// noteAlone keeps what a decision that changed something says of a cached object.
func (c *committer) noteAlone(st *staged, d *replication.Decision) {
	switch {
	case !st.cached || !d.Changed:
	case d.Alone:
		c.alone[st.object.ID] = struct{}{}
	default:
		delete(c.alone, st.object.ID)
	}
}

// isAlone tells what replication.State.Alone says of an object.
func (c *committer) isAlone(id cluster.ObjectID) bool {
	_, ok := c.alone[id]
	return ok
}
