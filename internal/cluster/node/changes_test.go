package node

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/feed"
)

// noted is a watcher that writes down what it is told of one owner.
type noted struct {
	mu    sync.Mutex
	lines []string
}

func (o *noted) Wants(owner string, _ cluster.ObjectType) bool { return owner == "o" }

func (o *noted) Changed(c cluster.Change) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines = append(o.lines, fmt.Sprint(c.State, " ", c.Object.ID.ID))
}

// take gives what was told since the last time, sorted, each once.
func (o *noted) take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	slices.Sort(o.lines)
	lines := slices.Compact(o.lines)
	o.lines = nil
	return fmt.Sprint(lines)
}

// watchAll gives every node that starts a watcher.
func watchAll(w *world) map[cluster.NodeID]*noted {
	all := map[cluster.NodeID]*noted{}
	w.register = func(n *Node) {
		all[n.ID()] = &noted{}
		n.SetWatcher(all[n.ID()])
	}
	return all
}

func bootWatched(t *testing.T, count int) (*world, map[cluster.NodeID]*noted) {
	w := newWorld(t, count)
	all := watchAll(w)
	for _, m := range w.machines {
		m.start()
	}
	w.settle(w.machines...)
	return w, all
}

// Every way by which an object comes, changes or goes at a node is told there, AFTER the commit.
func TestChanges_AreTold(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, told := bootWatched(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		want := func(what string, m *machine, want string) {
			t.Helper()
			if got := told[m.id].take(); got != want {
				t.Errorf("%s: node %v was told %s, want %s", what, m.id, got, want)
			}
		}
		a.put(typeNote, "o", "x", "contents", a.id, b.id)
		a.put(typeNote, "another", "x", "contents", a.id, b.id)
		want("stored by its own call", a, "[stored x]")
		want("stored by another's", b, "[stored x]")
		want("nothing", c, "[]")

		object, err := a.node.List(context.Background(), a.id, "o", typeNote)
		if err != nil || len(object) != 1 {
			t.Fatal(object, err)
		}
		move := cluster.Update{Object: object[0], Previous: object[0].Replicas}
		move.Object.Timestamp, move.Object.Replicas = cluster.Timestamp{}, cluster.NewReplicaSet(b.id)
		if err := b.node.UpdateAll(context.Background(), []cluster.Update{move})[0]; err != nil {
			t.Fatal(err)
		}
		w.awaitQuiet(a, b, c)
		want("moved away", a, "[removed x]")
		want("lies elsewhere", b, "[stored x]")

		if err := c.node.Update(context.Background(), deletionOf(noteID("o", "x"), b.id), nil); err != nil {
			t.Fatal(err)
		}
		want("deleted", b, "[removed x]")
		want("deleted elsewhere", a, "[]")

		b.kill()
		w.settle(a, c)
		wantShortfall(t, a.tryPut(typeNote, "o", "late", "contents", a.id, b.id), a, b)
		want("stored while a target is away", a, "[stored late]")
		b.start()
		w.settle(a, b, c)
		w.awaitQuiet(a, b, c)
		want("brought", b, "[stored late]")
	})
}

// What two sides of a partition wrote is joined when they meet, which the node does by itself.
func TestChanges_OfWhatIsJoined(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, told := bootWatched(t, 2)
		a, b := w.machines[0], w.machines[1]
		a.put(typeSet, "o", "x", "a", a.id, b.id)
		w.awaitQuiet(a, b)
		for _, o := range told {
			o.take()
		}
		b.put(typeSet, "o", "x", "b", a.id, b.id) // knows nothing of the other
		w.awaitQuiet(a, b)
		for id, o := range told {
			if got := o.take(); got == "[]" {
				t.Errorf("node %v was not told that two versions were joined", id)
			}
		}
	})
}

// R4: an update whose caller has gone before the disk had answered is told when it is known to be there. On a
// single node, too, where nobody else will ever ask.
func TestR4_DoubtfulChangesAreTold(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, told := bootWatched(t, 2)
		a, b := w.machines[0], w.machines[1]
		hide := func(*cluster.Update) error {
			return cluster.Errorf(cluster.KindUnavailable, "apply", "the caller has gone")
		}
		for _, on := range [][]cluster.NodeID{{a.id}, {a.id, b.id}} {
			a.hooks.applied.Store(&hide)
			if err := a.tryPut(typeNote, "o", fmt.Sprint("on ", len(on)), "contents", on...); err == nil {
				t.Error("no error")
			}
			a.hooks.applied.Store(nil)
			w.await("the change", drainMax, func() error {
				if got := told[a.id].take(); got != fmt.Sprintf("[stored on %d]", len(on)) {
					return fmt.Errorf("told %s", got)
				}
				return nil
			})
		}
	})
}

