package part

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/softstate"
	"porcupine/internal/cluster/store"
	"porcupine/internal/cluster/wire/call"
)

// fleet is some nodes with real stores and the two halves of the soft state, in one process: pushes are written and read as
// on the wire, and carried by a function call.
type fleet struct {
	stores []*store.Store // of nodes 1 and up
	seats  []*seat
	clock  time.Time
	work   []func() error // still to be carried out
	done   counts
}

// seat is one node's soft state.
type seat struct {
	id       cluster.NodeID
	store    *store.Store
	manager  *softstate.Manager
	reporter *softstate.Reporter
}

// counts are what a reconstruction took.
type counts struct {
	scanned  int   // buckets, by all members
	holdings int   // told to managers
	pushes   int   // between nodes and at home
	bytes    int64 // of pushes
}

// scene is a cluster whose last node dies.
type scene struct {
	nodes   int // the one that dies included
	users   int // that it manages
	buckets int // that it manages; all others change nothing
}

// fill makes the stores and puts the dead node's users on the disks of two others each, at random. Of users whom others manage there
// are none: nothing of them is read or told.
func fill(ctx context.Context, dir string, s scene) (*fleet, error) {
	stores, err := openStores(dir, s.nodes-1)
	if err != nil {
		return nil, err
	}
	f := &fleet{stores: stores, clock: time.Unix(1_800_000_000, 0)}
	rng := rand.New(rand.NewPCG(1, uint64(s.nodes)))
	updates := make([][]cluster.Update, len(stores))
	for i, name := range userNames(s.users, firstBuckets(s.buckets)) {
		a := rng.IntN(len(stores))
		b := (a + 1 + rng.IntN(len(stores)-1)) % len(stores)
		objects := userObjects(name, i, cluster.NewReplicaSet(cluster.NodeID(a+1), cluster.NodeID(b+1)))
		updates[a], updates[b] = append(updates[a], objects...), append(updates[b], objects...)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for i, list := range updates {
		g.Go(func() error { return keep(ctx, stores[i], list) })
	}
	if err := g.Wait(); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

func (f *fleet) close() error { return closeStores(f.stores) }

// view gives one of a row of views. In the first one the last node manages the first buckets; in the second it is dead, and they have
// gone to the others in turn; in each later one they have gone on by one node, which costs the same again.
func (s scene) view(number int) *cluster.View {
	first := cluster.Epoch{Counter: 1, Coordinator: 1}
	v := &cluster.View{Epoch: cluster.Epoch{Counter: uint64(number), Coordinator: 1}}
	living := s.nodes - 1
	for i := range s.nodes {
		id := cluster.NodeID(i + 1)
		if number == 1 || i < living {
			v.Members = append(v.Members, cluster.Member{Endpoint: cluster.Endpoint{ID: id, Addr: fmt.Sprint("node", id)}, Since: first})
		}
	}
	for b := range cluster.BucketCount {
		a := cluster.Assignment{Manager: cluster.NodeID(b%living + 1), Epoch: first}
		switch {
		case b >= s.buckets:
		case number == 1:
			a.Manager = cluster.NodeID(s.nodes)
		default:
			a.Manager, a.Epoch = cluster.NodeID((b+number)%living+1), v.Epoch
		}
		v.Map = append(v.Map, a)
	}
	return v
}

// begin makes the soft state of the members that will live, in the first view. Of what they owe to the one that will be dead, nothing is
// ever answered.
func (f *fleet) begin(s scene) error {
	f.seats = nil
	for i, st := range f.stores {
		id := cluster.NodeID(i + 1)
		f.seats = append(f.seats, &seat{id: id, store: st,
			manager: softstate.NewManager(id, clusterID()), reporter: softstate.NewReporter(id, clusterID())})
	}
	return f.install(s.view(1))
}

// reconstruct measures what a view of the row after the first costs all members, from its installation until every bucket has
// been told in full.
func (f *fleet) reconstruct(s scene, number int) (cost time.Duration, done counts, err error) {
	v := s.view(number)
	f.done = counts{}
	before, err := processorTime()
	if err != nil {
		return 0, done, err
	}
	if err := f.install(v); err != nil {
		return 0, done, err
	}
	after, err := processorTime()
	if err != nil {
		return 0, done, err
	}
	owners := int64(0)
	for _, n := range f.seats {
		c := n.manager.Counts()
		if c.Incomplete > 0 || n.reporter.OwedBuckets() > 0 {
			return 0, done, fmt.Errorf("node %v: %d buckets incomplete, %d owed after the work was done", n.id, c.Incomplete, n.reporter.OwedBuckets())
		}
		owners += c.Owners
	}
	if owners != int64(s.users) {
		return 0, done, fmt.Errorf("the managers know %d users, want %d", owners, s.users)
	}
	return after - before, f.done, nil
}

// install makes a view current everywhere and carries out all that follows from it.
func (f *fleet) install(v *cluster.View) error {
	for _, n := range f.seats {
		n.manager.Install(v, f.clock)
	}
	for _, n := range f.seats {
		f.carry(n, n.reporter.Install(v, f.clock))
	}
	for len(f.work) > 0 {
		next := f.work[0]
		f.work = f.work[1:]
		if err := next(); err != nil {
			return err
		}
	}
	return nil
}

// carry puts what a reporter wants on the list of work.
func (f *fleet) carry(n *seat, o softstate.Output) {
	for _, s := range o.Scans {
		f.work = append(f.work, func() error { return f.scan(n, s) })
	}
	for _, p := range o.Pushes {
		f.work = append(f.work, func() error { return f.push(n, p) })
	}
}

// scan reads buckets as the node does: until they are more than one push can take.
func (f *fleet) scan(n *seat, s softstate.Scan) error {
	var got []softstate.Scanned
	holdings, bytes := 0, 0
	for _, b := range s.Buckets {
		if holdings > softstate.PushHoldingsMax || bytes > softstate.PushBytesMax {
			break
		}
		one := softstate.Scanned{Bucket: b}
		if _, err := n.store.ScanBucket(b, func(h cluster.Holding) error {
			one.Holdings = append(one.Holdings, h)
			bytes += softstate.SizeOf(&h)
			return nil
		}); err != nil {
			return err
		}
		holdings += len(one.Holdings)
		got = append(got, one)
	}
	f.done.scanned += len(got)
	f.carry(n, n.reporter.Scanned(s.Attempt, got, f.clock))
	return nil
}

// push carries a push to its manager. The node that will be dead answers nobody.
func (f *fleet) push(n *seat, o softstate.Outgoing) error {
	if int(o.To) > len(f.seats) {
		return nil
	}
	req := call.PushRequest{Epoch: o.Push.Epoch, Holdings: o.Push.Holdings, Complete: o.Push.Complete}
	p := o.Push
	if o.To != n.id {
		wire := req.Marshal()
		var read call.PushRequest
		if err := read.Unmarshal(wire); err != nil {
			return err
		}
		p = &softstate.Push{From: n.id, Epoch: read.Epoch, Holdings: read.Holdings, Complete: read.Complete}
		f.done.bytes += int64(len(wire))
	}
	f.done.pushes++
	f.done.holdings += len(p.Holdings)
	err := f.seats[o.To-1].manager.Receive(p, f.clock)
	f.carry(n, n.reporter.Answered(o.Push.ID, err, f.clock))
	return err
}
