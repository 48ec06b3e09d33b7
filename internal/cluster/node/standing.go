package node

import (
	"context"
	"io"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store"
)

// Outage is why and since when a node takes no part in its cluster: its disk hangs, or has not answered
// for long enough yet (package watchdog).
type Outage struct {
	Since time.Time
	What  string // the disk is waited for with
}

// standing is whether this node takes part. Each change is a new one.
type standing struct {
	out *Outage         // nil: it does
	ctx context.Context // of what waits for this node's own disk; ends when the node goes out
	end context.CancelCauseFunc
}

func newStanding(ctx context.Context, out *Outage) *standing {
	s := &standing{out: out}
	s.ctx, s.end = context.WithCancelCause(ctx)
	return s
}

// Outage says why this node takes no part in the cluster now; nil when it does. Until it is over every
// call of the node fails with KindUnavailable, and the other nodes go on without it. Then it
// comes back by itself.
func (n *Node) Outage() *Outage { return n.standing.Load().out }

// isOut reports whether this node takes no part.
func (n *Node) isOut() bool { return n.standing.Load().out != nil }

// takesPart is nil when this node does; kind is that of the error otherwise.
func (n *Node) takesPart(op string, kind cluster.Kind) error {
	out := n.Outage()
	if out == nil {
		return nil
	}
	return cluster.Errorf(kind, op, "node %s takes no part in the cluster: its disk does not answer, %s since %s",
		n.cfg.Self.ID, out.What, out.Since.UTC().Format(time.RFC3339))
}

// whileSound bounds ctx by this node's standing: nobody waits for its disk once it is out, though what was
// begun may still happen. end frees what it takes.
func (n *Node) whileSound(ctx context.Context) (bounded context.Context, end func()) {
	bounded, cancel := context.WithCancelCause(ctx)
	s := n.standing.Load()
	stop := context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })
	return bounded, func() { stop(); cancel(nil) }
}

// goOut begins an outage. The membership core stands still from now on, as if the process were stopped: the
// loop gives it nothing and sends nothing of its.
func (n *Node) goOut(owed time.Duration, what string) {
	out := &Outage{Since: n.cfg.Now().Add(-owed), What: what}
	before := n.standing.Swap(newStanding(n.ctx, out))
	before.end(n.takesPart("wait for the disk", cluster.KindUnavailable)) // AFTER the change: who tries again is refused
	n.stats.outages.Add(1)
	n.log.Error("this node's disk does not answer: it leaves the cluster until it does",
		"waits_for", what, "waited", owed.Round(time.Millisecond), "come_back_after", n.dog.Wait())
}

// comeBack ends an outage. The core finds that time has passed, asks its neighbours, and learns that
// they have gone on.
func (n *Node) comeBack() {
	before := n.standing.Swap(newStanding(n.ctx, nil))
	before.end(nil)
	n.log.Warn("this node's disk answers again: it comes back to the cluster",
		"waited_for", before.out.What, "was_out", n.cfg.Now().Sub(before.out.Since).Round(time.Millisecond))
	n.notices.ring()
}

// guarded is the disk as those use it who serve somebody: closed while the node is out. A read would
// perhaps hang, and what is read may be old by now.
type guarded struct {
	Hard
	n *Node
}

func (g guarded) check(op string) error { return g.n.takesPart(op, cluster.KindUnavailable) }

// Apply implements Hard.
func (g guarded) Apply(ctx context.Context, u cluster.Update, body cluster.Body) (store.Result, error) {
	if err := g.check("apply"); err != nil {
		return store.Result{}, err
	}
	return g.Hard.Apply(ctx, u, body)
}

// Accept implements Hard.
func (g guarded) Accept(ctx context.Context, updates []cluster.Update) ([]store.Result, error) {
	if err := g.check("accept"); err != nil {
		return nil, err
	}
	return g.Hard.Accept(ctx, updates)
}

// OpenBody implements Hard.
func (g guarded) OpenBody(id cluster.ObjectID) (cluster.Object, io.ReadCloser, error) {
	if err := g.check("open"); err != nil {
		return cluster.Object{}, nil, err
	}
	return g.Hard.OpenBody(id)
}

// OpenRange implements Hard.
func (g guarded) OpenRange(id cluster.ObjectID, offset, length int64) (cluster.Object, io.ReadCloser, error) {
	if err := g.check("open"); err != nil {
		return cluster.Object{}, nil, err
	}
	return g.Hard.OpenRange(id, offset, length)
}

// List implements Hard.
func (g guarded) List(owner string, t cluster.ObjectType) ([]cluster.Object, error) {
	if err := g.check("list"); err != nil {
		return nil, err
	}
	return g.Hard.List(owner, t)
}

// ListPage implements Hard.
func (g guarded) ListPage(owner string, t cluster.ObjectType, after string, most, bytesMax int) ([]cluster.Object, bool, error) {
	if err := g.check("list"); err != nil {
		return nil, false, err
	}
	return g.Hard.ListPage(owner, t, after, most, bytesMax)
}

// Pieces implements Hard.
func (g guarded) Pieces(ctx context.Context, owner string, t cluster.ObjectType, pieces []cluster.Piece, bytesMax int) ([]cluster.Derived, error) {
	if err := g.check("read derived data"); err != nil {
		return nil, err
	}
	return g.Hard.Pieces(ctx, owner, t, pieces, bytesMax)
}

// Derived implements Hard.
func (g guarded) Derived(ctx context.Context, owner string, t cluster.ObjectType, ids []string, bytesMax int) ([]cluster.Derived, error) {
	if err := g.check("read derived data"); err != nil {
		return nil, err
	}
	return g.Hard.Derived(ctx, owner, t, ids, bytesMax)
}

// Contents implements Hard.
func (g guarded) Contents(owner string, t cluster.ObjectType, after string, most, bytesMax int) ([]cluster.Copy, bool, error) {
	if err := g.check("read contents"); err != nil {
		return nil, false, err
	}
	return g.Hard.Contents(owner, t, after, most, bytesMax)
}
