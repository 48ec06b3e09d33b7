package clustertest

import (
	"bytes"
	"crypto/sha256"

	"porcupine/internal/cluster"
)

// join is what the real store does with an update of a type that merges: if neither it nor the copy
// has all that the other has, then an update that has both takes the place of both, at this node, and
// its record brings it to the others. nil: newest wins. Preconditions: mu is held.
func (c *Cluster) join(id cluster.NodeID, old stored, have bool, u *cluster.Update, contents []byte) *record {
	merge := c.types[u.Object.ID.Type].Merge
	stays := u.Object.Replicas.Contains(id)
	if merge == nil || !have || old.object.Deleted || u.Object.Deleted || !stays || old.object.Timestamp == u.Object.Timestamp {
		return nil
	}
	newer, newest, oldest := u.Object, contents, old.contents
	if old.object.Timestamp.Compare(u.Object.Timestamp) > 0 {
		newer, newest, oldest = old.object, old.contents, contents
	}
	both, err := merge(newest, oldest)
	if err != nil || bytes.Equal(both, newest) {
		return nil
	}
	c.clock = max(c.clock, newer.Timestamp.Time)
	newer.Timestamp = c.now(id)
	newer.Size, newer.Sum = int64(len(both)), sha256.Sum256(both)
	newer.Replicas = newer.Replicas.Union(cluster.ReplicaSet{id})
	c.Node(id).objects[newer.ID] = stored{object: newer, contents: both}
	joined := cluster.Update{Object: newer, Previous: old.object.Replicas.Union(u.Targets())}
	return &record{update: joined, contents: both, targets: joined.Targets(), reached: cluster.ReplicaSet{id}}
}
