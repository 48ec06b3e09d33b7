package retrieval

import (
	"context"
	"io"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/survey"
)

const (
	// deleteBatchMax bounds the messages deleted with one call to each node.
	deleteBatchMax = 500
	// locateAfter is how long it is believed that messages lie where they were listed. Repair and
	// rebalancing move them, and a session may last for hours.
	locateAfter = 2 * time.Second
)

func (d *Maildrop) object(m *message) cluster.ObjectID {
	return cluster.ObjectID{Type: mail.TypeMessage, Owner: string(d.user), ID: m.id}
}

// Read opens a message, by its index in Messages, at a node that listed it, or at another replica if
// its copy is gone or damaged, or, if that is no use either, where it lies by now. The caller closes
// the reader. KindNotFound: it was deleted meanwhile. KindUnavailable: the nodes that hold it cannot
// be reached now. KindCorrupt: no copy is whole.
func (d *Maildrop) Read(ctx context.Context, i int) (io.ReadCloser, error) {
	op := "read mail of " + string(d.user)
	if i < 0 || i >= len(d.messages) {
		return nil, cluster.Errorf(cluster.KindInvalid, op, "there is no message %d", i)
	}
	m := &d.messages[i]
	r := survey.Reading{Op: "read message " + m.id + " of " + string(d.user), Logger: d.proxy.cfg.Logger}
	open := func(node cluster.NodeID) (io.ReadCloser, error) {
		_, body, err := d.proxy.cluster.Open(ctx, node, d.object(m))
		return body, err
	}
	if body := r.Try(slices.Concat(m.holders, m.replicas), open); body != nil {
		return body, nil
	}
	if err := d.locate(ctx); err != nil {
		d.proxy.cfg.Logger.Debug("not known where the mail lies by now", "user", d.user, "err", err)
	} else if now, ok := d.moved[m.id]; ok {
		if body := r.Try(slices.Concat(now.holders, now.replicas), open); body != nil {
			return body, nil
		}
	}
	return nil, r.Err()
}

// locate finds out where the messages lie by now, unless that is known from just now.
func (d *Maildrop) locate(ctx context.Context) error {
	if time.Since(d.listedAt) < locateAfter {
		return nil
	}
	messages, err := d.list(ctx)
	if err != nil {
		return err
	}
	d.listedAt = time.Now()
	d.moved = make(map[string]message, len(messages))
	for _, m := range messages {
		d.moved[m.id] = m
	}
	return nil
}

// Delete removes messages, by their indexes, in batches grouped by node. It makes sure of the
// lock first, so that a session which lost it deletes nothing. What the user has moved out of INBOX meanwhile is left where
// it is: it is no error, since INBOX has it no more. A deletion stands when one node has it
// durable: its record takes it to the others. An error says how many are left: those are seen again
// by the next session.
func (d *Maildrop) Delete(ctx context.Context, indexes []int) error {
	op := "delete mail of " + string(d.user)
	for _, i := range indexes {
		if i < 0 || i >= len(d.messages) {
			return cluster.Errorf(cluster.KindInvalid, op, "there is no message %d", i)
		}
	}
	if len(indexes) == 0 {
		return nil
	}
	// A message that was moved must be deleted where it lies now, or it would come back.
	if err := d.locate(ctx); err != nil {
		d.proxy.cfg.Logger.Debug("messages are deleted where they lay when the session began", "user", d.user, "err", err)
	}
	doomed, err := d.stillInInbox(ctx, indexes)
	if err != nil {
		return cluster.Errorf(cluster.KindOf(err), op, "%d of %d messages are left: %w", len(indexes), len(indexes), err)
	}
	updates := make([]cluster.Update, 0, len(doomed))
	left := 0
	var failed error
	for i := range doomed {
		m := &doomed[i]
		if ahead := time.Until(time.Unix(0, d.versionOf(m).Time)); ahead > cluster.ClockSkewMax {
			// The deletion would lose to the message on every node, after it was promised (D4).
			left++
			failed = cluster.Errorf(cluster.KindUnavailable, "compare clocks", "message %s was stamped %v in the future: set the clocks of the nodes", m.id, ahead.Round(time.Second))
			continue
		}
		updates = append(updates, cluster.Update{Object: cluster.Object{ID: d.object(m), Deleted: true}, Previous: d.whereabouts(m)})
	}
	for batch := range slices.Chunk(updates, deleteBatchMax) {
		if err := d.lock.Confirm(ctx); err != nil {
			return cluster.Errorf(cluster.KindOf(err), op, "%w", err)
		}
		n, err := d.deleteBatch(ctx, batch)
		left += n
		if err != nil {
			failed = err
		}
	}
	if failed != nil {
		return cluster.Errorf(cluster.KindOf(failed), op, "%d of %d messages are left: %w", left, len(indexes), failed)
	}
	return nil
}

// versionOf gives the newest version of a message that this session knows.
func (d *Maildrop) versionOf(m *message) cluster.Timestamp {
	if now, ok := d.moved[m.id]; ok && m.version.Compare(now.version) < 0 {
		return now.version
	}
	return m.version
}

// whereabouts gives all nodes that may have a message: those of now first, if there are too many.
func (d *Maildrop) whereabouts(m *message) cluster.ReplicaSet {
	var nodes cluster.ReplicaSet
	if now, ok := d.moved[m.id]; ok {
		nodes = now.replicas.Union(cluster.NewReplicaSet(now.holders...))
	}
	for _, id := range slices.Concat(m.holders, m.replicas) {
		if len(nodes) < cluster.ReplicaSetMax {
			nodes = nodes.Union(cluster.ReplicaSet{id})
		}
	}
	return nodes[:min(len(nodes), cluster.ReplicaSetMax)]
}

// deleteBatch gives how many messages are left, and why. If none of a message's nodes can be reached,
// this node takes part: it keeps the record of the deletion and brings it to them.
func (d *Maildrop) deleteBatch(ctx context.Context, batch []cluster.Update) (left int, failed error) {
	self := d.proxy.cluster.ID()
	var again []cluster.Update
	for i, err := range d.proxy.cluster.UpdateAll(ctx, batch) {
		u := batch[i]
		switch {
		case mail.Holds(err) || cluster.IsKind(err, cluster.KindNotFound):
		case len(u.Previous) == cluster.ReplicaSetMax || u.Previous.Contains(self):
			left, failed = left+1, err
		default:
			u.Previous = u.Previous.Union(cluster.ReplicaSet{self})
			again = append(again, u)
		}
	}
	if len(again) == 0 {
		return left, failed
	}
	for _, err := range d.proxy.cluster.UpdateAll(ctx, again) {
		if !mail.Holds(err) {
			left, failed = left+1, err
		}
	}
	return left, failed
}
