package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
)

const (
	typeNote cluster.ObjectType = "note"
	typeCard cluster.ObjectType = "card"
	owner                       = "somebody"
)

// world is a network of nodes that are nothing but feeds.
type world struct {
	*testing.T
	mu    sync.Mutex
	nodes map[cluster.NodeID]*fake
	// fault may lose a call or its answer, or call twice; nil: none does.
	fault func(from, to cluster.NodeID, method string) verdict
}

type verdict int

const (
	arrives verdict = iota
	isLost
	answerLost
	twice
)

// fake is a node: what lies on it, and what happens to it.
type fake struct {
	w       *world
	id      cluster.NodeID
	methods map[string]func(ctx context.Context, from cluster.NodeID, payload []byte) ([]byte, error)
	feed    *Feed

	mu      sync.Mutex
	changed chan struct{}
	objects map[string]cluster.Object
	time    int64
}

func newWorld(t *testing.T, ids ...cluster.NodeID) *world {
	w := &world{T: t, nodes: map[cluster.NodeID]*fake{}}
	for _, id := range ids {
		w.nodes[id] = &fake{w: w, id: id, changed: make(chan struct{}), objects: map[string]cluster.Object{}}
	}
	for _, n := range w.nodes { // AFTER all are there: a feed looks at the view
		n.start()
	}
	t.Cleanup(func() {
		for _, n := range w.nodes {
			n.feed.Close()
		}
	})
	return w
}

// start gives the node a new feed: nobody's subscriptions are known any more.
func (n *fake) start() {
	n.w.mu.Lock()
	n.methods = map[string]func(ctx context.Context, from cluster.NodeID, payload []byte) ([]byte, error){}
	n.w.mu.Unlock()
	f := New(n, slog.New(slog.DiscardHandler))
	n.w.mu.Lock()
	n.feed = f
	n.w.mu.Unlock()
}

func (n *fake) restart() {
	n.feed.Close()
	n.start()
}

func (n *fake) Serve(method string, f func(ctx context.Context, from cluster.NodeID, payload []byte) ([]byte, error)) {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	n.methods[method] = f
}

func (n *fake) Changed() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.changed
}

func (n *fake) View() *cluster.View {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	v := &cluster.View{}
	for _, id := range slices.Sorted(maps.Keys(n.w.nodes)) { // members are ascending
		v.Members = append(v.Members, cluster.Member{Endpoint: cluster.Endpoint{ID: id}})
	}
	return v
}

// newView has all nodes see a change of view.
func (w *world) newView() {
	for _, n := range w.nodes {
		n.mu.Lock()
		close(n.changed)
		n.changed = make(chan struct{})
		n.mu.Unlock()
	}
}

func (n *fake) Tell(ctx context.Context, to cluster.NodeID, method string, payload []byte) ([]byte, error) {
	n.w.mu.Lock()
	v := arrives
	if n.w.fault != nil {
		v = n.w.fault(n.id, to, method)
	}
	f := n.w.nodes[to].methods[method]
	n.w.mu.Unlock()
	if f == nil {
		return nil, cluster.Errorf(cluster.KindUnavailable, method, "no such method yet")
	}
	lost := cluster.Errorf(cluster.KindUnavailable, method, "lost: %w", errors.New("the network"))
	select {
	case <-time.After(time.Millisecond): // the way there
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if v == isLost {
		return nil, lost
	}
	answer, err := f(ctx, n.id, payload)
	switch v {
	case answerLost:
		return nil, lost
	case twice:
		return f(ctx, n.id, payload)
	}
	return answer, err
}

// commit changes an object, and tells the feed.
func (n *fake) commit(id string, deleted bool) {
	n.mu.Lock()
	n.time++
	o := cluster.Object{ID: cluster.ObjectID{Type: typeNote, Owner: owner, ID: id}, Timestamp: cluster.Timestamp{Time: n.time, Node: n.id},
		Replicas: cluster.NewReplicaSet(n.id), Sum: [32]byte{1}, Attr: []byte(id), Deleted: deleted}
	c := cluster.Change{Object: o, State: cluster.ChangeStored}
	if deleted {
		c.State = cluster.ChangeRemoved
		delete(n.objects, id)
	} else {
		n.objects[id] = o
	}
	n.mu.Unlock()
	n.w.mu.Lock()
	f := n.feed
	n.w.mu.Unlock()
	if f.Wants(owner, typeNote) {
		f.Changed(c)
	}
}

func (n *fake) list() map[string]cluster.Object {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.objects)
}

