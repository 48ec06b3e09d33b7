package testbed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/balance"
	"porcupine/internal/cluster/identity"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/config"
	"porcupine/internal/eval/simdisk"
	"porcupine/internal/mail"
	"porcupine/internal/mail/directory"
)

// Limits of a testbed.
const (
	NodesMax    = 64
	startsMax   = 2               // nodes that start at once: each changes the view of all
	settleWait  = 4 * time.Minute // for one view of all, on a machine that is busy
	settleLook  = 20 * time.Millisecond
	stopsMax    = 8
	usersAtOnce = 16 // that are made at once
	domain      = "eval.example"
)

// SuspectAfterDefault is the silence after which a node is taken for dead. In thirty nodes that share two
// processors one that waits for its turn is not dead.
const SuspectAfterDefault = 20 * time.Second

// patient gives times of membership for nodes that share a machine: as they are among machines, but whoever is
// late is waited for, and a node that was lost for being late is taken back soon. PromiseTimeout is longer
// than the rounds together.
func patient(suspectAfter time.Duration) membership.Config {
	const pings = 10 // in doubt
	return membership.Config{
		PingPeriod: time.Second, PingMissesDoubt: 2, DoubtPeriod: max(suspectAfter-2*time.Second, time.Second) / pings, DoubtMissesMax: pings,
		GatherDelay: 100 * time.Millisecond, GatherMax: 800 * time.Millisecond,
		ReplyTimeout: 4 * time.Second, ResendPeriod: 500 * time.Millisecond, ViewTimeout: 8 * time.Second, PromiseTimeout: 16 * time.Second,
		ProbePeriod: time.Second, ProbePeriodMax: 3 * time.Second,
		PenaltyMin: time.Second, PenaltyMax: 2 * time.Second, PenaltyMemory: 10 * time.Second,
	}
}

// Config says what cluster to make.
type Config struct {
	Nodes int           // 1 to NodesMax
	Dir   string        // for the files that are not the stores': identities, sockets
	Unit  time.Duration // of the simulated disks; 0: there are none
	Costs simdisk.Costs // of their work
	// SuspectAfter is the silence after which a node is taken for dead; default SuspectAfterDefault.
	SuspectAfter time.Duration
	Logs         io.Writer // errors of the nodes; nil: nowhere
}

// Bed is a cluster that runs. Its methods but Kill and Restart may be called from any goroutine.
type Bed struct {
	cfg    Config
	Nodes  []*Node
	id     cluster.ID
	policy atomic.Pointer[policy]
	users  atomic.Int64 // that were made: gives each a name of its own
}

// policy is what stands behind an atomic pointer.
type policy struct{ balance.Policy }

// switched is the policy of all nodes: it can be changed while they run. It decides where messages lie;
// profiles are placed as always.
type switched struct{ b *Bed }

func (s switched) Choose(q balance.Request, t *balance.Table, now time.Time, rng *rand.Rand) []cluster.NodeID {
	if p := s.b.policy.Load(); q.Type == mail.TypeMessage && p.Policy != nil {
		return p.Choose(q, t, now, rng)
	}
	return balance.Choose(q, t, now, rng)
}

// Open makes a cluster and returns when all its nodes are one view that serves. Close ends it.
func Open(ctx context.Context, cfg Config) (*Bed, error) {
	if cfg.Nodes < 1 || cfg.Nodes > NodesMax {
		return nil, fmt.Errorf("testbed of %d nodes: at least 1, at most %d", cfg.Nodes, NodesMax)
	}
	if cfg.Logs == nil {
		cfg.Logs = io.Discard
	}
	cfg.SuspectAfter = cmp.Or(cfg.SuspectAfter, SuspectAfterDefault)
	b := &Bed{cfg: cfg}
	b.SetPolicy(nil)
	for i := range cfg.Nodes {
		b.Nodes = append(b.Nodes, newNode(b, i))
	}
	if err := b.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start %d nodes: %w", cfg.Nodes, err), b.Close())
	}
	return b, nil
}

