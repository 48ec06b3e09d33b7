package upkeep_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/upkeep"
)

// D1, decision 0016: an object moved while one who had it was away, and the copies of those who keep it rotted
// since, unnoticed. The one that comes back is told to drop his, the only whole one. He asks before, the
// damage is found, his copy heals the others, and he drops it then.
func TestD1_TheLastWholeCopyIsNotDropped(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		day := 24 * time.Hour
		w := boot(t, 3, upkeep.Config{ScrubEvery: 30 * day, CompareEvery: 30 * day, RepairAfter: day, Copies: map[cluster.ObjectType]int{typeNote: 2}})
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		id := w.put(typeNote, "owner", "note", 2, a.id, b.id)
		a.kill()
		w.settle(b, c)
		u, body := newObject(typeNote, "owner", "note", contentsOf("note"), 2, b.id, c.id)
		u.Previous = cluster.NewReplicaSet(a.id, b.id)
		if err := b.node.Update(context.Background(), u, body); err != nil {
			t.Fatal(err)
		}
		b.bad.damage(id)
		c.bad.damage(id)
		a.start()
		w.settle(a, b, c)
		w.await("healed by the copy that is to be dropped", 5*time.Minute, func() error {
			if _, held := a.held()[id]; !held && (b.bad.isBad(id) || c.bad.isBad(id)) {
				t.Fatal("the last whole copy was dropped")
			}
			if b.bad.isBad(id) || c.bad.isBad(id) {
				return errors.New("damaged still")
			}
			return errors.Join(w.quiet(), w.check(2))
		})
		if k := a.node.Metrics().Unconfirmed; k == 0 {
			t.Error("no question whether a copy is whole had another answer than yes")
		}
	})
}

// D5: damaged contents are not lost while a node that has them is away, and are healed when it is back. No
// scrub comes to them meanwhile.
func TestD5_DamageWaitsForWhoIsAway(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		day := 24 * time.Hour
		w := boot(t, 2, upkeep.Config{ScrubEvery: 30 * day, CompareEvery: 30 * day, Copies: map[cluster.ObjectType]int{typeNote: 2}})
		a, b := w.machines[0], w.machines[1]
		id := w.put(typeNote, "owner", "note", 2, a.id, b.id)
		a.kill()
		w.settle(b)
		b.bad.damage(id)
		b.up.Damaged(id)
		w.await("found, at once, that it must wait", 5*time.Second, func() error {
			if s := b.up.Status().Scrub; s.Waiting != 1 || s.Lost != 0 {
				return fmt.Errorf("%+v", s)
			}
			return nil
		})
		a.start()
		w.settle(a, b)
		w.await("healed", 2*time.Minute, func() error {
			if s := b.up.Status().Scrub; b.bad.isBad(id) || s.Waiting != 0 || s.Lost != 0 || s.Damaged != 1 || s.Healed != 1 {
				return fmt.Errorf("%+v", s)
			}
			return nil
		})
	})
}

// D1, decision 0016: those who keep an object were struck, while one was away who has it still and was to drop
// his copy. He hears of that from one who has let go of his, takes the object back, and it gets its copies.
func TestD1_WhatAllKeepersLostIsTakenBack(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		day := 24 * time.Hour
		w := boot(t, 4, upkeep.Config{ScrubEvery: 30 * day, CompareEvery: 30 * day, RepairAfter: day, Copies: map[cluster.ObjectType]int{typeNote: 2}})
		a, b, c, d := w.machines[0], w.machines[1], w.machines[2], w.machines[3]
		id := w.put(typeNote, "owner", "note", 2, a.id, d.id)
		a.kill()
		w.settle(b, c, d)
		u, body := newObject(typeNote, "owner", "note", contentsOf("note"), 2, b.id, c.id)
		u.Previous = cluster.NewReplicaSet(a.id, d.id)
		if err := b.node.Update(context.Background(), u, body); err != nil {
			t.Fatal(err)
		}
		w.await("dropped by who is there", time.Minute, func() error {
			if _, held := d.held()[id]; held || d.node.Records() != 1 {
				return errors.New("not yet")
			}
			return nil
		})
		b.kill()
		c.kill()
		w.settle(d)
		for _, gone := range []*machine{b, c} {
			if err := d.node.Forget(context.Background(), gone.id); err != nil {
				t.Fatal(err)
			}
		}
		a.start()
		w.settle(a, d)
		w.await("copied again", 5*time.Minute, func() error { return errors.Join(w.quiet(), w.check(2)) })
		if _, held := a.held()[id]; !held {
			t.Error("the last copy is gone")
		}
	})
}

