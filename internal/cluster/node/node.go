package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/balance"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/softstate"
	"porcupine/internal/cluster/store"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/watchdog"
	"porcupine/internal/cluster/wire"
)

// Limits of a node.
const (
	EventsMax        = 4096 // waiting for the loop; a full queue makes their senders wait
	MessagesInFlight = 512  // membership messages being sent; more are dropped, as a network would
	CallsInFlight    = 256  // pushes being sent; more wait their turn
	ServicesMax      = 256  // methods of services
)

// Times of a node.
const (
	// RegisterWait bounds how long a commit waits for the owner's manager to hear of it. The
	// object is durable by then, and the reporter goes on: see Node.Update.
	RegisterWait = 3 * time.Second
	// MessageTimeout bounds the sending of one membership message.
	MessageTimeout = 2 * time.Second
	// LeaveTimeout bounds an orderly departure.
	LeaveTimeout = 3 * time.Second
	// PersistTimeout bounds a durable write of the membership state. A disk that is slower, and does not
	// hang (see Outage), has failed: nobody can be promised anything.
	PersistTimeout = 30 * time.Second
)

// Hard is what the node needs of its disk: *store.Store.
type Hard interface {
	Apply(ctx context.Context, u cluster.Update, body cluster.Body) (store.Result, error)
	Accept(ctx context.Context, updates []cluster.Update) ([]store.Result, error)
	Retire(ctx context.Context, items []cluster.Retirement) error
	Records(fn func(cluster.Record) error) error
	Record(id cluster.ObjectID) (cluster.Record, bool, error)
	Update(id cluster.ObjectID, ts cluster.Timestamp) (cluster.Update, bool, error)
	Get(id cluster.ObjectID) (cluster.Object, error)
	OpenBody(id cluster.ObjectID) (cluster.Object, io.ReadCloser, error)
	OpenRange(id cluster.ObjectID, offset, length int64) (cluster.Object, io.ReadCloser, error)
	List(owner string, t cluster.ObjectType) ([]cluster.Object, error)
	ListPage(owner string, t cluster.ObjectType, after string, most, bytesMax int) (list []cluster.Object, more bool, err error)
	Pieces(ctx context.Context, owner string, t cluster.ObjectType, pieces []cluster.Piece, bytesMax int) ([]cluster.Derived, error)
	Derived(ctx context.Context, owner string, t cluster.ObjectType, ids []string, bytesMax int) ([]cluster.Derived, error)
	Contents(owner string, t cluster.ObjectType, after string, most, bytesMax int) (list []cluster.Copy, more bool, err error)
	Merges(t cluster.ObjectType) bool
	IsCached(t cluster.ObjectType) bool
	Holding(owner string) (cluster.Holding, error)
	ScanBucket(b cluster.Bucket, fn func(cluster.Holding) error) (uint64, error)
	Load() cluster.Load
	Hangs() (age time.Duration, what string)
	LastTime() int64
	FoundSeq() uint64
	DurableSeq() uint64
	Meta(name string) ([]byte, error)
	PutMeta(ctx context.Context, name string, value []byte) error
}

// MachineLengthMax is the length in bytes of the longest name of a machine.
const MachineLengthMax = wire.NameLengthMax

// Config is what a node is made of. All fields but Peers, Policy and Now are needed.
type Config struct {
	Self       cluster.Endpoint
	Cluster    cluster.ID
	Version    string             // of the program; shown in status
	Machine    string             // the name of what the node shares with others, at most MachineLengthMax bytes; empty: nothing
	Counted    cluster.ObjectType // the cached type that status counts; empty: none
	Store      Hard
	Link       transport.Link
	Peers      []string          // cluster addresses to look for at start
	Membership membership.Config // timings; Self, Assign and Found are filled in
	RecordsMax int               // update records before an absent node is struck; default replication.RecordsMax
	Policy     balance.Policy    // chooses nodes for objects; default balance.Dynamic
	Logger     *slog.Logger
	Now        func() time.Time // the wall clock, with its monotonic reading; default time.Now
	// OnFatal is called at most once, from the loop, when the node can no longer keep its promises
	// (its membership state cannot be made durable). From then on it refuses everything; the
	// process must end. OnFatal may not wait for the node.
	OnFatal func(error)
	// OnStruck is called at most once, from the loop, when this node learns that the others refuse it
	// for good: it was struck, or its data directory is a copy. What its disk holds must be set
	// aside before it joins again, as a new node (but see membership.Output). From then on the node
	// refuses everything. OnStruck may not wait for the node; nil: OnFatal is called.
	OnStruck func(why membership.Refusal)
	// OnDamaged is called when contents on this node's disk turn out not to match their checksum,
	// from the goroutine that read them: it may not wait. nil: nobody repairs them.
	OnDamaged func(cluster.ObjectID)
	// IsLost reports whether it is known that no node has the contents of an object whose copy here is damaged. It may
	// not wait, and it may forget. nil: that is never known.
	IsLost func(cluster.ObjectID) bool
}

