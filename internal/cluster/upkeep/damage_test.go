package upkeep_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/upkeep"
)

// quietly waits in fake time, and fails when that stands still, since the nodes work without a pause.
func quietly(t *testing.T, d time.Duration, isTooMuch func() error) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); pass(t, time.Second) {
		for range 1000 {
			runtime.Gosched() // who works without a pause gets on with it now
			if err := isTooMuch(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// D5: both copies of an object are damaged. Who asks for the contents has the other find his own damage, and ask in turn: that ends when
// both have said that they have nothing. It is told once, and not looked at again before somebody reads it.
func TestD5_TwoDamagedCopiesDoNotAskEachOtherForEver(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		day := 24 * time.Hour
		w := boot(t, 2, upkeep.Config{ScrubEvery: 30 * day, CompareEvery: 30 * day, Copies: map[cluster.ObjectType]int{typeNote: 2}})
		a, b := w.machines[0], w.machines[1]
		id := w.put(typeNote, "owner", "note", 2, a.id, b.id)
		a.bad.damage(id)
		b.bad.damage(id)
		reads := countReads(a, b)
		const each = 12 // of both nodes: each looks whether it is so, asks, and answers
		bounded := func(rounds int64) func() error {
			return func() error {
				if k := reads.Load(); k > rounds*each {
					return fmt.Errorf("one damaged object was read %d times in %d rounds of questions", k, rounds)
				}
				return nil
			}
		}
		said := func() int { return strings.Count(w.logged.String(), "no other node could give them") }
		b.up.Damaged(id)
		quietly(t, 5*time.Minute, bounded(1))
		for _, m := range []*machine{a, b} {
			if s := m.up.Status().Scrub; s.Lost != 1 || s.Waiting != 0 || s.Damaged != 1 {
				t.Errorf("node %v: %+v; want one that is lost", m.id, s)
			}
		}
		if k := said(); k != 2 {
			t.Errorf("the log says %d times that it is lost, want once for each node", k)
		}
		for range 100 { // somebody reads it, again and again
			b.up.Damaged(id)
		}
		quietly(t, 5*time.Minute, bounded(2))
		if k := said(); k != 2 {
			t.Errorf("the log says %d times that it is lost, want once a day", k)
		}
	})
}

// D5: likewise while a third node, which may have the contents, is away: they are asked for each minute. When it is back they are healed.
func TestD5_TwoDamagedCopiesWaitForTheThird(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		day := 24 * time.Hour
		w := boot(t, 3, upkeep.Config{ScrubEvery: 30 * day, CompareEvery: 30 * day, RepairAfter: day, Copies: map[cluster.ObjectType]int{typeNote: 3}})
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		id := w.put(typeNote, "owner", "note", 3, a.id, b.id, c.id)
		c.kill()
		w.settle(a, b)
		a.bad.damage(id)
		b.bad.damage(id)
		reads := countReads(a, b)
		b.up.Damaged(id)
		quietly(t, 5*time.Minute, func() error {
			if k := reads.Load(); k > 100 {
				return fmt.Errorf("one damaged object was read %d times within five minutes", k)
			}
			return nil
		})
		c.start()
		w.settle(a, b, c)
		w.await("healed", 3*time.Minute, func() error {
			if a.bad.isBad(id) || b.bad.isBad(id) {
				return errors.New("damaged still")
			}
			return nil
		})
	})
}

// countReads counts how often contents are opened on these machines. Beyond a thousand fake time passes, so that the test ends.
func countReads(machines ...*machine) *atomic.Int64 {
	var reads atomic.Int64
	count := func(cluster.ObjectID) error {
		if reads.Add(1) > 1000 {
			<-time.NewTimer(time.Second).C
		}
		return nil
	}
	for _, m := range machines {
		m.bad.opening.Store(&count)
	}
	return &reads
}

// D5: what is lost, and deleted by its user then, is not counted any more.
func TestD5_LostIsForgottenWhenItIsDeleted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		day := 24 * time.Hour
		w := boot(t, 1, upkeep.Config{ScrubEvery: 30 * day, CompareEvery: 30 * day, Copies: map[cluster.ObjectType]int{typeNote: 1}})
		a := w.machines[0]
		lost := func(want int) func() error {
			return func() error {
				if s := a.up.Status().Scrub; s.Lost != want {
					return fmt.Errorf("%+v", s)
				}
				return nil
			}
		}
		id, stays := w.put(typeNote, "owner", "note", 1, a.id), w.put(typeNote, "owner", "other", 1, a.id)
		for _, id := range []cluster.ObjectID{id, stays} {
			a.bad.damage(id)
			a.up.Damaged(id)
		}
		w.await("lost", 5*time.Second, lost(2))
		u := cluster.Update{Object: cluster.Object{ID: id, Deleted: true}, Previous: cluster.NewReplicaSet(a.id)}
		if err := a.node.Update(context.Background(), u, nil); err != nil {
			t.Fatal(err)
		}
		w.await("forgotten", 15*time.Second, lost(1))
		if !a.up.IsLost(stays) || a.up.IsLost(id) {
			t.Error("the wrong one was forgotten")
		}
	})
}