// D1, decision 0016: those who keep an object were struck, and the copy of the one that was away is damaged too:
// there is nothing to take back, and the move comes to its end.
func TestD1_WhatIsLostHereTooIsNotTakenBack(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		day := 24 * time.Hour
		w := boot(t, 3, upkeep.Config{ScrubEvery: 30 * day, CompareEvery: 30 * day, RepairAfter: day, Copies: map[cluster.ObjectType]int{typeNote: 1}})
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		id := w.put(typeNote, "owner", "note", 2, a.id, c.id)
		a.kill()
		w.settle(b, c)
		u, body := newObject(typeNote, "owner", "note", contentsOf("note"), 1, b.id)
		u.Previous = cluster.NewReplicaSet(a.id, c.id)
		if err := b.node.Update(context.Background(), u, body); err != nil {
			t.Fatal(err)
		}
		w.await("dropped by who is there", time.Minute, func() error {
			if _, held := c.held()[id]; held || c.node.Records() != 1 {
				return errors.New("not yet")
			}
			return nil
		})
		b.kill()
		w.settle(c)
		if err := c.node.Forget(context.Background(), b.id); err != nil {
			t.Fatal(err)
		}
		a.start()
		a.bad.damage(id)
		w.settle(a, c)
		w.await("the move has come to its end", 5*time.Minute, func() error {
			if s := a.up.Status().Scrub; s.Lost != 1 {
				return fmt.Errorf("not said to be lost: %+v", s)
			}
			return w.quiet()
		})
		if _, held := a.held()[id]; held {
			t.Error("the damaged copy is here still")
		}
	})
}

// D5: an object is moved away while it is being healed. It is not lost.
func TestD5_WhatChangesWhileItIsHealedIsNotLost(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		day := 24 * time.Hour
		w := boot(t, 2, upkeep.Config{ScrubEvery: 30 * day, CompareEvery: 30 * day, RepairAfter: day, Copies: map[cluster.ObjectType]int{typeNote: 1}})
		a, b := w.machines[0], w.machines[1]
		id := w.put(typeNote, "owner", "note", 2, a.id, b.id)
		moved := make(chan error, 1)
		move := func(*cluster.Object) {
			u, _ := newObject(typeNote, "owner", "note", contentsOf("note"), 1, a.id)
			u.Previous = cluster.NewReplicaSet(a.id, b.id)
			err := a.node.Update(context.Background(), u, nil)
			for range 60 {
				if _, gone := b.store.Get(id); gone != nil {
					break
				}
				pass(t, time.Second)
			}
			moved <- err
		}
		b.bad.healing.Store(&move)
		b.bad.damage(id)
		b.up.Damaged(id)
		if err := <-moved; err != nil {
			t.Fatal(err)
		}
		pass(t, 10*time.Second)
		if s := b.up.Status().Scrub; s.Damaged != 1 || s.Lost != 0 || s.Waiting != 0 {
			t.Errorf("%+v; want nothing lost", s)
		}
	})
}

// D5: what has just been found damaged does not wait until all has been looked at that nobody could give so far.
func TestD5_NewDamageDoesNotWaitForOld(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const old, slowness = 5, 5 * time.Second
		day := 24 * time.Hour
		w := boot(t, 2, upkeep.Config{ScrubEvery: 30 * day, CompareEvery: 30 * day, Copies: map[cluster.ObjectType]int{typeNote: 2}})
		a, b := w.machines[0], w.machines[1]
		fresh := w.put(typeNote, "owner", "fresh", 2, a.id, b.id)
		asked := make(chan cluster.ObjectID, 100)
		slow := func(id cluster.ObjectID) error {
			if id == fresh {
				return nil
			}
			pass(t, slowness)
			asked <- id
			return cluster.Errorf(cluster.KindInternal, "open", "the disk does not answer")
		}
		a.bad.opening.Store(&slow)
		for i := range old {
			id := w.put(typeNote, "owner", fmt.Sprint(i), 2, a.id, b.id)
			b.bad.damage(id)
			b.up.Damaged(id)
		}
		w.await("all wait", 5*time.Minute, func() error {
			if s := b.up.Status().Scrub; s.Waiting != old {
				return fmt.Errorf("%+v", s)
			}
			return nil
		})
		for len(asked) > 0 {
			<-asked
		}
		<-asked // they are looked at again
		b.bad.damage(fresh)
		b.up.Damaged(fresh)
		w.await("healed between two of them", 2*slowness, func() error {
			if b.bad.isBad(fresh) {
				return errors.New("damaged still")
			}
			return nil
		})
	})
}