// events collects what a subscription tells.
type events struct {
	mu   sync.Mutex
	all  []Event
	wait chan struct{} // nil: callbacks do not wait
}

func (e *events) on(v Event) {
	if e.wait != nil {
		<-e.wait
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, v)
}

// take gives the ids of the changes since the last time, with "gap" for each gap.
func (e *events) take() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	text := ""
	for _, v := range e.all {
		if v.Gap {
			text += "gap "
		}
		for _, c := range v.Changes {
			if c.State == cluster.ChangeRemoved {
				text += "-"
			}
			text += c.Object.ID.ID + " "
		}
	}
	e.all = nil
	return text
}

func (w *world) subscribe(at, holder cluster.NodeID, e *events) *Subscription {
	w.Helper()
	s, err := w.nodes[at].feed.Subscribe(context.Background(), holder, owner, []cluster.ObjectType{typeNote}, e.on)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func (w *world) want(e *events, want string) {
	w.Helper()
	synctest.Wait()
	if got := e.take(); got != want {
		w.Errorf("told %q, want %q", got, want)
	}
}

func TestTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2)
		here, there := &events{}, &events{}
		w.nodes[2].commit("before", false)
		w.subscribe(1, 2, there)
		own := w.subscribe(2, 2, here)
		for _, other := range []cluster.ObjectID{{Type: typeCard, Owner: owner}, {Type: typeNote, Owner: "another"}} {
			if w.nodes[2].feed.Wants(other.Owner, other.Type) {
				t.Errorf("%v is wanted", other)
			}
			w.nodes[2].feed.Changed(cluster.Change{Object: cluster.Object{ID: other}})
		}
		w.nodes[2].commit("a", false)
		w.nodes[2].commit("b", false)
		w.nodes[2].commit("a", true)
		time.Sleep(FlushDelay + 5*time.Millisecond)
		w.want(there, "a b -a ")
		w.want(here, "a b -a ")
		if s := w.nodes[2].feed.Stats(); s.Batches != 2 || s.Told != 6 || s.Held != 2 || s.Pending != 0 {
			t.Errorf("holder: %+v", s)
		}
		own.Close()
		w.nodes[2].commit("c", false)
		time.Sleep(time.Second)
		w.want(there, "c ")
		w.want(here, "")
		if s := w.nodes[2].feed.Stats(); s.Held != 1 {
			t.Errorf("after a change for nobody: %+v", s)
		}
	})
}

// Of two versions of an object the newer one is told last, whatever order their commits tell in.
func TestOrderOfOneObject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2)
		e := &events{}
		w.subscribe(1, 2, e)
		f := w.nodes[2].feed
		at := func(id string, time int64, s cluster.ChangeState) cluster.Change {
			return cluster.Change{State: s, Object: cluster.Object{ID: cluster.ObjectID{Type: typeNote, Owner: owner, ID: id}, Timestamp: cluster.Timestamp{Time: time}}}
		}
		f.Changed(at("a", 5, cluster.ChangeRemoved))
		f.Changed(at("a", 4, cluster.ChangeStored))
		for i := range 2 * recentMax {
			f.Changed(at(fmt.Sprint(i), 6, cluster.ChangeTouched))
		}
		time.Sleep(time.Second)
		want := "-a "
		for i := range 2 * recentMax {
			want += fmt.Sprint(i, " ")
		}
		w.want(e, want)
	})
}

// A call that is lost is a gap, told within a second or two, and one that only seems lost is none.
func TestLoss(t *testing.T) {
	for name, c := range map[string]struct {
		v    verdict
		want string
	}{"call": {isLost, "gap "}, "answer": {answerLost, "a "}, "none, twice": {twice, "a "}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, 2)
				e := &events{}
				w.subscribe(1, 2, e)
				w.setFault(func(_, _ cluster.NodeID, method string) verdict {
					if method == methodChanges {
						return c.v
					}
					return arrives
				})
				w.nodes[2].commit("a", false)
				time.Sleep(100 * time.Millisecond)
				w.setFault(nil)
				time.Sleep(2 * RetryPause)
				w.want(e, c.want)
				w.nodes[2].commit("b", false)
				time.Sleep(100 * time.Millisecond)
				w.want(e, "b ")
			})
		})
	}
}