// nodeConfig is the configuration of one node: no front ends, no work at times of its own.
func nodeConfig(cfg *Config, i int) config.Config {
	c := config.Default(fmt.Sprintf("node%d.example", i+1), filepath.Join(cfg.Dir, fmt.Sprintf("n%d", i+1)))
	c.Cluster.Listen = "127.0.0.1:0"
	c.SMTP.Listen, c.SMTP.LMTPListen, c.SMTP.SubmissionListen, c.SMTP.SubmissionsListen = config.Off, config.Off, config.Off, config.Off
	c.POP3.Listen, c.POP3.TLSListen, c.IMAP.Listen, c.IMAP.TLSListen = config.Off, config.Off, config.Off, config.Off
	c.HTTP.Listen = config.Off
	c.Auth.SCRAMIterations = -1
	c.Upkeep.RepairAfter, c.Upkeep.Rebalance = config.Duration(24*time.Hour), config.Off // as in the papers
	c.Upkeep.CompareEvery = config.Duration(24 * time.Hour)
	c.Store.VaultFor = config.TermOff
	c.Log.Level = "error"
	return c
}

// start starts the first node, has the others join it, and waits until they are one cluster.
func (b *Bed) start(ctx context.Context) error {
	first := b.Nodes[0]
	id, err := identity.Init(identity.Dir(first.cfg.DataDir), identity.Options{})
	if err != nil {
		return err
	}
	b.id = id.Cluster()
	if err := first.start(ctx); err != nil {
		return err
	}
	g, starting := errgroup.WithContext(ctx)
	g.SetLimit(startsMax)
	for _, n := range b.Nodes[1:] {
		g.Go(func() error {
			if err := n.join(starting, first); err != nil {
				return err
			}
			return n.start(starting)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := b.Settle(ctx); err != nil {
		return err
	}
	return first.within().Directory().AddDomain(ctx, domain, directory.DomainSettings{})
}

// Settle waits until all nodes that run are one view, of one epoch, and know all of their buckets.
func (b *Bed) Settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleWait)
	defer cancel()
	tick := time.NewTicker(settleLook)
	defer tick.Stop()
	for {
		why := b.unsettled()
		if why == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the nodes do not become one cluster: %w", why)
		}
	}
}

// unsettled says what is not as Settle wants it.
func (b *Bed) unsettled() error {
	up := b.Up()
	var epoch cluster.Epoch
	for i, n := range up {
		w := n.within()
		if w == nil {
			continue // it has just been killed
		}
		v := w.Node().View()
		switch {
		case len(v.Members) != len(up):
			return fmt.Errorf("%s has %d members of %d", n.Name(), len(v.Members), len(up))
		case i > 0 && v.Epoch != epoch:
			return fmt.Errorf("%s is in epoch %v, another in %v", n.Name(), v.Epoch, epoch)
		}
		epoch = v.Epoch
		if err := w.Node().Ready(); err != nil {
			return fmt.Errorf("%s: %w", n.Name(), err)
		}
	}
	return nil
}

// SetPolicy has all nodes choose by p where messages lie, from now on; nil: as they always do.
func (b *Bed) SetPolicy(p balance.Policy) { b.policy.Store(&policy{p}) }

// IDs gives the identities of the nodes that were started, in their order in the testbed.
func (b *Bed) IDs() []cluster.NodeID {
	ids := make([]cluster.NodeID, len(b.Nodes))
	for i, n := range b.Nodes {
		ids[i] = n.id
	}
	return ids
}

// Up gives the nodes that run.
func (b *Bed) Up() []*Node {
	return slices.DeleteFunc(slices.Clone(b.Nodes), func(n *Node) bool { return n.within() == nil })
}

// Close ends all nodes. Their disks answer at once, so that nothing waits for them.
func (b *Bed) Close() error {
	var wg sync.WaitGroup
	errs := make([]error, len(b.Nodes))
	places := make(chan struct{}, stopsMax)
	for i, n := range b.Nodes {
		wg.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			errs[i] = n.close()
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
