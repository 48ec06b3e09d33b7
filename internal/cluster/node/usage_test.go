package node

import (
	"context"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

// Q1: what the manager says of counts and sizes follows the disk within a bounded time, also when
// a fragment only grows or shrinks, and status counts the cached objects it is told to.
func TestQ1_UsageFollowsTheDisk(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		const owner = "usage"
		on, asked := w.machines[1], w.machines[2]
		usage := func() (count, bytes int64) {
			for _, f := range asked.lookup(owner).Fragments {
				count, bytes = count+f.Count, bytes+f.Bytes
			}
			return count, bytes
		}
		check := func(when string, wantCount, wantBytes int64) {
			t.Helper()
			pass(2*UsagePeriod + time.Second)
			if count, bytes := usage(); count != wantCount || bytes != wantBytes {
				t.Errorf("%s: usage = %d objects, %d bytes; want %d, %d", when, count, bytes, wantCount, wantBytes)
			}
		}
		for _, id := range []string{"a", "b", "c"} {
			on.put(typeNote, owner, id, "four", on.id)
		}
		check("after three notes", 3, 12)
		gone := cluster.Update{
			Object:   cluster.Object{ID: cluster.ObjectID{Type: typeNote, Owner: owner, ID: "b"}, Deleted: true},
			Previous: cluster.NewReplicaSet(on.id),
		}
		for _, err := range on.node.UpdateAll(context.Background(), []cluster.Update{gone}) {
			if err != nil {
				t.Fatal(err)
			}
		}
		check("after a deletion", 2, 8)
	})
}