func (w *world) setFault(f func(from, to cluster.NodeID, method string) verdict) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = f
}

// The holder was started again: a new view has the subscriber ask at once.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2)
		e := &events{}
		s := w.subscribe(1, 2, e)
		before := s.Cursor()
		w.nodes[2].restart()
		w.nodes[2].commit("missed", false)
		synctest.Wait() // all look at the view
		w.newView()
		time.Sleep(10 * time.Millisecond)
		w.want(e, "gap ")
		if after := s.Cursor(); after.Life == before.Life {
			t.Errorf("the cursor is %+v after a restart, was %+v", after, before)
		}
		w.nodes[2].commit("a", false)
		time.Sleep(100 * time.Millisecond)
		w.want(e, "a ")
		// Without a view that changes the renewal finds it.
		w.nodes[2].restart()
		time.Sleep(RenewPeriod + 4*RetryPause)
		w.want(e, "gap ")
	})
}

// A subscriber that is cut off for longer than a lease is forgotten, and finds that out.
func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2)
		e := &events{}
		w.subscribe(1, 2, e)
		time.Sleep(4 * Lease)
		w.want(e, "")
		if s := w.nodes[2].feed.Stats(); s.Held != 1 || s.Expired != 0 {
			t.Errorf("renewed in time: %+v", s)
		}
		w.setFault(func(cluster.NodeID, cluster.NodeID, string) verdict { return isLost })
		time.Sleep(2*Lease + RenewPeriod)
		if s := w.nodes[2].feed.Stats(); s.Held != 0 || s.Expired != 1 {
			t.Errorf("not renewed: %+v", s)
		}
		w.nodes[2].commit("missed", false)
		w.setFault(nil)
		time.Sleep(3 * RetryPause)
		w.want(e, "gap ")
		if s := w.nodes[1].feed.Stats(); s.RenewFailures == 0 || s.Resubscribed != 1 {
			t.Errorf("subscriber: %+v", s)
		}
	})
}

// A callback that does not return: what waits for it is bounded, then there is a gap.
func TestSlowSubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2)
		e := &events{wait: make(chan struct{})}
		w.subscribe(1, 2, e)
		for i := range 2 * QueueMax {
			w.nodes[2].commit(fmt.Sprint(i), false)
			if i%(PendingMax/2) == 0 {
				time.Sleep(time.Second)
			}
		}
		time.Sleep(time.Second)
		s := w.nodes[1].feed.Stats()
		if s.LostQueue == 0 || s.Received != 2*QueueMax {
			t.Errorf("subscriber: %+v", s)
		}
		close(e.wait)
		synctest.Wait()
		e.mu.Lock()
		defer e.mu.Unlock()
		if len(e.all) != 2 || e.all[0].Gap || !e.all[1].Gap || len(e.all[1].Changes) > QueueMax {
			t.Errorf("%d events, the last with %d changes", len(e.all), len(e.all[len(e.all)-1].Changes))
		}
	})
}

// More changes than can wait to be sent: there is a gap, and the last ones are told.
func TestOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2)
		e := &events{}
		w.subscribe(1, 2, e)
		for i := range PendingMax + 2 {
			w.nodes[2].commit(fmt.Sprint(i), false)
		}
		time.Sleep(time.Second)
		w.want(e, fmt.Sprintf("gap %d ", PendingMax+1))
		for i := range PendingMax + 1 {
			w.nodes[2].commit(fmt.Sprint(i), false)
		}
		time.Sleep(time.Second)
		w.want(e, "gap ")
		if s := w.nodes[2].feed.Stats(); s.LostPending != 2*(PendingMax+1) || s.Pending != 0 {
			t.Errorf("holder: %+v", s)
		}
	})
}