// Node is one running node. Its methods may be called from any goroutine.
type Node struct {
	cfg  Config
	on   cluster.Machine
	log  *slog.Logger
	ctx  context.Context // of the node's life
	end  context.CancelFunc
	view atomic.Pointer[installed]
	soft soft

	senses    senses
	machines  machineNames
	notices   notices
	clock     reserve
	owners    atomic.Int64 // managed here, as of the last change of view or report
	draining  atomic.Bool  // takes no new objects
	stopping  atomic.Bool  // Stop has begun
	failed    atomic.Bool  // the node cannot keep its promises: it refuses everything
	standing  atomic.Pointer[standing]
	dog       watchdog.Watchdog // of watchDisk alone
	services  services
	watcher   Watcher // nil: nobody; written before Start only
	stats     counters
	confirmer confirmer
	usage     usage
	facts     chan fact // for the log
	retirer   retirer
	catchUp   catchUp
	keeping   keeping
	doubts    doubts
	farewells chan struct{} // places

	begun   atomic.Bool // Start, or a Stop that came before it
	loop    *loop
	stopped chan struct{} // closed when the loop has ended
	life    life
}

// New makes a node on an open store and an open link. It reads the membership state and the clock
// of earlier lives from the store; nothing runs until Start.
func New(cfg Config) (*Node, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Policy == nil {
		cfg.Policy = balance.Dynamic{}
	}
	if cfg.Self.ID == cluster.NoNode || cfg.Store == nil || cfg.Link == nil || cfg.Logger == nil || cfg.OnFatal == nil {
		return nil, cluster.Errorf(cluster.KindInvalid, "new node", "configuration lacks an identity, store, link, logger or OnFatal")
	}
	if len(cfg.Machine) > MachineLengthMax {
		return nil, cluster.Errorf(cluster.KindInvalid, "new node", "the name of its machine has %d bytes, at most %d", len(cfg.Machine), MachineLengthMax)
	}
	n := &Node{cfg: cfg, on: cluster.MachineNamed(cfg.Machine), log: cfg.Logger, stopped: make(chan struct{})}
	n.ctx, n.end = context.WithCancel(context.Background())
	n.standing.Store(newStanding(n.ctx, nil))
	n.cfg.Store = guarded{cfg.Store, n}
	reserved, err := loadClock(cfg.Store)
	if err != nil {
		return nil, fmt.Errorf("new node: %w", err)
	}
	n.clock.init(reserved)
	n.senses = senses{
		clock: cluster.NewClock(cfg.Self.ID, max(cfg.Store.LastTime(), reserved)),
		peers: cluster.NewClocks(cluster.ClockSkewMax + 2*cfg.Membership.PingPeriod), // a member that lives is heard with each ping
		loads: balance.NewTable(),
		sole:  map[cluster.NodeID]bool{},
		skews: map[cluster.NodeID]time.Time{},
		rng:   rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),

		policy: cfg.Policy,
	}
	n.notices.init()
	n.facts = make(chan fact, FactsMax)
	n.retirer = retirer{ring: n.notices.ring, isSoon: n.cfg.Store.IsCached, peers: map[cluster.NodeID]*retiring{}}
	n.catchUp.init()
	n.keeping.init()
	n.farewells = make(chan struct{}, FarewellsInFlight)
	n.soft.manager = softstate.NewManager(cfg.Self.ID, cfg.Cluster)
	n.view.Store(newInstalled(n.ctx, &cluster.View{Map: make(cluster.UserMap, cluster.BucketCount)}, nil))
	if n.loop, err = newLoop(n); err != nil {
		return nil, fmt.Errorf("new node: %w", err)
	}
	return n, nil
}

