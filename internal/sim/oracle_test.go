package sim

import (
	"testing"
	"time"

	"porcupine/internal/cluster"
)

// TestD1_AnOlderCopyIsNotTheLastOne: a user was deleted while nodes were away that have an older version of him.
// They are written off, the deletion is complete and forgotten by those who had it, and then the disks of those that
// were away are lost: with them goes nothing that was promised. What is lost with a node that alone still has the
// deletion, not complete, is.
func TestD1_AnOlderCopyIsNotTheLastOne(t *testing.T) {
	for name, c := range map[string]struct {
		away   int  // nodes with the older version, the first of which is lost
		heard  bool // of the deletion
		broken bool
	}{
		"one was away":              {away: 1},
		"two were away":             {away: 2},
		"who has the deletion lost": {away: 1, heard: true, broken: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(Options{Seed: 1, Nodes: 4, Break: time.Minute, Quiet: true})
			w.draw()
			w.boot(w.opt.Nodes)
			lost := w.nodes[0]
			old := cluster.Object{
				ID:        cluster.ObjectID{Type: typeProfile, Owner: "u0@example.test", ID: profileID},
				Timestamp: cluster.Timestamp{Time: lost.wall().UnixNano(), Node: lost.id},
				Replicas:  cluster.NewReplicaSet(w.nodes[0].id, w.nodes[1].id), Copies: 2, Size: 1, Sum: sumOf("p"),
			}
			deleted := old
			deleted.Timestamp.Time++
			deleted.Deleted, deleted.Size, deleted.Sum = true, 0, [32]byte{}
			record := &cluster.Record{ID: old.ID, Timestamp: old.Timestamp, Replicas: old.Replicas, Targets: old.Replicas}
			for _, n := range w.nodes[:c.away] { // the record of the older version was never retired there
				n.disk.put(old.ID, &stored{object: old, contents: "p"}, record)
			}
			if c.heard {
				record := *record
				record.Timestamp, record.Deleted = deleted.Timestamp, true
				lost.disk.put(old.ID, &stored{object: deleted}, &record)
			}
			w.oracle.newest[old.ID] = deleted
			w.oracle.acked[old.ID] = promise{deleted.Timestamp, cluster.NewReplicaSet(w.nodes[2].id, w.nodes[3].id)}
			w.oracle.destroyed(lost)
			if f := w.check.failure; (f != nil) != c.broken {
				t.Errorf("D1 broken: %v, want %v", f, c.broken)
			}
			if now, ok := w.oracle.newest[old.ID]; !c.broken && (!ok || now.Timestamp != deleted.Timestamp) {
				t.Errorf("the oracle takes %+v for the newest, want the deletion", now)
			}
		})
	}
}
