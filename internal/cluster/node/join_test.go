package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

// R1, R2: several nodes change one object of an inline type that merges, at the same time, and nodes lose
// their power between. Nothing that was acknowledged is lost, all replicas have the same bytes in the end, and
// a third node that becomes a replica gets them.
func TestR1R2_InlineUpdatesAreJoined(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		id := cluster.ObjectID{Type: typeSet, Owner: "o", ID: "x"}
		var mu sync.Mutex
		acked := ""
		letter := byte('A')
		write := func(s string, machines ...*machine) {
			var wg sync.WaitGroup
			for i, m := range machines {
				wg.Go(func() {
					u, body := newObject(typeSet, "o", "x", s[i:i+1], a.id, b.id)
					u.Previous = cluster.NewReplicaSet(a.id, b.id)
					ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
					defer cancel()
					err := m.node.Update(ctx, u, body)
					var short *cluster.Shortfall
					if err == nil || errors.As(err, &short) {
						mu.Lock()
						acked += s[i : i+1]
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			letter += byte(len(machines))
		}
		next := func(n int) (s string) {
			for i := range n {
				s += string(rune(letter) + rune(i))
			}
			return s
		}
		for round := range rounds(4) {
			write(next(3), a, b, c)
			victim, other := a, b
			if round%2 == 1 {
				victim, other = b, a
			}
			victim.losePower()
			w.settle(other, c)
			write(next(2), other, c)
			victim.start()
			write(next(1), other) // before all know of all
			w.settle(w.machines...)
		}
		if len(acked) < 5 {
			t.Errorf("only %q was acknowledged", acked)
		}
		w.awaitQuiet(w.machines...)
		got := a.has(id)
		if other := b.has(id); got != other {
			t.Errorf("R1: %v has %q, %v has %q", a.id, got, b.id, other)
		}
		for _, l := range acked {
			if !strings.ContainsRune(got, l) {
				t.Errorf("R2: %q was acknowledged, %q is there", l, got)
			}
		}
		e := c.lookup("o")
		if len(e.Cached) != 0 || fmt.Sprint(holders(e, typeSet)) != fmt.Sprint(ids(a, b)) {
			t.Errorf("the manager has %+v", e)
		}
		o, err := a.store.Get(id)
		if err != nil {
			t.Fatal(err)
		}
		u, body := newObject(typeSet, "o", "x", got, a.id, b.id, c.id)
		u.Previous = o.Replicas
		if err := b.node.Update(context.Background(), u, body); err != nil || c.has(id) != got {
			t.Errorf("a third replica: %v, it has %q, want %q", err, c.has(id), got)
		}
		w.awaitQuiet(w.machines...)
	})
}

// R3: the timestamps of joined updates lie in the stretch of the clock that is reserved: a new life, with a wall
// clock that went back, gives later ones. Where the stretch cannot be reserved nothing is joined, and
// nothing else is stopped.
func TestR3_JoinedTimestamps(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		id := cluster.ObjectID{Type: typeSet, Owner: "o", ID: "x"}
		pass(time.Minute) // the stretch of the start is long over
		b.put(typeSet, "o", "x", "a", a.id)
		b.put(typeSet, "o", "x", "b", a.id)
		o, err := a.store.Get(id)
		if err != nil || o.Timestamp.Node != a.id || a.has(id) != "ab" {
			t.Fatalf("joined: %+v, %v, %q", o, err, a.has(id))
		}
		b.kill()
		a.losePower()
		a.setClock(-5 * time.Second)
		a.start()
		later, err := a.node.timestamp(context.Background())
		if err != nil || later.Compare(o.Timestamp) <= 0 {
			t.Errorf("timestamp after the restart = %v, %v; want it after %v", later, err, o.Timestamp)
		}
		a.setClock(0)
		pass(20 * time.Second)
		a.failWrites(func(string) error { return cluster.Errorf(cluster.KindUnavailable, "test", "disk failed") })
		if ts := a.node.JoinStamp(); !ts.IsZero() {
			t.Errorf("JoinStamp outside the stretch = %v", ts)
		}
		u, body := newObject(typeSet, "o", "x", "c", a.id)
		u.Object.Timestamp = cluster.Timestamp{Time: time.Now().UnixNano(), Node: a.id}
		if err := a.node.Update(context.Background(), u, body); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("Update without a stretch = %v, want kind unavailable", err)
		}
		u, body = newObject(typeNote, "o", "x", "c", a.id)
		u.Object.Timestamp = cluster.Timestamp{Time: time.Now().UnixNano(), Node: a.id}
		if err := a.node.Update(context.Background(), u, body); err != nil {
			t.Errorf("Update of a type that does not merge = %v", err)
		}
		a.failWrites(nil)
		a.put(typeSet, "o", "x", "c", a.id)
		if got := a.has(id); got != "abc" {
			t.Errorf("afterwards: %q, want abc", got)
		}
	})
}

// R1: two sides of a partition make an inline object of the same name on nodes that have nothing in common. Its manager
// knows only that there are two fragments. Who reads both, and writes what they are together with all of the
// holders as Previous, ends it.
func TestR1_DisjointInlineObjectsAreJoinedByTheirReader(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 4)
		a, b, c, d := w.machines[0], w.machines[1], w.machines[2], w.machines[3]
		w.net.Partition(ids(a, b), ids(c, d))
		w.settle(a, b)
		w.settle(c, d)
		a.put(typeSet, "o", "x", "ab", a.id, b.id)
		d.put(typeSet, "o", "x", "bc", c.id, d.id)
		w.net.HealAll()
		w.settle(w.machines...)
		w.awaitQuiet(w.machines...)
		var both []byte
		var holders cluster.ReplicaSet
		for _, f := range b.lookup("o").Fragments {
			page, more, err := b.node.Contents(context.Background(), f.Holders[0], "o", typeSet, "")
			if err != nil || more || len(page) != 1 || page[0].Err != nil {
				t.Fatalf("Contents = %+v, %t, %v", page, more, err)
			}
			if both, err = union(both, page[0].Contents); err != nil {
				t.Fatal(err)
			}
			holders = holders.Union(f.Replicas)
		}
		if len(holders) != 4 || string(both) != "abc" {
			t.Fatalf("%q on %v", both, holders)
		}
		u, body := newObject(typeSet, "o", "x", string(both), c.id, d.id)
		u.Object.Copies, u.Previous = 2, holders
		if err := b.node.Update(context.Background(), u, body); err != nil {
			t.Fatal(err)
		}
		id := cluster.ObjectID{Type: typeSet, Owner: "o", ID: "x"}
		w.await("one version", time.Minute, func() error {
			for _, m := range w.machines {
				// A node that is to lose its copy and has something else makes itself a replica once more.
				if got := m.has(id); got != "abc" && (got != "" || m == c || m == d) {
					return fmt.Errorf("node %v has %q", m.id, got)
				}
			}
			return nil
		})
		w.awaitQuiet(w.machines...)
		w.checkS1(w.machines...)
	})
}
