package testbed

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/identity"
	"porcupine/internal/cluster/node"
	"porcupine/internal/cluster/store"
	"porcupine/internal/config"
	"porcupine/internal/daemon"
	"porcupine/internal/eval/simdisk"
	"porcupine/internal/mail/delivery"
)

// Memory of one node's store: thirty share a machine.
const (
	memTableSize = 2 << 20
	cacheSize    = 1 << 20
)

// attemptTimeout is how long a delivery waits for the nodes that it has chosen. A disk's queue may be as long as
// the clients are many, and a delivery that gave up would be another load.
const attemptTimeout = 60 * time.Second

// Node is one machine of a testbed: a disk that stays, and a node that comes and goes.
type Node struct {
	Disk *simdisk.Disk // nil: none is simulated

	bed   *Bed
	index int
	cfg   config.Config
	fs    vfs.FS
	id    cluster.NodeID // once it has been started
	life  atomic.Pointer[life]
}

// life is one run of a node.
type life struct {
	node *daemon.Within
	ctx  context.Context // ends when the node is killed: what clients did through it is cut off
	end  context.CancelFunc
}

func newNode(b *Bed, i int) *Node {
	n := &Node{bed: b, index: i, cfg: nodeConfig(&b.cfg, i), fs: roomy{vfs.NewMem()}}
	if b.cfg.Unit > 0 {
		n.Disk = simdisk.New(b.cfg.Unit, b.cfg.Costs)
	}
	return n
}

// roomy is a file system in memory that says how much room there is.
type roomy struct{ vfs.FS }

const roomBytes = 1 << 40

// GetDiskUsage implements vfs.FS.
func (roomy) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: roomBytes, TotalBytes: roomBytes}, nil
}

// Unwrap gives the file system under this one.
func (r roomy) Unwrap() vfs.FS { return r.FS }

// Name is what people call it.
func (n *Node) Name() string { return n.cfg.Name }

// ID is its identity, once it has been started.
func (n *Node) ID() cluster.NodeID { return n.id }

// within gives the node that runs, nil if none does.
func (n *Node) within() *daemon.Within {
	if l := n.life.Load(); l != nil {
		return l.node
	}
	return nil
}

// Within gives the node that runs, nil if none does.
func (n *Node) Within() *daemon.Within { return n.within() }

// joinTries is how often a machine tries to join: on one that is very busy a handshake may take too long.
const joinTries = 10

// join makes the machine a node of the cluster that another is a node of.
func (n *Node) join(ctx context.Context, other *Node) (err error) {
	for range joinTries {
		if err = n.tryJoin(ctx, other); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return fmt.Errorf("%s: %w", n.Name(), err)
}

func (n *Node) tryJoin(ctx context.Context, other *Node) error {
	token, err := other.within().Token()
	if err != nil {
		return err
	}
	_, peers, err := identity.Join(ctx, identity.Dir(n.cfg.DataDir), token, identity.JoinOptions{})
	if err != nil {
		return err
	}
	return daemon.RememberPeers(n.cfg.DataDir, peers)
}

// start runs a node on the machine.
func (n *Node) start(ctx context.Context) error {
	w, err := daemon.Start(ctx, n.cfg, daemon.Adjust{
		Store: func(c *store.Config) {
			c.FS, c.Dir, c.MemTableSize, c.CacheSize = n.fs, "store", memTableSize, cacheSize
			if n.Disk != nil { // an interface that holds a nil pointer is not nil
				c.Disk = n.Disk
			}
		},
		Node: func(c *node.Config) {
			c.Policy = switched{n.bed}
			grace := c.Membership.Grace
			c.Membership = patient(n.bed.cfg.SuspectAfter)
			c.Membership.Grace = grace
		},
		Delivery: func(c *delivery.Config) { c.AttemptTimeout, c.Timeout = attemptTimeout, 2*attemptTimeout },
	}, n.bed.cfg.Logs)
	if err != nil {
		return fmt.Errorf("%s: %w", n.Name(), err)
	}
	l := &life{node: w}
	l.ctx, l.end = context.WithCancel(context.Background())
	n.id = w.Node().ID()
	n.cfg.Cluster.Listen = w.Address() // it comes back where the others know it
	n.life.Store(l)
	return nil
}

// Kill ends the node as a loss of power would: see daemon.Within.Kill.
func (n *Node) Kill() error {
	l := n.life.Swap(nil)
	if l == nil {
		return errors.New("kill " + n.Name() + ": it does not run")
	}
	l.end()
	if n.Disk != nil {
		n.Disk.Drop()
	}
	return l.node.Kill()
}

// Restart starts a node again that was killed. It returns when the node serves.
func (n *Node) Restart(ctx context.Context) error {
	if n.within() != nil {
		return errors.New("restart " + n.Name() + ": it runs")
	}
	return n.start(ctx)
}

// close ends the node in order, and its disk.
func (n *Node) close() (err error) {
	if n.Disk != nil {
		n.Disk.Close() // BEFORE the node, so that nothing waits for it
	}
	if l := n.life.Swap(nil); l != nil {
		l.end()
		err = l.node.Kill() // thirty goodbyes, each with a change of view, would take long
	}
	return err
}
