package upkeep_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/node"
	"porcupine/internal/cluster/store"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/upkeep"
)

// The objects of these tests: notes, of which managers know where they lie, and cards, which they have.
const (
	typeNote cluster.ObjectType = "note"
	typeCard cluster.ObjectType = "card"
	// typeSet is inline, and its contents are joined.
	typeSet cluster.ObjectType = "set"
)

var testCluster = cluster.ID{0x75, 0x70}

func testTypes() []cluster.TypeSpec {
	union := func(a, b []byte) ([]byte, error) {
		set := slices.Concat(a, b)
		slices.Sort(set)
		return slices.Compact(set), nil
	}
	return []cluster.TypeSpec{{Name: typeNote}, {Name: typeCard, Cached: true}, {Name: typeSet, Inline: true, Merge: union}}
}

// world is a cluster of real nodes on disks in memory, in fake time.
type world struct {
	testing.TB
	net      *transport.Switch
	machines []*machine
	log      *slog.Logger
	logged   *buffer
	cfg      upkeep.Config           // of every node's upkeep
	buckets  map[cluster.Bucket]bool // of the objects put
}

// machine is a computer: a disk that stays, and a node that comes and goes.
type machine struct {
	w       *world
	id      cluster.NodeID
	on      string // what it shares with others; empty: nothing
	fs      *disk
	bad     *badDisk
	store   *store.Store
	link    *transport.SwitchPort
	node    *node.Node // nil: off
	up      *upkeep.Upkeep
	end     context.CancelFunc
	ended   chan struct{}
	drained chan struct{}
}

// disk is a file system in memory with room.
type disk struct {
	vfs.FS
	free atomic.Uint64
}

func (d *disk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: d.free.Load(), TotalBytes: 1 << 40}, nil
}

// Unwrap gives the file system under this one.
func (d *disk) Unwrap() vfs.FS { return d.FS }

// buffer is a log that many goroutines write.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// inBubble runs a test in fake time.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

// notUnderRace skips a test when it is to be quick under the race detector: the others take the same
// ways.
func notUnderRace(t *testing.T) {
	t.Helper()
	if raceEnabled && testing.Short() {
		t.Skip("not with -race -short: a boot takes seconds")
	}
}

// boot makes a cluster of that many nodes and waits until it is at rest.
func boot(t testing.TB, count int, cfg upkeep.Config) *world {
	t.Helper()
	return bootOn(t, cfg, make([]string, count)...)
}

// bootOn does so with a node for each of the names: what it shares with others.
func bootOn(t testing.TB, cfg upkeep.Config, on ...string) *world {
	t.Helper()
	w := &world{TB: t, net: transport.NewSwitch(1), logged: &buffer{}, cfg: cfg, buckets: map[cluster.Bucket]bool{}}
	w.log = slog.New(slog.NewTextHandler(w.logged, &slog.HandlerOptions{Level: slog.LevelInfo}))
	t.Cleanup(func() {
		for _, m := range w.machines {
			m.kill()
		}
		if t.Failed() {
			t.Log(w.logged.String())
		}
	})
	for _, name := range on {
		w.addOn(name)
	}
	w.settle(w.machines...)
	return w
}

// add makes and starts one more machine.
func (w *world) add() *machine {
	w.Helper()
	return w.addOn("")
}

func (w *world) addOn(name string) *machine {
	w.Helper()
	m := &machine{w: w, on: name, id: cluster.NodeID(0x10 * (len(w.machines) + 1)), fs: &disk{FS: vfs.NewMem()}}
	m.fs.free.Store(1 << 38)
	w.machines = append(w.machines, m)
	m.start()
	return m
}

func (m *machine) addr() string { return fmt.Sprintf("machine-%x", uint64(m.id)) }

// start switches the machine on.
func (m *machine) start() {
	m.w.Helper()
	if err := m.tryStart(); err != nil {
		m.w.Fatalf("start %v: %v", m.id, err)
	}
}

func (m *machine) tryStart() (err error) {
	log := m.w.log.With("node", m.id)
	m.store, err = store.Open(store.Config{
		FS: m.fs, Dir: "data", ClusterID: testCluster, Node: m.id, Types: testTypes(),
		MinFree: 1 << 20, CacheSize: 1 << 20, MemTableSize: 1 << 20,
		Stamp: func() cluster.Timestamp { return m.node.JoinStamp() },
	})
	if err != nil {
		return err
	}
	m.bad = &badDisk{Store: m.store, bad: map[cluster.ObjectID]bool{}}
	if m.link, err = m.w.net.Port(m.id, m.addr()); err != nil {
		return err
	}
	var peers []string
	for _, other := range m.w.machines {
		peers = append(peers, other.addr())
	}
	m.node, err = node.New(node.Config{
		Self:    cluster.Endpoint{ID: m.id, Name: m.addr(), Addr: m.addr()},
		Machine: m.on, Cluster: testCluster, Version: "test", Store: m.bad, Link: m.link, Peers: peers, Logger: log,
		Membership: membership.Config{PingMissesDoubt: 2},
		OnFatal:    func(err error) { m.w.Errorf("node %v: %v", m.id, err) },
		OnDamaged:  func(id cluster.ObjectID) { m.up.Damaged(id) },
		IsLost:     func(id cluster.ObjectID) bool { return m.up.IsLost(id) },
	})
	if err != nil {
		return err
	}
	cfg := m.w.cfg
	cfg.Types, cfg.Logger = testTypes(), log
	drained := make(chan struct{})
	cfg.OnDrained = func() { close(drained) }
	m.drained = drained
	if m.up, err = upkeep.New(m.node, m.bad, cfg); err != nil {
		return err
	}
	m.up.Register()
	if err := m.node.Start(); err != nil {
		return err
	}
	var ctx context.Context
	ctx, m.end = context.WithCancel(context.Background())
	m.ended = make(chan struct{})
	go func() {
		defer close(m.ended)
		m.up.Run(ctx)
	}()
	return nil
}

