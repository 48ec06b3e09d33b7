package node

import (
	"bytes"
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
)

// A target that was away for a while wants the contents of thousands of small objects. One call for
// each would cost both sides more than the commit. So small ones go in groups: the updates in the
// request, their contents one after the other in its body. The target commits them side by side, so
// that they share an fsync.

// bringAll sends the updates that a target wants, with their contents, and notes what it answers. When
// it does not answer, the rest is left for the next offer: others wait for the places.
func (n *Node) bringAll(ctx context.Context, to cluster.Member, updates []cluster.Update, wanted []int, answers []replication.Answer) {
	var calls sync.WaitGroup
	var silent atomic.Bool
	mine := make(chan struct{}, CatchUpsPerPeer)
	for len(wanted) > 0 && enter(ctx, mine) && !silent.Load() && enter(ctx, n.catchUp.calls) {
		k := groupOf(updates, wanted)
		group := wanted[:k]
		wanted = wanted[k:]
		n.stats.wants.Add(int64(k))
		calls.Go(func() {
			defer func() { <-n.catchUp.calls; <-mine }()
			if err := n.bring(ctx, to, updates, group, answers); err != nil {
				if isSilent(err) {
					silent.Store(true)
				}
				n.log.Debug("contents not brought", "peer", to.ID, "updates", len(group), "owner", updates[group[0]].Object.ID.Owner, "err", err)
			}
		})
	}
	calls.Wait()
}

// groupOf counts the updates at the beginning of those wanted that go into one call: one at least.
func groupOf(updates []cluster.Update, wanted []int) int {
	k, size := 0, int64(0)
	for k < min(len(wanted), GroupMax) {
		if size += updates[wanted[k]].Object.Size; size > transport.InlineBodyMax && k > 0 {
			break
		}
		k++
	}
	return k
}

// bring makes one call. An update that cannot be sent is answered with the error, and does not keep the
// others.
func (n *Node) bring(ctx context.Context, to cluster.Member, updates []cluster.Update, group []int, answers []replication.Answer) error {
	if len(group) == 1 && updates[group[0]].Object.Size > transport.InlineBodyMax {
		i := group[0]
		var err error
		answers[i].Reply, err = n.bringLarge(ctx, to, &updates[i])
		return err
	}
	if err := n.catchUp.bytes.Acquire(ctx, transport.InlineBodyMax); err != nil {
		return stopping("bring contents")
	}
	defer n.catchUp.bytes.Release(transport.InlineBodyMax)
	sent := make([]int, 0, len(group))
	batch := make([]cluster.Update, 0, len(group))
	var contents bytes.Buffer
	for _, i := range group {
		if err := n.readOut(&updates[i], &contents); err != nil {
			answers[i].Reply = replication.Reply{Err: err}
			continue
		}
		sent, batch = append(sent, i), append(batch, updates[i])
	}
	if len(batch) == 0 {
		return nil
	}
	req := &transport.Request{Method: call.MethodApply, Payload: (&call.ApplyRequest{Updates: batch}).Marshal(), Body: bytes.NewReader(contents.Bytes())}
	n.stats.caughtUp.Add(int64(len(req.Payload) + contents.Len()))
	ctx, cancel := context.WithTimeout(ctx, TargetTimeout)
	defer cancel()
	replies, err := n.callTarget(ctx, to, req, len(batch))
	for k, i := range sent {
		if answers[i].Reply = (replication.Reply{Err: err}); err == nil {
			answers[i].Reply = replies[k]
		}
	}
	return err
}

// openFor opens the contents that an update has at this node.
func (n *Node) openFor(u *cluster.Update) (io.ReadCloser, error) {
	op := "bring " + string(u.Object.ID.Type) + " of " + u.Object.ID.Owner
	object, contents, err := n.openHere(u.Object.ID)
	if err != nil {
		return nil, err
	}
	if object.Timestamp == u.Object.Timestamp {
		return contents, nil
	}
	if err := contents.Close(); err != nil {
		return nil, err
	}
	return nil, cluster.Errorf(cluster.KindNotFound, op, "a newer update took its place")
}

// readOut appends an update's contents.
func (n *Node) readOut(u *cluster.Update, to *bytes.Buffer) error {
	contents, err := n.openFor(u)
	if err != nil {
		return err
	}
	before := to.Len()
	_, err = io.CopyN(to, contents, u.Object.Size)
	if closeErr := contents.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		to.Truncate(before)
	}
	return err
}

// bringLarge sends one update with large contents, as they are read.
func (n *Node) bringLarge(ctx context.Context, to cluster.Member, u *cluster.Update) (r replication.Reply, err error) {
	defer func() {
		if err != nil {
			r = replication.Reply{Err: err}
		}
	}()
	size := min(u.Object.Size, CatchUpBytesMax/CatchUpsInFlight) // of a stream, no more is in memory
	if err := n.catchUp.bytes.Acquire(ctx, size); err != nil {
		return r, stopping("bring contents")
	}
	defer n.catchUp.bytes.Release(size)
	ctx, cancel := context.WithTimeout(ctx, TargetTimeout+time.Duration(u.Object.Size)*time.Second/transport.UploadRateMin)
	defer cancel()
	contents, err := n.openFor(u)
	if err != nil {
		return r, err
	}
	req := applyRequest(u, &sequential{r: contents, size: u.Object.Size})
	n.stats.caughtUp.Add(int64(len(req.Payload)) + u.Object.Size)
	replies, err := n.callTarget(ctx, to, req, 1)
	if closeErr := contents.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		r = replies[0]
	}
	return r, err
}

// applyGroup is a group at its target: this node.
func (n *Node) applyGroup(ctx context.Context, updates []cluster.Update, r *transport.Incoming) ([]replication.Reply, error) {
	var sum int64
	for i := range updates {
		sum += updates[i].Object.Size
	}
	if len(updates) > GroupMax || sum != r.BodySize || sum > transport.InlineBodyMax {
		return nil, cluster.Errorf(cluster.KindInvalid, "apply", "%d updates of %d bytes with %d bytes of contents", len(updates), sum, r.BodySize)
	}
	contents := make([]byte, r.BodySize)
	if _, err := io.ReadFull(r.Body, contents); err != nil {
		return nil, cluster.Errorf(cluster.KindUnavailable, "apply", "contents of %d updates: %w", len(updates), err)
	}
	bodies := make([]*bytes.Reader, len(updates))
	for i := range updates {
		size := updates[i].Object.Size
		bodies[i] = bytes.NewReader(contents[:size])
		contents = contents[size:]
	}
	replies := make([]replication.Reply, len(updates))
	inParallel(len(updates), func(i int) {
		var err error
		if replies[i], err = n.apply(ctx, &updates[i], bodies[i]); err != nil {
			replies[i] = replication.Reply{Err: err}
		}
	})
	return replies, nil
}
