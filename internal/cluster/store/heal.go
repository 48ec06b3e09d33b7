package store

import (
	"context"

	"porcupine/internal/cluster"
)

// Heal replaces the contents of an object, which are damaged, by those of another replica, durably. o
// must be what this node holds, by timestamp, replica set, size and checksum: KindNotFound if it is
// not there any more, KindStale if another version is. Body as in Apply. KindCorrupt: the damage is
// in the record itself; then the owner's bucket cannot be read, and the node must be replaced.
func (s *Store) Heal(ctx context.Context, o cluster.Object, body cluster.Body) error {
	const name = "heal object"
	if err := s.enter(name); err != nil {
		return err
	}
	defer s.gate.exit()
	u := cluster.Update{Object: o}
	if o.Deleted || body == nil && o.Size > 0 {
		return cluster.Errorf(cluster.KindInvalid, opName(name, o.ID), "there are no contents")
	}
	if err := s.admit(&u, body); err != nil {
		return within(opName(name, o.ID), err)
	}
	if !o.Replicas.Contains(s.format.Node) {
		return cluster.Errorf(cluster.KindInvalid, opName(name, o.ID), "this node is not in its replica set %v", o.Replicas)
	}
	if err := s.takePlaceFor(ctx, name, &u, body); err != nil {
		return err
	}
	p := s.newOp(name, 1)
	p.heal = true
	if err := s.stage(ctx, &p.updates[0], &u, body); err != nil {
		if !p.updates[0].adopted {
			s.leavePlace(p)
		}
		return within(opName(name, o.ID), err)
	}
	return s.commit(ctx, p, nil)
}

// heal writes the contents anew, under a new number, and removes the damaged ones. Counts, headers
// and update records stay as they are.
func (c *committer) heal(st *staged) error {
	old, err := c.record(st)
	if err != nil {
		return err
	}
	switch {
	case old == nil || old.Object.Deleted:
		return cluster.Errorf(cluster.KindNotFound, "look up", "this node does not hold it any more")
	case old.Object.Timestamp != st.object.Timestamp || old.Object.Size != st.object.Size || old.Object.Sum != st.object.Sum ||
		!old.Object.Replicas.Equal(st.object.Replicas):
		return cluster.Errorf(cluster.KindStale, "look up", "this node holds another version, of %v", old.Object.Timestamp)
	}
	c.sync = true
	c.must(c.removeContents(old))
	c.must(c.write(st, old))
	c.s.count.healed.Add(1)
	return nil
}
