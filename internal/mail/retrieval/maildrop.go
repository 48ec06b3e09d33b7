package retrieval

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// Maildrop is one user's mail as one session sees it: fixed when it was opened. It is used by one
// goroutine.
type Maildrop struct {
	proxy    *Retrieval
	user     mail.User
	lock     Lock
	messages []message
	listed   []mail.Listed
}

// message is one message and where it lies.
type message struct {
	id       string
	size     int64
	arrived  int64              // nanoseconds since 1970
	holders  []cluster.NodeID   // that listed it: those to read it from first
	replicas cluster.ReplicaSet // all that must hear of its deletion
}

// deleteBatchMax bounds the messages deleted with one call to each node.
const deleteBatchMax = 500

// load fills the maildrop.
func (d *Maildrop) load(ctx context.Context) error {
	e, lists, err := d.proxy.collect(ctx, d.user)
	if err != nil {
		return err
	}
	floor, err := d.proxy.cfg.Floor(&e)
	if err != nil {
		return cluster.Errorf(cluster.KindOf(err), "open mailbox "+string(d.user), "%w", err)
	}
	return d.merge(lists, floor)
}

// merge makes one list of all, without duplicates, oldest first.
func (d *Maildrop) merge(lists []listing, floor cluster.Timestamp) error {
	total := 0
	for _, l := range lists {
		total += len(l.objects)
	}
	all := make([]message, 0, total)
	for _, l := range lists {
		for i := range l.objects {
			o := &l.objects[i]
			if o.Deleted || o.Timestamp.Compare(floor) <= 0 {
				continue
			}
			all = append(all, message{id: o.ID.ID, size: o.Size, arrived: arrival(o),
				holders: []cluster.NodeID{l.node}, replicas: o.Replicas})
		}
	}
	slices.SortFunc(all, func(a, b message) int {
		return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.holders[0], b.holders[0]))
	})
	d.messages = all[:0]
	for _, m := range all {
		if n := len(d.messages); n > 0 && d.messages[n-1].id == m.id {
			d.messages[n-1].join(m)
			continue
		}
		d.messages = append(d.messages, m)
	}
	if len(d.messages) > d.proxy.cfg.MessagesMax {
		return cluster.Errorf(cluster.KindLimit, "open mailbox "+string(d.user),
			"it has %d messages, at most %d can be shown", len(d.messages), d.proxy.cfg.MessagesMax)
	}
	slices.SortFunc(d.messages, func(a, b message) int {
		return cmp.Or(cmp.Compare(a.arrived, b.arrived), cmp.Compare(a.id, b.id))
	})
	d.listed = make([]mail.Listed, len(d.messages))
	for i, m := range d.messages {
		d.listed[i] = mail.Listed{ID: m.id, Size: m.size}
	}
	return nil
}

// arrival gives when the message was accepted. Attributes of a version that is not known here
// leave the time of the update, which is close.
func arrival(o *cluster.Object) int64 {
	if a, err := mail.ParseMessageAttr(o.Attr); err == nil {
		return a.Received.UnixNano()
	}
	return o.Timestamp.Time
}

// join takes in another copy of the same message.
func (m *message) join(o message) {
	m.holders = append(m.holders, o.holders...)
	m.replicas = cluster.NewReplicaSet(slices.Concat(m.replicas, o.replicas, m.holders)...)
	m.arrived = min(m.arrived, o.arrived)
}

// Messages lists the messages, oldest first. The slice is the Maildrop's; do not change it.
func (d *Maildrop) Messages() []mail.Listed { return d.listed }

// Read opens a message, by its index in Messages, at a node that listed it or at another replica.
// The caller closes the reader. KindNotFound: it was deleted meanwhile. KindUnavailable: the nodes that hold it cannot be reached now.
func (d *Maildrop) Read(ctx context.Context, i int) (io.ReadCloser, error) {
	if i < 0 || i >= len(d.messages) {
		return nil, cluster.Errorf(cluster.KindInvalid, "read mail of "+string(d.user), "there is no message %d", i)
	}
	m := &d.messages[i]
	id := cluster.ObjectID{Type: mail.TypeMessage, Owner: string(d.user), ID: m.id}
	var failed error
	for at, node := range slices.Concat(m.holders, m.replicas) {
		if at >= len(m.holders) && slices.Contains(m.holders, node) {
			continue
		}
		_, body, err := d.proxy.cluster.Open(ctx, node, id)
		if err == nil {
			return body, nil
		}
		// It is gone only if all say so: a node that cannot be asked may have it.
		if failed == nil || cluster.IsKind(failed, cluster.KindNotFound) {
			failed = err
		}
	}
	return nil, cluster.Errorf(cluster.KindOf(failed), "read message "+m.id+" of "+string(d.user), "%w", failed)
}

// Delete removes messages, by their indexes, in batches grouped by node. It makes sure of the
// lock first, so that a session which lost it deletes nothing. An error says how many are left:
// those are seen again by the next session.
func (d *Maildrop) Delete(ctx context.Context, indexes []int) error {
	op := "delete mail of " + string(d.user)
	updates := make([]cluster.Update, 0, len(indexes))
	for _, i := range indexes {
		if i < 0 || i >= len(d.messages) {
			return cluster.Errorf(cluster.KindInvalid, op, "there is no message %d", i)
		}
		m := &d.messages[i]
		updates = append(updates, cluster.Update{
			Object:   cluster.Object{ID: cluster.ObjectID{Type: mail.TypeMessage, Owner: string(d.user), ID: m.id}, Deleted: true},
			Previous: m.replicas,
		})
	}
	if len(updates) == 0 {
		return nil
	}
	left := 0
	var failed error
	for batch := range slices.Chunk(updates, deleteBatchMax) {
		if err := d.lock.Confirm(ctx); err != nil {
			return cluster.Errorf(cluster.KindOf(err), op, "%w", err)
		}
		for _, err := range d.proxy.cluster.UpdateAll(ctx, batch) {
			if err != nil && !cluster.IsKind(err, cluster.KindNotFound) {
				left++
				failed = err
			}
		}
	}
	if failed != nil {
		return cluster.Errorf(cluster.KindOf(failed), op, "%d of %d messages are left: %w", left, len(updates), failed)
	}
	return nil
}

// Lost is closed when the session has lost the maildrop.
func (d *Maildrop) Lost() <-chan struct{} { return d.lock.Lost() }

// Close gives the maildrop back. An error says that the next session may have to wait for it.
func (d *Maildrop) Close() error {
	if err := d.lock.Close(); err != nil {
		return fmt.Errorf("close mailbox %s: %w", d.user, err)
	}
	return nil
}
