package node

import (
	"context"
	"errors"
	"io"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/transport"
)

// RouteRetry and RouteRetryMax are the first and the longest pause before a call is tried again
// while the view is changing; a new view ends it early.
const (
	RouteRetry    = 20 * time.Millisecond
	RouteRetryMax = 320 * time.Millisecond
)

// route runs f for the manager of owner in the installed view, and again with the next view
// while the answer is that the view is changing or the manager is gone, until the context ends.
// f must be idempotent.
func (n *Node) route(ctx context.Context, op, owner string, f func(ctx context.Context, to cluster.Member) error) error {
	b := n.cfg.Cluster.BucketOf(owner)
	return n.retry(ctx, op, func(ctx context.Context, v *cluster.View) error {
		m, ok := v.Member(v.Manager(b))
		if !ok {
			return cluster.Errorf(cluster.KindUnavailable, op, "no view is installed yet")
		}
		return f(ctx, m)
	})
}

// to runs f for one node, again while the view is changing, until the node is no longer a
// member or the context ends. f must be idempotent.
func (n *Node) to(ctx context.Context, op string, id cluster.NodeID, f func(ctx context.Context, to cluster.Member) error) error {
	return n.retry(ctx, op, func(ctx context.Context, v *cluster.View) error {
		m, ok := v.Member(id)
		if !ok {
			return &goneError{cluster.Errorf(cluster.KindUnavailable, op, "node %s is not a member now", id)}
		}
		err := f(ctx, m)
		if isSilent(err) {
			return &goneError{err}
		}
		return err
	})
}

// goneError ends a retry: this very node was needed and does not answer.
type goneError struct{ error }

func (e *goneError) Unwrap() error { return e.error }

// retry runs f with the installed view, and again as long as the error may pass by itself. It
// gives nil, an error of f's that will not pass, or KindUnavailable when the context or the node
// ends, or this node's disk hangs: a caller never sees KindStale or KindBehind.
func (n *Node) retry(ctx context.Context, op string, f func(context.Context, *cluster.View) error) error {
	pause := RouteRetry
	for {
		if err := n.takesPart(op, cluster.KindUnavailable); err != nil {
			return err
		}
		in := n.view.Load()
		err := f(ctx, in.view)
		if err == nil || !n.mayPass(err, in) {
			return err
		}
		n.stats.retries.Add(1)
		switch changed, waitErr := n.waitView(ctx, in, pause); {
		case waitErr != nil:
			return cluster.Errorf(cluster.KindUnavailable, op, "%w: %w", waitErr, err)
		case changed:
			pause = RouteRetry
		default:
			pause = min(2*pause, RouteRetryMax)
		}
	}
}

// waitView waits for the view after in, at most for d; changed says that it came. The error says
// that the context or the node has ended.
func (n *Node) waitView(ctx context.Context, in *installed, d time.Duration) (changed bool, err error) {
	pause := time.NewTimer(d)
	defer pause.Stop()
	select {
	case <-in.over:
		changed = true
	case <-pause.C:
	case <-n.stopped:
	case <-ctx.Done():
	}
	if n.ended() {
		return changed, stopping("route")
	}
	return changed, context.Cause(ctx)
}

// mayPass reports whether an error of an attempt in that view may pass by itself. Four things may:
// (1) one of the two nodes has not installed the view of the other; (2) the other gave no answer:
// the next view will be without it; (3) it answered KindUnavailable in another epoch, or (4) this
// node did, over a change of view.
func (n *Node) mayPass(err error, in *installed) bool {
	var gone *goneError
	if errors.As(err, &gone) {
		return false
	}
	switch cluster.KindOf(err) {
	case cluster.KindStale, cluster.KindBehind:
		return true
	case cluster.KindUnavailable:
		if isSilent(err) || n.view.Load() != in {
			return true
		}
		s, ok := transport.AnswererStamp(err)
		return ok && s.Epoch != in.view.Epoch
	}
	return false
}

// errDeparted is why a call to a node that has left the view was given up.
var errDeparted = errors.New("the node is not a member any more")

// isSilent reports that a node gave no answer. What was asked of it may have been done.
func isSilent(err error) bool { return transport.Unreachable(err) || errors.Is(err, errDeparted) }

// call sends one request to a member and tells membership of a failure. It gives up when the node
// leaves the view, long before the deadline if it is a machine without power.
func (n *Node) call(ctx context.Context, to cluster.Member, r *transport.Request) (*transport.Response, error) {
	if err := n.takesPart(r.Method, cluster.KindUnavailable); err != nil {
		return nil, err
	}
	s, ok := n.view.Load().stays[to.ID]
	if !ok {
		return nil, departed(r.Method, to.ID)
	}
	bounded, cancel := context.WithCancel(ctx)
	watch := context.AfterFunc(s.ctx, cancel)
	resp, err := n.cfg.Link.Call(bounded, to.Endpoint, r)
	left := !watch()
	switch {
	case err == nil && resp.Body == nil:
		cancel()
		return resp, nil
	case err == nil && !left:
		resp.Body = &body{resp.Body, cancel} // its own time limits hold from here on
		return resp, nil
	case err == nil:
		err = resp.Body.Close() // it would have broken off
	}
	cancel()
	switch {
	case ctx.Err() != nil: // the caller itself has gone
	case n.ctx.Err() != nil:
		err = stopping(r.Method)
	case left:
		err = departed(r.Method, to.ID)
	case transport.Unreachable(err):
		n.notices.suspect(to.ID)
	}
	return nil, err
}

func departed(method string, id cluster.NodeID) error {
	return cluster.Errorf(cluster.KindUnavailable, method+" at node "+id.String(), "%w", errDeparted)
}

// body is the contents that came with an answer; closing it ends the call.
type body struct {
	io.ReadCloser
	end context.CancelFunc
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.end()
	return err
}

// WriteTo hands the contents on without copying them, where the transport can.
func (b *body) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, b.ReadCloser) }

// malformed is the error of an answer that cannot be read: a fault of one of two programs, never
// of the request.
func malformed(method string, from cluster.NodeID, err error) error {
	return cluster.Errorf(cluster.KindInternal, method+" at node "+from.String(), "its answer: %w", err)
}