func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, 2)
		f := w.nodes[1].feed
		on := func(Event) {}
		ctx := context.Background()
		for name, c := range map[string]struct {
			owner string
			types []cluster.ObjectType
			kind  cluster.Kind
		}{
			"nobody":    {"", []cluster.ObjectType{typeNote}, cluster.KindInvalid},
			"no types":  {owner, nil, cluster.KindInvalid},
			"too many":  {owner, make([]cluster.ObjectType, TypesMax+1), cluster.KindInvalid},
			"lost call": {owner, []cluster.ObjectType{typeNote}, cluster.KindUnavailable},
		} {
			w.setFault(func(cluster.NodeID, cluster.NodeID, string) verdict { return isLost })
			if _, err := f.Subscribe(ctx, 2, c.owner, c.types, on); !cluster.IsKind(err, c.kind) {
				t.Errorf("%s: %v, want kind %v", name, err, c.kind)
			}
		}
		w.setFault(nil)
		h := &w.nodes[2].feed.holder
		h.mu.Lock()
		for i := range SubscriptionsMax {
			h.all[key{9, uint64(i)}] = &held{}
		}
		h.mu.Unlock()
		if _, err := f.Subscribe(ctx, 2, owner, []cluster.ObjectType{typeNote}, on); !cluster.IsKind(err, cluster.KindLimit) {
			t.Errorf("no room: %v, want kind limit", err)
		}
		if s := f.Stats(); s.Subscriptions != 0 {
			t.Errorf("after refusals: %+v", s)
		}
		f.Close()
		if _, err := f.Subscribe(ctx, 2, owner, []cluster.ObjectType{typeNote}, on); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("after Close: %v, want kind unavailable", err)
		}
	})
}

// follower keeps a copy of what lies at a holder, as an index does: it lists after a gap, and else takes the changes.
type follower struct {
	holder *fake
	mu     sync.Mutex
	copy   map[string]cluster.Timestamp
	rng    *rand.Rand
}

func (f *follower) on(e Event) {
	f.mu.Lock()
	slow := time.Duration(f.rng.IntN(3)) * 10 * time.Millisecond
	f.mu.Unlock()
	time.Sleep(slow)
	if e.Gap {
		f.relist()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range e.Changes {
		id, at := c.Object.ID.ID, c.Object.Timestamp
		switch {
		case c.State == cluster.ChangeRemoved:
			if f.copy[id].Compare(at) < 0 {
				delete(f.copy, id)
			}
		case f.copy[id].Compare(at) < 0:
			f.copy[id] = at
		}
	}
}

func (f *follower) relist() {
	objects := f.holder.list()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.copy = map[string]cluster.Timestamp{}
	for id, o := range objects {
		f.copy[id] = o.Timestamp
	}
}

// TestV2_NothingIsMissed: whatever is lost, repeated or started again, who subscribes, then lists, and lists after
// each gap, ends with what the holder has.
func TestV2_NothingIsMissed(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { missNothing(t, seed) })
		})
	}
}

func missNothing(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t, 1, 2)
	holder := w.nodes[2]
	for i := range 5 {
		holder.commit(fmt.Sprint(i), false)
	}
	f := &follower{holder: holder, copy: map[string]cluster.Timestamp{}, rng: rand.New(rand.NewPCG(seed, 2))}
	faults := rand.New(rand.NewPCG(seed, 3))
	rate := rng.IntN(60)
	w.setFault(func(_, _ cluster.NodeID, _ string) verdict { // w.mu is held
		if faults.IntN(100) < rate {
			return verdict(1 + faults.IntN(3))
		}
		return arrives
	})
	var work sync.WaitGroup
	work.Go(func() {
		for {
			s, err := w.nodes[1].feed.Subscribe(context.Background(), 2, owner, []cluster.ObjectType{typeNote}, f.on)
			if err == nil {
				_ = s.Cursor()
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		f.relist()
	})
	for range 300 {
		switch k := rng.IntN(100); {
		case k < 80:
			holder.commit(fmt.Sprint(rng.IntN(20)), rng.IntN(3) == 0)
		case k < 83:
			holder.restart()
			if rng.IntN(2) == 0 {
				w.newView()
			}
		default:
			time.Sleep(time.Duration(rng.IntN(3000)) * time.Millisecond)
		}
	}
	work.Wait()
	w.setFault(nil)
	time.Sleep(2*Lease + 2*RenewPeriod)
	synctest.Wait()
	have := holder.list()
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, o := range have {
		if f.copy[id] != o.Timestamp {
			t.Errorf("%s is of %v there, of %v here", id, o.Timestamp, f.copy[id])
		}
	}
	if len(f.copy) != len(have) {
		t.Errorf("%d objects here, %d there", len(f.copy), len(have))
	}
}
