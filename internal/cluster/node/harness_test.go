package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/store"
	"porcupine/internal/cluster/transport"
)

// The tests run whole clusters in one process: real stores on disks in memory, real nodes, the
// switch as network. Most run in a bubble of fake time with the default timings, so that a second
// of failover costs milliseconds and nothing is late because the machine is busy.

// The services of the tests know notes, of which a manager knows where they lie, and cards, which
// it has itself.
const (
	typeNote cluster.ObjectType = "note"
	typeCard cluster.ObjectType = "card"
	// typeSet is inline, and its contents are joined: they are sets of letters.
	typeSet cluster.ObjectType = "set"
	// typeCounter belongs to the second service, which knows the node from outside.
	typeCounter cluster.ObjectType = "counter"
)

var testCluster = cluster.ID{0x6e, 0x6f, 0x64, 0x65}

func testTypes() []cluster.TypeSpec {
	return []cluster.TypeSpec{
		{Name: typeNote, Derive: lengthOf, DeriveVersion: 1},
		{Name: typeCard, Cached: true}, {Name: typeCounter, Cached: true},
		{Name: typeSet, Inline: true, Merge: union},
	}
}

func union(a, b []byte) ([]byte, error) {
	set := slices.Concat(a, b)
	slices.Sort(set)
	return slices.Compact(set), nil
}

// lengthOf derives the length of contents.
func lengthOf(_ io.ReaderAt, size int64) ([]byte, error) { return fmt.Append(nil, size), nil }

// world is a cluster, its network and its machines.
type world struct {
	testing.TB
	net      *transport.Switch
	machines []*machine
	log      *slog.Logger
	logged   *safeBuffer
	register func(*Node)       // the services of every node
	records  int               // Config.RecordsMax
	times    membership.Config // Config.Membership
	onFatal  atomic.Int64
}

// machine is a computer: a disk that stays, and a node that comes and goes.
type machine struct {
	w     *world
	id    cluster.NodeID
	peers []string
	disk  *disk
	skew  atomic.Int64 // of the wall clock: see setClock
	hooks hooks

	store *store.Store
	link  *transport.SwitchPort
	node  *Node // nil: off
}

// hooks are faults of one machine's own.
type hooks struct {
	send    atomic.Pointer[func(method string, to cluster.NodeID) error] // may fail a call
	putMeta atomic.Pointer[func(name string) error]                      // may fail a durable write
	applied atomic.Pointer[func(u *cluster.Update) error]                // may hide that an update was applied
	accept  atomic.Pointer[func() error]                                 // may refuse updates without contents
	records atomic.Pointer[func() error]                                 // may say that not all records can be read
	retire  atomic.Pointer[func() error]                                 // may refuse to drop records
	open    atomic.Pointer[func(id cluster.ObjectID) error]              // may fail a read
	damaged atomic.Int64                                                 // contents reported as damaged
	struck  atomic.Int64                                                 // times the node was told that it is struck
}

// failCalls has f decide which calls of the machine fail; nil: none.
func (m *machine) failCalls(f func(method string, to cluster.NodeID) error) {
	m.hooks.send.Store(&f)
}

// failWrites has f decide which durable writes of values fail; nil: none.
func (m *machine) failWrites(f func(name string) error) { m.hooks.putMeta.Store(&f) }

// disk is a file system in memory that says how much room there is, and that may hang.
type disk struct {
	vfs.FS
	mem   *vfs.MemFS
	free  atomic.Uint64
	valve valve
}

func newDisk(mem *vfs.MemFS) *disk {
	d := &disk{FS: mem, mem: mem}
	d.free.Store(1 << 40)
	return d
}

func (d *disk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: d.free.Load(), TotalBytes: 1 << 40}, nil
}

// Unwrap gives the file system under this one.
func (d *disk) Unwrap() vfs.FS { return d.FS }

// inBubble runs a test in fake time.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

// pass lets fake time pass.
func pass(d time.Duration) { time.Sleep(d) }

// notUnderRace skips a test when it is to be quick under the race detector: the others take the same
// ways through the node.
func notUnderRace(t *testing.T) {
	t.Helper()
	if raceEnabled && testing.Short() {
		t.Skip("not with -race -short: a boot takes seconds")
	}
}