// Start installs the view of one that every life begins with, and begins to answer other nodes and
// to look for them. After an error the node is stopped. Call it once.
func (n *Node) Start() error {
	const op = "start node"
	if !n.begun.CompareAndSwap(false, true) {
		return cluster.Errorf(cluster.KindInvalid, op, "it was started, or stopped, before")
	}
	err := n.services.check()
	if err == nil {
		err = n.loop.begin()
	}
	if err != nil {
		n.end()
		close(n.stopped)
		n.life.end()
		return fmt.Errorf("%s: %w", op, err)
	}
	go func() { // Stop waits for it
		defer close(n.stopped)
		n.loop.run(n.ctx)
	}()
	n.async(n.watchDisk)
	return nil
}

// Stop leaves the view, so that the others need not time out, and ends everything that Start
// began. The link is closed by its owner, afterwards. The error says that the others did not
// answer; the node has ended all the same, unless ctx ended first while its disk hung.
func (n *Node) Stop(ctx context.Context) error {
	if n.begun.CompareAndSwap(false, true) {
		close(n.stopped)
	}
	n.stopping.Store(true)
	err := n.leave(ctx)
	n.end()
	ended := make(chan struct{})
	go func() { // ends with the loop, whose durable writes are bounded
		<-n.stopped
		n.life.end()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		err = errors.Join(err, cluster.Errorf(cluster.KindUnavailable, "stop node", "its disk hangs: %w", context.Cause(ctx)))
	}
	return err
}

// leave has the loop leave the view and waits until no other node counts on this one.
func (n *Node) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, LeaveTimeout)
	defer cancel()
	left := make(chan struct{})
	if n.post(ctx, func(l *loop) { l.leave(left) }) != nil {
		close(left) // only if the loop has ended, or ctx: told below
	}
	select {
	case <-n.stopped:
		return nil
	case <-left:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return cluster.Errorf(cluster.KindUnavailable, "stop node", "the other nodes did not answer in time; they will notice by themselves")
	}
	return nil
}

// SetDraining says whether this node is being emptied: it takes no new objects, and the others hear
// of it with its load. Everything else goes on.
func (n *Node) SetDraining(draining bool) { n.draining.Store(draining) }

// ID is the node's identity.
func (n *Node) ID() cluster.NodeID { return n.cfg.Self.ID }

// View is the installed view; never nil, and empty before Start.
func (n *Node) View() *cluster.View { return n.view.Load().view }

// Changed is closed when the view now installed is no longer the installed one.
func (n *Node) Changed() <-chan struct{} { return n.view.Load().over }

// installed is a view, the signal that it is over, and one for each other member that it has left.
type installed struct {
	view  *cluster.View
	over  chan struct{} // closed when the next view is installed
	stays map[cluster.NodeID]stay
}

// stay is a context that ends when a node is no longer a member, or this node stops. A call to it
// ends then, however long its own deadline is: a machine that lost its power does not even
// refuse connections, and nobody should wait for it once the others have gone on.
type stay struct {
	ctx context.Context
	end context.CancelFunc
}

// newInstalled makes v follow the view before it.
func newInstalled(ctx context.Context, v *cluster.View, before *installed) *installed {
	in := &installed{view: v, over: make(chan struct{}), stays: make(map[cluster.NodeID]stay, len(v.Members))}
	for _, m := range v.Members {
		if before != nil {
			if s, ok := before.stays[m.ID]; ok {
				in.stays[m.ID] = s
				continue
			}
		}
		var s stay
		s.ctx, s.end = context.WithCancel(ctx)
		in.stays[m.ID] = s
	}
	return in
}

// finish says that the view is over, after has taken its place.
func (in *installed) finish(after *installed) {
	for id, s := range in.stays {
		if _, ok := after.stays[id]; !ok {
			s.end()
		}
	}
	close(in.over)
}
