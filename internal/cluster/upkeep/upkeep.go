package upkeep

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/placement"
	"porcupine/internal/cluster/store"
)

// Defaults.
const (
	RepairRateDefault     = 1000     // objects a second
	RepairBytesDefault    = 64 << 20 // bytes a second
	RebalanceRateDefault  = 100      // objects a second
	CompareEveryDefault   = time.Hour
	ScrubEveryDefault     = 7 * 24 * time.Hour
	rebalanceBytesDivisor = 4 // rebalancing has that part of RepairBytes
)

// Limits and times.
const (
	movesInFlight  = 16               // moves being carried out at once
	moveTimeout    = 2 * time.Minute  // of one update of a move; well below cluster.LateWindow
	passEvery      = time.Minute      // between passes when nothing happens
	thoroughEvery  = 10 * time.Minute // between passes that also look for small replica sets
	rebalanceEvery = 10 * time.Minute // between rebalancing passes: loads must have been heard again
	changeRest     = time.Second      // between a change of view and the pass after it
	failedRest     = 5 * time.Second  // between a pass in which something failed and the next
	collectEvery   = time.Minute
	damagedMax     = 1000 // damaged objects that are remembered, of each kind; the scrub finds the others again
	tellTimeout    = 30 * time.Second
)

// view is what upkeep needs to know of the cluster.
type view interface {
	ID() cluster.NodeID
	View() *cluster.View
	Changed() <-chan struct{}
	Absent() map[cluster.NodeID]time.Time
	Struck() cluster.ReplicaSet
	Loads() map[cluster.NodeID]cluster.Load
	Lookup(ctx context.Context, owner string) (cluster.Entry, error)
}

// mover is what it needs to change objects.
type mover interface {
	Update(ctx context.Context, u cluster.Update, body cluster.Body) error
	UpdateAll(ctx context.Context, updates []cluster.Update) []error
	Open(ctx context.Context, on cluster.NodeID, id cluster.ObjectID) (cluster.Object, io.ReadCloser, error)
	Announce(ctx context.Context, owners []string) error
	SetDraining(draining bool)
	Owed() map[cluster.NodeID]int
	Records() int
}

// talker is how it speaks to itself on other nodes.
type talker interface {
	Serve(method string, f func(ctx context.Context, from cluster.NodeID, payload []byte) ([]byte, error))
	Tell(ctx context.Context, to cluster.NodeID, method string, payload []byte) ([]byte, error)
}

// node is *node.Node.
type node interface {
	view
	mover
	talker
}

// disk is *store.Store.
type disk interface {
	Buckets() ([]cluster.Bucket, error)
	ScanBucket(b cluster.Bucket, fn func(cluster.Holding) error) (uint64, error)
	Review(b cluster.Bucket, fn func(o cluster.Object, propagating bool) error) error
	Get(id cluster.ObjectID) (cluster.Object, error)
	OpenBody(id cluster.ObjectID) (cluster.Object, io.ReadCloser, error)
	Heal(ctx context.Context, o cluster.Object, body cluster.Body) error
	Collect(ctx context.Context, now, together time.Time) (store.Collected, error)
	Meta(name string) ([]byte, error)
	PutMeta(ctx context.Context, name string, value []byte) error
}

// Config of an Upkeep. Types are needed; zero fields are the defaults.
type Config struct {
	Types []cluster.TypeSpec
	// Copies is how many copies objects of a type usually have; fragments on fewer nodes are looked at
	// when there are more nodes again. A type that is not in it is looked at by compare alone.
	Copies map[cluster.ObjectType]int

	RepairAfter time.Duration // absence after which replicas are replaced; default placement.RepairAfterDefault
	Grace       time.Duration // absence after which a node counts as struck; default placement.GraceDefault
	RepairRate  int           // objects a second; default RepairRateDefault
	RepairBytes int64         // bytes a second; default RepairBytesDefault

	// Rebalance is the time of day in which disks and spread are evened out; the zero Window: never.
	Rebalance     Window
	RebalanceRate int // objects a second; default RebalanceRateDefault
	Spread        int // nodes that one owner's objects may be spread over; 0: no limit

	CompareEvery time.Duration // in which all buckets are compared once; default CompareEveryDefault
	ScrubEvery   time.Duration // in which all contents are read once; default ScrubEveryDefault

	// Orphans says which of an owner's objects belong, conclusively, to nobody and may be deleted. It
	// must never conclude that from ignorance (V1). nil: nothing is deleted.
	Orphans func(ctx context.Context, owner string, objects []cluster.Object) ([]cluster.Object, error)
	// OnDrained is called, once for each draining, when nothing is left on the node: it shall leave. It
	// may not wait for Run.
	OnDrained func()

	Logger *slog.Logger     // nil: nothing is logged
	Now    func() time.Time // the wall clock; default time.Now
}