// rounds is how often a test repeats itself: once with -short and with the race detector, with which
// the storage engine checks itself at every step and a boot takes seconds.
func rounds(n int) int {
	if raceEnabled || testing.Short() {
		return 1
	}
	return n
}

// newWorld makes machines without starting them. Every one is told the addresses of all.
func newWorld(t testing.TB, count int) *world {
	t.Helper()
	w := &world{TB: t, net: transport.NewSwitch(1), logged: &safeBuffer{}, times: membership.Config{PingMissesDoubt: 2}}
	w.log = slog.New(slog.NewTextHandler(w.logged, &slog.HandlerOptions{Level: slog.LevelInfo}))
	t.Cleanup(func() {
		for _, m := range w.machines {
			m.kill()
		}
		if t.Failed() {
			t.Log(w.logged.String())
		}
	})
	for range count {
		w.add()
	}
	return w
}

// add makes one more machine.
func (w *world) add() *machine {
	id := cluster.NodeID(0x10 * (len(w.machines) + 1))
	m := &machine{w: w, id: id, disk: newDisk(vfs.NewCrashableMem())}
	w.machines = append(w.machines, m)
	for _, other := range w.machines {
		other.peers = nil
		for _, p := range w.machines {
			other.peers = append(other.peers, p.addr())
		}
	}
	return m
}

// boot makes machines, starts them, and waits until they are one quiet cluster.
func boot(t testing.TB, count int) *world {
	t.Helper()
	w := newWorld(t, count)
	for _, m := range w.machines {
		m.start()
	}
	w.settle(w.machines...)
	return w
}

func (m *machine) addr() string { return fmt.Sprintf("machine-%x", uint64(m.id)) }

func (m *machine) now() time.Time { return time.Now().Add(m.ahead()) }

// setClock sets the wall clock so far ahead of the right time.
func (m *machine) setClock(ahead time.Duration) { m.skew.Store(int64(ahead)) }

func (m *machine) ahead() time.Duration { return time.Duration(m.skew.Load()) }

// start switches the machine on.
func (m *machine) start() {
	m.w.Helper()
	if err := m.tryStart(); err != nil {
		m.w.Fatalf("start %v: %v", m.id, err)
	}
}

func (m *machine) tryStart() (err error) {
	m.w.Helper()
	m.store, err = store.Open(store.Config{
		FS: m.disk, Dir: "data", ClusterID: testCluster, Node: m.id, Types: testTypes(),
		MinFree: 1 << 20, CacheSize: 1 << 20, MemTableSize: 1 << 20, Now: m.now,
		Stamp: func() cluster.Timestamp { return m.node.JoinStamp() },
	})
	if err != nil {
		return err
	}
	if m.link, err = m.w.net.Port(m.id, m.addr()); err != nil {
		return errors.Join(err, m.store.Close())
	}
	m.node, err = New(Config{
		Self:    cluster.Endpoint{ID: m.id, Name: m.addr(), Addr: m.addr()},
		Cluster: testCluster, Version: "test", Store: hookedStore{m.store, m}, Link: hookedLink{m.link, m},
		Peers: m.peers, Logger: m.w.log.With("node", m.id), Now: m.now,
		Membership: m.w.times, RecordsMax: m.w.records,
		OnFatal:   func(error) { m.w.onFatal.Add(1) },
		OnStruck:  func(membership.Refusal) { m.hooks.struck.Add(1) },
		OnDamaged: func(cluster.ObjectID) { m.hooks.damaged.Add(1) },
	})
	if err == nil {
		if m.w.register != nil {
			m.w.register(m.node)
		}
		err = m.node.Start()
	}
	if err != nil {
		m.off()
	}
	return err
}

// stop ends the node in order.
func (m *machine) stop() error {
	err := m.node.Stop(context.Background())
	m.off()
	return err
}

// kill ends the node as a signal would: nobody is told.
func (m *machine) kill() {
	if m.node != nil {
		m.abort()
		m.off()
	}
}

// abort ends what the node runs, without a word to the others.
func (m *machine) abort() {
	n := m.node
	n.end()
	if n.begun.CompareAndSwap(false, true) {
		close(n.stopped)
	}
	<-n.stopped
	n.life.end()
}

