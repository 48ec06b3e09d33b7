package upkeep_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/upkeep"
)

// slowly is a cluster that repairs one object a second: what it has of them stands for millions.
func slowly(t *testing.T, nodes int) *world {
	const month = 30 * 24 * time.Hour
	return boot(t, nodes, upkeep.Config{ScrubEvery: month, CompareEvery: month, RepairRate: 1, Copies: map[cluster.ObjectType]int{typeNote: 2}})
}

// ends gives two owners, of an early bucket and of a late one: a pass goes from the first to the last.
func ends() (early, late string) {
	early, late = "owner-0", "owner-0"
	for i := range 200 {
		name := fmt.Sprintf("owner-%d", i)
		if b := testCluster.BucketOf(name); b < testCluster.BucketOf(early) {
			early = name
		} else if b > testCluster.BucketOf(late) {
			late = name
		}
	}
	return early, late
}

// R6: while what one lost node had is being repaired, which takes long, a second one is lost. What has one copy now does not
// wait until all of the first one's is done.
func TestR6_ASecondNodeIsLostDuringALongRepair(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := slowly(t, 5)
		a, b, c, d, e := w.machines[0], w.machines[1], w.machines[2], w.machines[3], w.machines[4]
		early, late := ends()
		for i := range 2000 {
			w.put(typeNote, late, fmt.Sprintf("note-%d", i), 2, a.id, c.id)
		}
		id := w.put(typeNote, early, "other", 2, a.id, d.id) // the first of the next pass
		pass(t, 30*time.Second)
		c.kill()
		w.settle(a, b, d, e)
		pass(t, 3*time.Minute)
		d.kill()
		w.settle(a, b, e)
		began := time.Now()
		copies := func() (n int) {
			for _, m := range []*machine{a, b, e} {
				if _, err := m.store.Get(id); err == nil {
					n++
				}
			}
			return n
		}
		for copies() < 2 && time.Since(began) < time.Hour {
			if pending := a.up.Status().Repair.Pending; pending == 0 {
				t.Fatalf("nothing is pending %v after the second node was lost", time.Since(began))
			}
			pass(t, time.Second)
		}
		if took := time.Since(began); took > 5*time.Minute {
			t.Errorf("what the second lost node had was copied after %v", took)
		}
	})
}

// V1: nodes that had a card are lost and removed, and repair takes longer than softstate.RepairTime. Then the node with the only copy
// that was left goes away. Cards were copied before all else, so there is another: nobody says that there is none.
func TestV1_RepairTakesLongerThanRepairTime(t *testing.T) {
	for lost := 1; lost <= 2; lost++ {
		t.Run(fmt.Sprint(lost, " lost"), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := slowly(t, 3+lost)
				a, b, gone, rest := w.machines[0], w.machines[1], w.machines[2:2+lost], w.machines[2+lost:]
				left := append([]*machine{b}, rest...)
				early, late := ends()
				for i := range 1000 {
					w.put(typeNote, early, fmt.Sprintf("note-%d", i), 2, a.id, gone[0].id)
				}
				holders := []cluster.NodeID{a.id}
				for _, m := range gone {
					holders = append(holders, m.id)
				}
				w.put(typeCard, late, "card", len(holders), holders...)
				pass(t, 30*time.Second)
				for i, m := range gone {
					m.kill()
					w.settle(append(append([]*machine{a}, left...), gone[i+1:]...)...)
				}
				for _, m := range gone {
					if err := a.node.Forget(context.Background(), m.id); err != nil {
						t.Fatal(err)
					}
				}
				pass(t, 11*time.Minute)
				a.kill()
				w.settle(left...)
				pass(t, 2*time.Second)
				e, err := b.node.Lookup(context.Background(), late)
				if err != nil {
					t.Fatal(err)
				}
				if len(e.Cached) == 0 {
					t.Errorf("the card is not there (knowledge %v), though cards go first", e.Knowledge)
				}
			})
		})
	}
}
