package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/balance"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/softstate"
	"porcupine/internal/cluster/store"
	"porcupine/internal/cluster/transport"
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
	// RouteRetry is the pause before a call is tried again while the view is changing; a new view
	// ends it early.
	RouteRetry = 20 * time.Millisecond
	// RegisterWait bounds how long a commit waits for the owner's manager to hear of it. The
	// object is durable by then: after that time the write succeeds, and the reporter goes on.
	RegisterWait = 3 * time.Second
	// MessageTimeout bounds the sending of one membership message.
	MessageTimeout = 2 * time.Second
	// LeaveTimeout bounds an orderly departure.
	LeaveTimeout = 3 * time.Second
)

// Hard is what the node needs of its disk: *store.Store.
type Hard interface {
	Apply(ctx context.Context, u cluster.Update, body cluster.Body) (store.Result, error)
	ApplyAll(ctx context.Context, updates []cluster.Update) ([]store.Result, error)
	OpenBody(id cluster.ObjectID) (cluster.Object, io.ReadCloser, error)
	List(owner string, t cluster.ObjectType) ([]cluster.Object, error)
	Holding(owner string) (cluster.Holding, error)
	ScanBucket(b cluster.Bucket, fn func(cluster.Holding) error) (uint64, error)
	Load() cluster.Load
	LastTime() int64
	Meta(name string) ([]byte, error)
	PutMeta(ctx context.Context, name string, value []byte) error
}

// Config is what a node is made of. All fields but Peers and Now are needed.
type Config struct {
	Self       cluster.Endpoint
	Cluster    cluster.ID
	Version    string // of the program; shown in status
	Store      Hard
	Link       transport.Link
	Peers      []string          // cluster addresses to look for at start
	Membership membership.Config // timings; Self is filled in
	Logger     *slog.Logger
	Now        func() time.Time // the wall clock; default time.Now
	// OnFatal is called at most once, when the node can no longer keep its promises (its
	// membership state cannot be made durable). The process must end.
	OnFatal func(error)
}

// ServiceFunc serves one method of a service. from is the calling node, this one included. The
// payload is valid until the function returns.
type ServiceFunc = func(ctx context.Context, from cluster.NodeID, payload []byte) ([]byte, error)

// Node is one running node. Its methods may be called from any goroutine.
type Node struct {
	cfg    Config
	log    *slog.Logger
	senses senses
	view   atomic.Pointer[installed]

	soft struct {
		mu      sync.Mutex // never held across I/O
		manager *softstate.Manager
	}
	owners    atomic.Int64 // managed here, as of the last change of view or report
	draining  atomic.Bool
	services  map[string]ServiceFunc // written before Start only
	stats     counters
	confirmer confirmer

	loop    *loop
	stopped chan struct{} // closed when the loop has ended
	life    life
	cancel  context.CancelFunc
}

// installed is a view and the signal that it is over.
type installed struct {
	view *cluster.View
	over chan struct{} // closed when the next view is installed
}

// New makes a node on an open store and an open link. It reads the membership state of earlier
// lives from the store; nothing runs until Start.
func New(cfg Config) (*Node, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Self.ID == cluster.NoNode || cfg.Store == nil || cfg.Link == nil || cfg.Logger == nil || cfg.OnFatal == nil {
		return nil, cluster.Errorf(cluster.KindInvalid, "new node", "configuration lacks an identity, store, link, logger or OnFatal")
	}
	n := &Node{
		cfg:      cfg,
		log:      cfg.Logger,
		services: map[string]ServiceFunc{},
		stopped:  make(chan struct{}),
	}
	n.senses = senses{
		clock: cluster.NewClock(cfg.Self.ID, cfg.Store.LastTime()),
		loads: balance.NewTable(),
		sole:  map[cluster.NodeID]bool{},
		rng:   rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
	}
	n.soft.manager = softstate.NewManager(cfg.Self.ID, cfg.Cluster)
	n.view.Store(&installed{view: &cluster.View{Map: make(cluster.UserMap, cluster.BucketCount)}, over: make(chan struct{})})
	l, err := newLoop(n)
	if err != nil {
		return nil, fmt.Errorf("new node: %w", err)
	}
	n.loop = l
	return n, nil
}

// Serve registers a method of a service, before Start. It panics on a method that is there
// already: two services would answer for each other.
func (n *Node) Serve(method string, f ServiceFunc) {
	if _, ok := n.services[method]; ok || len(n.services) >= ServicesMax {
		panic(fmt.Sprintf("node: method %q is served already, or there are more than %d", method, ServicesMax))
	}
	n.services[method] = f
}

// Start installs the view of one that every life begins with, and begins to answer other nodes and
// to look for them.
func (n *Node) Start() error {
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	if err := n.loop.begin(ctx); err != nil {
		cancel()
		return fmt.Errorf("start node: %w", err)
	}
	n.cfg.Link.Serve(n)
	go func() {
		defer close(n.stopped)
		n.loop.run(ctx)
	}()
	return nil
}

// Stop leaves the view, so that the others need not time out, and ends everything that Start
// began. The link is closed by its owner, afterwards.
func (n *Node) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, LeaveTimeout)
	defer cancel()
	n.draining.Store(true)
	left := make(chan struct{})
	n.post(func(l *loop) { l.leave(left) })
	var err error
	select {
	case <-left:
	case <-n.stopped:
	case <-ctx.Done():
		err = errors.New("stop node: the other nodes did not answer in time; they will notice by themselves")
	}
	n.cancel()
	<-n.stopped
	n.life.end()
	return err
}

// ID is the node's identity.
func (n *Node) ID() cluster.NodeID { return n.cfg.Self.ID }

// View is the installed view; never nil, and empty before Start.
func (n *Node) View() *cluster.View { return n.view.Load().view }

// Changed is closed when the view now installed is no longer the installed one.
func (n *Node) Changed() <-chan struct{} { return n.view.Load().over }

// post hands an event to the loop. It waits while the queue is full and drops the event once the
// loop has ended.
func (n *Node) post(f func(*loop)) {
	select {
	case n.loop.events <- f:
	case <-n.stopped:
	}
}

// life is what Stop waits for: goroutines, none of which begin once it has begun to wait.
type life struct {
	mu    sync.Mutex
	ended bool
	work  sync.WaitGroup
}

// async runs f in a goroutine that Stop waits for, with a context that ends with the node. It
// gives false, and does not run f, when the node is stopping.
func (n *Node) async(ctx context.Context, f func(ctx context.Context)) bool {
	n.life.mu.Lock()
	defer n.life.mu.Unlock()
	if n.life.ended {
		return false
	}
	n.life.work.Add(1)
	go func() {
		defer n.life.work.Done()
		f(ctx)
	}()
	return true
}

// end waits for all that async began.
func (l *life) end() {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	l.work.Wait()
}