// off closes what the node stood on.
func (m *machine) off() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // cut what still runs
	if err := errors.Join(m.link.Close(ctx), m.store.Close()); err != nil {
		m.w.Errorf("switch %v off: %v", m.id, err)
	}
	m.node, m.link, m.store = nil, nil, nil
}

// losePower ends the node and all that its disk had not made durable.
func (m *machine) losePower() {
	after := newDisk(m.disk.mem.CrashClone(vfs.CrashCloneCfg{}))
	m.kill() // what it still writes, it writes to a disk that is not there any more
	m.disk = after
}

// await polls until cond is nil. In a bubble that costs no time.
func (w *world) await(what string, limit time.Duration, cond func() error) {
	w.Helper()
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := cond()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		<-tick.C
	}
}

// settleMax is the longest that a cluster may take to come to rest after a fault.
const settleMax = 20 * time.Second

// settle waits until these machines, and no others, share one view and know all of their buckets.
func (w *world) settle(machines ...*machine) {
	w.Helper()
	w.await("quiescence", settleMax, func() error { return isSettled(machines) })
}

func isSettled(machines []*machine) error {
	first := machines[0].node.View()
	for _, m := range machines {
		v := m.node.View()
		if v.Epoch != first.Epoch || len(v.Members) != len(machines) {
			return fmt.Errorf("node %v is in epoch %v with %d members, node %v in %v", m.id, v.Epoch, len(v.Members), machines[0].id, first.Epoch)
		}
		if err := m.node.Ready(); err != nil {
			return err
		}
		if s := m.node.selfStatus(); s.Pending != 0 {
			return fmt.Errorf("node %v still owes %d reports", m.id, s.Pending)
		}
	}
	return nil
}

// managedBy gives names that a machine manages in its own view.
func (m *machine) managed(count int) (names []string) {
	for i := 0; len(names) < count; i++ {
		name := fmt.Sprintf("owner-%d", i)
		if m.node.View().Manager(testCluster.BucketOf(name)) == m.id {
			names = append(names, name)
		}
	}
	return names
}

// ids lists the machines' nodes.
func ids(machines ...*machine) []cluster.NodeID {
	list := make([]cluster.NodeID, len(machines))
	for i, m := range machines {
		list[i] = m.id
	}
	return list
}

// newObject makes an object and its contents.
func newObject(typ cluster.ObjectType, owner, id, contents string, on ...cluster.NodeID) (cluster.Update, cluster.Body) {
	return cluster.Update{Object: cluster.Object{
		ID:       cluster.ObjectID{Type: typ, Owner: owner, ID: id},
		Replicas: cluster.NewReplicaSet(on...),
		Size:     int64(len(contents)), Sum: sha256.Sum256([]byte(contents)),
	}}, bytes.NewReader([]byte(contents))
}

// tryPut stores an object by way of this machine's node.
func (m *machine) tryPut(typ cluster.ObjectType, owner, id, contents string, on ...cluster.NodeID) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	u, body := newObject(typ, owner, id, contents, on...)
	return m.node.Update(ctx, u, body)
}

func (m *machine) put(typ cluster.ObjectType, owner, id, contents string, on ...cluster.NodeID) {
	m.w.Helper()
	if err := m.tryPut(typ, owner, id, contents, on...); err != nil {
		m.w.Fatalf("node %v: store %s %q of %s on %v: %v", m.id, typ, id, owner, on, err)
	}
}

// lookup asks by way of this machine's node.
func (m *machine) lookup(owner string) cluster.Entry {
	m.w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	e, err := m.node.Lookup(ctx, owner)
	if err != nil {
		m.w.Fatalf("node %v: look up %s: %v", m.id, owner, err)
	}
	return e
}

// read gives an object's contents from a node.
func (m *machine) read(on cluster.NodeID, id cluster.ObjectID) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, body, err := m.node.Open(ctx, on, id)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(body)
	return string(b), errors.Join(err, body.Close())
}

// holders lists the nodes that an entry says hold objects of a type, ascending.
func holders(e cluster.Entry, t cluster.ObjectType) []cluster.NodeID {
	var all []cluster.NodeID
	for _, p := range e.Fragments {
		if p.Type == t {
			all = append(all, p.Holders...)
		}
	}
	return cluster.NewReplicaSet(all...)
}

