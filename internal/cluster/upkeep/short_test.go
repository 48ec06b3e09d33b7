package upkeep_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/upkeep"
)

// R6: the move that comparing has shown to be needed fails. It is tried again soon, not when the buckets are compared again.
func TestR6_WhatComparingFoundIsTriedAgain(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3, upkeep.Config{CompareEvery: time.Hour, Copies: map[cluster.ObjectType]int{typeNote: 1}})
		a := w.machines[0]
		w.put(typeNote, "owner", "three", 3, a.id)
		var tries atomic.Int64
		busy := func(cluster.ObjectID) error {
			if tries.Add(1) <= 2 {
				return cluster.Errorf(cluster.KindUnavailable, "open", "the disk is busy")
			}
			return nil
		}
		a.bad.opening.Store(&busy)
		w.await("found by comparing", 2*time.Hour, func() error {
			if tries.Load() == 0 {
				return errors.New("not yet")
			}
			return nil
		})
		w.await("three copies", time.Minute, func() error { return w.check(3) })
	})
}

// R6: when a node finds by comparing that objects lack a copy, it is another node's turn to make it, who has not compared. The one that knows
// does it when its own turn has come.
func TestR6_WhatComparingFoundWaitsForItsTurn(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		const objects = 10 // of some it is the other's turn
		w := boot(t, 3, upkeep.Config{CompareEvery: 24 * time.Hour, Copies: map[cluster.ObjectType]int{typeNote: 2}})
		a, b := w.machines[0], w.machines[1]
		for i := range objects {
			w.put(typeNote, fmt.Sprint("owner ", i), "note", 3, a.id, b.id) // each in a bucket of its own
		}
		if v, err := a.up.Verify(t.Context(), upkeep.VerifyOptions{}); err != nil || v.UnderReplicated != objects {
			t.Fatalf("Verify() = %+v, %v; want all to lack a copy", v, err)
		}
		w.await("three copies", 2*time.Minute, func() error { return w.check(3) })
	})
}