// D1, D5: when more is lost than is remembered, what is asked for is known to be lost nevertheless: that which was tried first is forgotten.
func TestD5_MoreIsLostThanIsRemembered(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		const remembered = 1000
		day := 24 * time.Hour
		w := boot(t, 1, upkeep.Config{ScrubEvery: 30 * day, CompareEvery: 30 * day, Copies: map[cluster.ObjectType]int{typeNote: 1}})
		a := w.machines[0]
		var ids []cluster.ObjectID
		for i := range remembered + 2 {
			id := w.put(typeNote, "owner", fmt.Sprint(i), 1, a.id)
			a.bad.damage(id)
			ids = append(ids, id)
		}
		for _, id := range ids {
			a.up.Damaged(id)
			w.await("known to be lost", 10*time.Second, func() error {
				if !a.up.IsLost(id) {
					return errors.New("it is not")
				}
				return nil
			})
		}
		if k := a.up.Status().Scrub.Lost; k != remembered {
			t.Errorf("%d are remembered, want %d", k, remembered)
		}
		if a.up.IsLost(ids[0]) || a.up.IsLost(ids[1]) || !a.up.IsLost(ids[2]) {
			t.Error("others were forgotten than those that were tried first")
		}
	})
}

// D5: what waits for a node that is there and does not answer does not keep the healing of others.
func TestD5_WhoIsSilentKeepsNobodyElse(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const many = 30
		day := 24 * time.Hour
		w := boot(t, 2, upkeep.Config{ScrubEvery: 30 * day, CompareEvery: 30 * day, Copies: map[cluster.ObjectType]int{typeNote: 2}})
		a, b := w.machines[0], w.machines[1]
		whole := w.put(typeNote, "owner", "whole", 2, a.id, b.id)
		silent := func(id cluster.ObjectID) error {
			if id == whole {
				return nil
			}
			return cluster.Errorf(cluster.KindInternal, "open", "the disk does not answer")
		}
		a.bad.opening.Store(&silent)
		for i := range many {
			id := w.put(typeNote, "owner", fmt.Sprint(i), 2, a.id, b.id)
			b.bad.damage(id)
			b.up.Damaged(id)
		}
		b.bad.damage(whole)
		b.up.Damaged(whole)
		w.await("healed", 5*time.Second, func() error {
			if b.bad.isBad(whole) {
				return errors.New("damaged still")
			}
			return nil
		})
		a.bad.opening.Store(nil)
		w.await("all healed, soon", 25*time.Second, func() error {
			if s := b.up.Status().Scrub; s.Waiting != 0 || s.Healed != many+1 {
				return fmt.Errorf("%+v", s)
			}
			return nil
		})
	})
}

// D5: a node drains, and some of what it has is damaged on all nodes. All else is moved, and it is said why the drain does not end; when
// what is lost has been deleted it does.
func TestD5_DrainStopsAtWhatIsLost(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		day := 24 * time.Hour
		w := boot(t, 3, upkeep.Config{ScrubEvery: 30 * day, CompareEvery: 30 * day, Copies: map[cluster.ObjectType]int{typeNote: 2}})
		a, b := w.machines[0], w.machines[1]
		for i := range 5 {
			w.put(typeNote, fmt.Sprint("owner ", i), "note", 2, a.id, b.id)
		}
		lost := w.put(typeNote, "owner", "lost", 2, a.id, b.id)
		a.bad.damage(lost)
		b.bad.damage(lost)
		if err := a.up.Drain(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		w.await("one left", 5*time.Minute, func() error {
			if s := a.up.Status(); s.Drain.Objects != 1 || s.Scrub.Lost != 1 {
				return fmt.Errorf("%+v %+v", s.Drain, s.Scrub)
			}
			return nil
		})
		pass(t, 10*time.Minute)
		if _, held := a.held()[lost]; !held || a.up.Status().Drain.Done {
			t.Error("what is lost was thrown away")
		}
		if k := strings.Count(w.logged.String(), "no other node could give them"); k > 2 {
			t.Errorf("the log says %d times that it is lost, want once for each node", k)
		}
		u := cluster.Update{Object: cluster.Object{ID: lost, Deleted: true}, Previous: cluster.NewReplicaSet(a.id, b.id)}
		if err := b.node.Update(context.Background(), u, nil); err != nil {
			t.Fatal(err)
		}
		w.await("drained", 5*time.Minute, func() error {
			if s := a.up.Status(); !s.Drain.Done || s.Scrub.Lost != 0 {
				return fmt.Errorf("%+v %+v", s.Drain, s.Scrub)
			}
			return nil
		})
	})
}
