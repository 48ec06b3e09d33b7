package upkeep_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/upkeep"
)

// apart reports the first object that has two copies on one machine.
func (w *world) apart() error {
	machines := cluster.Machines{}
	for _, m := range w.machines {
		machines[m.id] = cluster.MachineNamed(m.on)
	}
	for _, m := range w.live() {
		for id, o := range m.held() {
			if together := machines.Together(o.Replicas); len(together) > 0 {
				return fmt.Errorf("%v lies on %v, of which %v share a machine", id, o.Replicas, together)
			}
		}
	}
	return nil
}

// R6: copies that lie on one machine, because it was given its name later or was the only one, are moved apart, at
// any time of day; no object has fewer than two live copies for it, and none more afterwards.
func TestR6_CopiesAreMovedApart(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := bootOn(t, upkeep.Config{Copies: map[cluster.ObjectType]int{typeNote: 2}}, "a", "a", "a")
		w.fill(10, 6)
		pass(t, 3*time.Minute)
		if err := w.check(2); err != nil {
			t.Fatalf("on one machine with three disks: %v", err)
		}
		w.addOn("b")
		w.addOn("c")
		w.settle(w.machines...)
		all := slices.Collect(maps.Keys(w.machines[0].held()))
		w.await("copies apart", 10*time.Minute, func() error {
			if err := w.atLeast(2, all); err != nil {
				t.Fatal(err)
			}
			return w.apart()
		})
		w.await("two copies of everything", time.Minute, func() error { return errors.Join(w.check(2), w.quiet()) })
		w.await("nothing left to move", 3*time.Minute, func() error {
			for _, m := range w.live() {
				if s := m.up.Status(); s.Together != 0 {
					return fmt.Errorf("node %v: %d objects with two copies on one machine", m.id, s.Together)
				}
			}
			return nil
		})
	})
}

// R6, D5: a bucket that cannot be read does not keep the copies in the others from being moved apart.
func TestR6_CopiesAreMovedApartBesideAnUnreadableBucket(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := bootOn(t, upkeep.Config{Copies: map[cluster.ObjectType]int{typeNote: 2}}, "a", "a")
		for i := range 4 {
			w.put(typeNote, fmt.Sprint("owner-", i), "note", 2, w.machines[0].id, w.machines[1].id)
		}
		broken := cluster.Bucket(0)
		for w.buckets[broken] {
			broken++
		}
		for _, m := range w.machines {
			m.bad.unlisted.Store(true) // all are looked at
			m.bad.unread.Store(int64(broken) + 1)
		}
		w.addOn("b")
		w.settle(w.machines...)
		w.await("copies apart", 10*time.Minute, w.apart)
	})
}

// atLeast reports the first object of all of which fewer than that many live nodes have a copy.
func (w *world) atLeast(copies int, all []cluster.ObjectID) error {
	found := map[cluster.ObjectID]int{}
	for _, m := range w.live() {
		for id := range m.held() {
			found[id]++
		}
	}
	for _, id := range all {
		if found[id] < copies {
			return fmt.Errorf("%v has %d copies", id, found[id])
		}
	}
	return nil
}

// R6: three machines with two disks each, two copies of everything. One machine is lost with both of its disks in one
// moment: nothing is lost, and soon everything has two copies again, on the two machines that are left.
func TestR6_AMachineWithAllItsDisksIsLost(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := bootOn(t, upkeep.Config{RepairAfter: 10 * time.Second, Copies: map[cluster.ObjectType]int{typeNote: 2}}, "a", "a", "b", "b", "c", "c")
		ctx := context.Background()
		var all []cluster.ObjectID
		heard := func() error {
			for _, m := range w.machines {
				for id, l := range m.node.Loads() {
					if l.Machine == cluster.NoMachine {
						return fmt.Errorf("node %v has not heard of which machine %v is", m.id, id)
					}
				}
			}
			return nil
		}
		t.Logf("all nodes know of all machines %v after the last view", w.await("nodes know of machines", time.Minute, heard))
		for i := range 120 {
			from, owner, kind := w.machines[i%6], fmt.Sprintf("owner-%d", i%20), typeNote
			if i < 20 {
				kind = typeCard
			}
			e, err := from.node.Lookup(ctx, owner)
			if err != nil {
				t.Fatal(err)
			}
			on, err := from.node.Choose(e, kind, 2, 3, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, w.put(kind, owner, fmt.Sprintf("%s-%d", kind, i), 2, on...))
		}
		if err := errors.Join(w.check(2), w.apart()); err != nil {
			t.Fatalf("as delivered: %v", err)
		}
		w.machines[2].kill()
		w.machines[3].kill()
		w.settle(w.live()...)
		w.await("two copies of everything on two machines", 2*time.Minute, func() error {
			if err := w.atLeast(1, all); err != nil {
				t.Fatal(err)
			}
			return errors.Join(w.check(2), w.apart())
		})
	})
}