// kill ends the machine; the others are not told: its cable is pulled first.
func (m *machine) kill() {
	if m.node == nil {
		return
	}
	for _, other := range m.w.machines {
		m.w.net.Cut(m.id, other.id)
		m.w.net.Cut(other.id, m.id)
	}
	m.off()
	for _, other := range m.w.machines {
		m.w.net.Heal(m.id, other.id)
		m.w.net.Heal(other.id, m.id)
	}
}

// off ends the machine in order.
func (m *machine) off() {
	m.end()
	<-m.ended
	_ = m.node.Stop(context.Background()) // it cannot reach the others if it was killed
	if err := errors.Join(m.link.Close(context.Background()), m.store.Close()); err != nil {
		m.w.Errorf("switch %v off: %v", m.id, err)
	}
	m.node = nil
}

// await polls until cond is nil, in fake time.
func (w *world) await(what string, limit time.Duration, cond func() error) time.Duration {
	w.Helper()
	began := time.Now()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := cond()
		took := time.Since(began)
		if err == nil {
			return took
		}
		if took > limit {
			w.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		<-tick.C
	}
}

// settle waits until these machines, and no others, share one view and know all of their buckets.
func (w *world) settle(machines ...*machine) {
	w.Helper()
	w.await("quiescence", 20*time.Second, func() error {
		first := machines[0].node.View()
		for _, m := range machines {
			v := m.node.View()
			if v.Epoch != first.Epoch || len(v.Members) != len(machines) {
				return fmt.Errorf("node %v is in epoch %v with %d members", m.id, v.Epoch, len(v.Members))
			}
			if err := m.node.Ready(); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *world) live() (list []*machine) {
	for _, m := range w.machines {
		if m.node != nil {
			list = append(list, m)
		}
	}
	return list
}

// newObject makes an object and its contents.
func newObject(t cluster.ObjectType, owner, id, contents string, copies int, on ...cluster.NodeID) (cluster.Update, cluster.Body) {
	return cluster.Update{Object: cluster.Object{
		ID: cluster.ObjectID{Type: t, Owner: owner, ID: id}, Replicas: cluster.NewReplicaSet(on...), Copies: copies,
		Size: int64(len(contents)), Sum: sha256.Sum256([]byte(contents)),
	}}, strings.NewReader(contents)
}

// put stores an object through the first live machine.
func (w *world) put(t cluster.ObjectType, owner, id string, copies int, on ...cluster.NodeID) cluster.ObjectID {
	w.Helper()
	u, body := newObject(t, owner, id, contentsOf(id), copies, on...)
	var short *cluster.Shortfall
	if err := w.live()[0].node.Update(context.Background(), u, body); err != nil && !errors.As(err, &short) {
		w.Fatalf("put %v: %v", u.Object.ID, err)
	}
	w.buckets[testCluster.BucketOf(owner)] = true
	return u.Object.ID
}

func contentsOf(id string) string { return "contents of " + id + strings.Repeat(".", 200) }

// held lists what a machine has, by id, read from its disk.
func (m *machine) held() map[cluster.ObjectID]cluster.Object {
	m.w.Helper()
	all := map[cluster.ObjectID]cluster.Object{}
	for b := range m.w.buckets {
		if err := m.store.Review(b, func(o cluster.Object, _ bool) error {
			all[o.ID] = o
			return nil
		}); err != nil {
			m.w.Fatalf("review %v: %v", m.id, err)
		}
	}
	return all
}

// check reports the first object that does not lie, byte for byte, on exactly the nodes of its
// replica set, that many of them, all alive.
func (w *world) check(copies int) error {
	held := map[*machine]map[cluster.ObjectID]cluster.Object{}
	for _, m := range w.live() {
		held[m] = m.held()
	}
	for m, objects := range held {
		for id, o := range objects {
			if len(o.Replicas) != copies {
				return fmt.Errorf("%v lies on %v, want %d nodes", id, o.Replicas, copies)
			}
			found := 0
			for other, theirs := range held {
				have, ok := theirs[id]
				if ok != o.Replicas.Contains(other.id) || ok && (have.Timestamp != o.Timestamp || have.Sum != o.Sum) {
					return fmt.Errorf("%v: node %v has %v, node %v has %v (%t)", id, m.id, o, other.id, have, ok)
				}
				if ok {
					found++
				}
			}
			if found != copies {
				return fmt.Errorf("%v: %d live copies on %v, want %d", id, found, o.Replicas, copies)
			}
		}
	}
	return nil
}

// quiet reports whether no update is under way between live nodes.
func (w *world) quiet() error {
	for _, m := range w.live() {
		if s := m.up.Status(); s.Owed > 0 {
			return fmt.Errorf("node %v owes %d updates", m.id, s.Owed)
		}
	}
	return nil
}