// checkS1 compares every manager's entries with what all disks hold (S1), and that every owner on
// any disk is found from every node.
func (w *world) checkS1(machines ...*machine) {
	w.Helper()
	want := map[string][]cluster.Holding{}
	for _, m := range machines {
		for b := range cluster.Bucket(cluster.BucketCount) {
			if _, err := m.store.ScanBucket(b, func(h cluster.Holding) error {
				want[h.Owner] = append(want[h.Owner], h)
				return nil
			}); err != nil {
				w.Fatal(err)
			}
		}
	}
	for owner, disks := range want {
		for _, m := range machines {
			e := m.lookup(owner)
			if e.Knowledge == cluster.Partial {
				w.Errorf("S1: node %v says %v of %s after quiescence", m.id, e.Knowledge, owner)
			}
			count := 0
			for _, p := range e.Fragments {
				count += len(p.Holders)
			}
			for _, h := range disks {
				count -= len(h.Fragments)
				for _, c := range h.Cached {
					if !slices.ContainsFunc(e.Cached, func(have cluster.CachedObject) bool {
						return have.Object.ID == c.Object.ID && have.Object.Timestamp.Compare(c.Object.Timestamp) >= 0
					}) {
						w.Errorf("S1: node %v does not know %v of %s", m.id, c.Object.ID, owner)
					}
				}
			}
			if count != 0 {
				w.Errorf("S1: node %v knows %d fragments too many of %s: %+v, the disks hold %+v", m.id, count, owner, e.Fragments, disks)
			}
		}
	}
}

// hookedStore is a store with the machine's faults.
type hookedStore struct {
	*store.Store
	m *machine
}

func (s hookedStore) PutMeta(ctx context.Context, name string, value []byte) error {
	if f := s.m.hooks.putMeta.Load(); f != nil && *f != nil {
		if err := (*f)(name); err != nil {
			return err
		}
	}
	return s.Store.PutMeta(ctx, name, value)
}

func (s hookedStore) Apply(ctx context.Context, u cluster.Update, body cluster.Body) (store.Result, error) {
	r, err := s.Store.Apply(ctx, u, body)
	if f := s.m.hooks.applied.Load(); err == nil && f != nil && *f != nil {
		if err := (*f)(&u); err != nil {
			return store.Result{}, err
		}
	}
	return r, err
}

func (s hookedStore) Accept(ctx context.Context, updates []cluster.Update) ([]store.Result, error) {
	if f := s.m.hooks.accept.Load(); f != nil && *f != nil {
		if err := (*f)(); err != nil {
			return nil, err
		}
	}
	return s.Store.Accept(ctx, updates)
}

func (s hookedStore) Records(fn func(cluster.Record) error) error {
	err := s.Store.Records(fn)
	if f := s.m.hooks.records.Load(); err == nil && f != nil && *f != nil {
		err = (*f)()
	}
	return err
}

func (s hookedStore) Retire(ctx context.Context, items []cluster.Retirement) error {
	if f := s.m.hooks.retire.Load(); f != nil && *f != nil {
		if err := (*f)(); err != nil {
			return err
		}
	}
	return s.Store.Retire(ctx, items)
}

func (s hookedStore) OpenBody(id cluster.ObjectID) (cluster.Object, io.ReadCloser, error) {
	if f := s.m.hooks.open.Load(); f != nil && *f != nil {
		if err := (*f)(id); err != nil {
			return cluster.Object{}, nil, err
		}
	}
	return s.Store.OpenBody(id)
}

// hookedLink is a link with the machine's faults.
type hookedLink struct {
	*transport.SwitchPort
	m *machine
}

func (l hookedLink) Call(ctx context.Context, to cluster.Endpoint, r *transport.Request) (*transport.Response, error) {
	if f := l.m.hooks.send.Load(); f != nil && *f != nil {
		if err := (*f)(r.Method, to.ID); err != nil {
			return nil, err
		}
	}
	return l.SwitchPort.Call(ctx, to, r)
}

// safeBuffer takes the log lines of many goroutines.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