// copyOf follows one owner's notes at one holder by the feed, as an index does.
type copyOf struct {
	mu    sync.Mutex
	stale bool
	notes map[string]cluster.Timestamp
}

func (c *copyOf) on(e feed.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stale = c.stale || e.Gap
	for _, v := range e.Changes {
		switch id, at := v.Object.ID.ID, v.Object.Timestamp; {
		case v.State == cluster.ChangeTouched:
			c.stale = true
		case c.notes[id].Compare(at) >= 0:
		case v.State == cluster.ChangeRemoved:
			delete(c.notes, id)
		default:
			c.notes[id] = at
		}
	}
}

func (c *copyOf) list(m *machine, holder cluster.NodeID) error {
	c.mu.Lock()
	c.stale, c.notes = false, map[string]cluster.Timestamp{} // BEFORE the listing: what is told meanwhile counts
	c.mu.Unlock()
	all, err := m.node.List(context.Background(), holder, "o", typeNote)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range all {
		if o := &all[i]; c.notes[o.ID.ID].Compare(o.Timestamp) < 0 {
			c.notes[o.ID.ID] = o.Timestamp
		}
	}
	c.stale = c.stale || err != nil
	return err
}

// V2: who follows a node by its feed has, in the end, what the node has, although the node is killed, cut off and started
// again meanwhile.
func TestV2_FeedFollowsANode(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 2)
		feeds := map[cluster.NodeID]*feed.Feed{}
		w.register = func(n *Node) {
			if f := feeds[n.ID()]; f != nil {
				f.Close()
			}
			feeds[n.ID()] = feed.New(n, slog.New(slog.DiscardHandler))
			n.SetWatcher(feeds[n.ID()])
		}
		defer func() {
			for _, f := range feeds {
				f.Close()
			}
		}()
		for _, m := range w.machines {
			m.start()
		}
		w.settle(w.machines...)
		a, b := w.machines[0], w.machines[1]
		c := &copyOf{notes: map[string]cluster.Timestamp{}}
		if _, err := feeds[a.id].Subscribe(context.Background(), b.id, "o", []cluster.ObjectType{typeNote}, c.on); err != nil {
			t.Fatal(err)
		}
		if err := c.list(a, b.id); err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(1, 2))
		for i := range 60 {
			switch k := rng.IntN(20); {
			case k < 12:
				// An error leaves it open whether it is there: the feed and the disk must agree all the same.
				if err := a.tryPut(typeNote, "o", fmt.Sprint(rng.IntN(10)), fmt.Sprint("contents ", i), a.id, b.id); err != nil {
					t.Log(err)
				}
			case k < 17:
				for _, err := range a.node.UpdateAll(context.Background(), []cluster.Update{deletionOf(noteID("o", fmt.Sprint(rng.IntN(10))), a.id, b.id)}) {
					if err != nil {
						t.Log(err)
					}
				}
			case k < 18:
				b.kill()
				w.settle(a)
				b.start()
				w.settle(a, b)
			default:
				pass(feed.RenewPeriod)
			}
		}
		w.awaitQuiet(a, b)
		w.await("the copy", 2*feed.Lease, func() error {
			c.mu.Lock()
			stale := c.stale
			c.mu.Unlock()
			if stale {
				if err := c.list(a, b.id); err != nil {
					return err
				}
			}
			there, err := b.node.List(context.Background(), b.id, "o", typeNote)
			c.mu.Lock()
			defer c.mu.Unlock()
			if err != nil || len(there) != len(c.notes) {
				return fmt.Errorf("%d notes here, %d there: %w", len(c.notes), len(there), err)
			}
			for i := range there {
				if o := &there[i]; c.notes[o.ID.ID] != o.Timestamp {
					return fmt.Errorf("note %s is of %v there, of %v here", o.ID.ID, o.Timestamp, c.notes[o.ID.ID])
				}
			}
			return nil
		})
	})
}