func (c Config) withDefaults() Config {
	c.RepairAfter = cmp.Or(c.RepairAfter, placement.RepairAfterDefault)
	c.Grace = cmp.Or(c.Grace, placement.GraceDefault)
	c.RepairRate = cmp.Or(c.RepairRate, RepairRateDefault)
	c.RepairBytes = cmp.Or(c.RepairBytes, RepairBytesDefault)
	c.RebalanceRate = cmp.Or(c.RebalanceRate, RebalanceRateDefault)
	c.CompareEvery = cmp.Or(c.CompareEvery, CompareEveryDefault)
	c.ScrubEvery = cmp.Or(c.ScrubEvery, ScrubEveryDefault)
	if c.OnDrained == nil {
		c.OnDrained = func() {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Upkeep is one node's. Its methods may be called from any goroutine.
type Upkeep struct {
	cfg    Config
	log    *slog.Logger
	node   node
	disk   disk
	cached map[cluster.ObjectType]bool // whether managers hold the contents; those come first in a Review
	inline map[cluster.ObjectType]bool // whether contents lie in the record, and come with every update
	began  time.Time

	repairs    *throttle
	rebalances *throttle
	wake       chan struct{}         // one element: a pass is wanted now
	damage     chan cluster.ObjectID // to the healer; full: the scrub finds the rest
	draining   atomic.Bool
	count      counts

	mu      sync.Mutex
	lost    map[cluster.ObjectID]ill // damaged here, and nobody has it
	waiting map[cluster.ObjectID]ill // damaged here, and who may have it does not answer
	drained drainState
	// surveyed is the view that was there when the headers were last looked at.
	surveyed cluster.Epoch
	short    map[cluster.Bucket]bool // in which comparing found objects with too few copies; the next pass looks there
}

// New makes an Upkeep on a node and its disk. Nothing runs until Run.
func New(n node, d disk, cfg Config) (*Upkeep, error) {
	if n == nil || d == nil || len(cfg.Types) == 0 {
		return nil, cluster.Errorf(cluster.KindInvalid, "new upkeep", "configuration lacks a node, a disk or the types")
	}
	cfg = cfg.withDefaults()
	u := &Upkeep{
		cfg: cfg, log: cfg.Logger, node: n, disk: d, cached: map[cluster.ObjectType]bool{}, inline: map[cluster.ObjectType]bool{}, began: cfg.Now(),
		repairs:    newThrottle(cfg.RepairRate, cfg.RepairBytes),
		rebalances: newThrottle(cfg.RebalanceRate, cfg.RepairBytes/rebalanceBytesDivisor),
		wake:       make(chan struct{}, 1), damage: make(chan cluster.ObjectID, damagedMax),
		lost: map[cluster.ObjectID]ill{}, waiting: map[cluster.ObjectID]ill{}, short: map[cluster.Bucket]bool{},
	}
	for _, t := range cfg.Types {
		u.cached[t.Name], u.inline[t.Name] = t.Cached, t.HasInline()
	}
	return u, u.loadDraining()
}

// Run does all tasks until ctx ends, and returns when all have ended.
func (u *Upkeep) Run(ctx context.Context) {
	var work sync.WaitGroup
	for _, task := range []func(context.Context){u.keep, u.compareAlways, u.scrubAlways, u.healAlways, u.collectAlways} {
		work.Go(func() { task(ctx) })
	}
	work.Wait()
}

// Damaged says that contents on this node's disk do not match their checksum: they are fetched from
// another replica. It never waits.
func (u *Upkeep) Damaged(id cluster.ObjectID) {
	select {
	case u.damage <- id:
	default:
	}
}

// poke asks for a pass now.
func (u *Upkeep) poke() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// sleep waits; false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
