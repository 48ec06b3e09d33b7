package delivery

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// undoTimeout bounds the removal of what was stored for a delivery that failed.
const undoTimeout = 5 * time.Second

// Deliver stores a message for all recipients, each for itself (LMTP, RFC 2033): one error for
// each recipient, in their order, nil if the message is durable for all users it means. What was
// stored only for a recipient that fails is removed again. A user that several recipients mean
// gets one copy.
func (p *Delivery) Deliver(ctx context.Context, env mail.Envelope, body cluster.Body) []error {
	return p.deliver(ctx, env, body, false)
}

// Together is a Delivery for a front end that has one reply for the whole message: its Deliver is
// DeliverAll.
type Together struct{ *Delivery }

// AllOrNone gives the Delivery for front ends that have one reply for the whole message.
func (p *Delivery) AllOrNone() Together { return Together{p} }

// Deliver is Delivery.DeliverAll.
func (t Together) Deliver(ctx context.Context, env mail.Envelope, body cluster.Body) []error {
	return t.DeliverAll(ctx, env, body)
}

// DeliverAll stores a message for all recipients or none (SMTP, where the message has one reply):
// nothing is stored if one is gone or has no room; if one fails later, what was stored for the others
// is removed again as far as possible. Then every recipient has an error. A kind that is for good is
// kept only if it is that of all. When the message comes again, Verify refuses the one that had no room.
func (p *Delivery) DeliverAll(ctx context.Context, env mail.Envelope, body cluster.Body) []error {
	return p.deliver(ctx, env, body, true)
}

func (p *Delivery) deliver(ctx context.Context, env mail.Envelope, body cluster.Body, together bool) []error {
	users := 0
	for _, r := range env.Recipients {
		users += len(r.Users)
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeFor(body.Size(), users))
	defer cancel()
	items, byUser, err := p.prepare(env, body)
	switch {
	case err != nil:
	case together:
		p.storeAll(ctx, env, items, body)
	default:
		p.each(items, func(it *item) {
			if p.look(ctx, it); it.err == nil {
				p.store(ctx, it, body)
			}
		})
	}
	results := make([]error, len(env.Recipients))
	failed := false
	for i, r := range env.Recipients {
		results[i] = recipientError(r, items, byUser, err)
		failed = failed || results[i] != nil
	}
	if failed {
		if together {
			failAll(results)
		}
		p.undo(ctx, env, items, byUser, results)
	}
	return results
}

// prepare makes one item for each user, with an id of its own and the sum of the contents.
func (p *Delivery) prepare(env mail.Envelope, body cluster.Body) ([]item, map[mail.User]int, error) {
	sum, err := p.sumOf(body)
	if err != nil {
		return nil, nil, cluster.Errorf(cluster.KindInternal, "read message", "%w", err)
	}
	attr := mail.MessageAttr{Received: env.Received}.Append(nil)
	items := make([]item, 0, len(env.Recipients))
	byUser := make(map[mail.User]int, len(env.Recipients))
	for _, r := range env.Recipients {
		for _, u := range r.Users {
			if _, ok := byUser[u]; ok {
				continue
			}
			byUser[u] = len(items)
			items = append(items, item{user: u, object: cluster.Object{
				ID: mail.NewMessageID().Object(u), Attr: attr, Size: body.Size(), Sum: sum}})
		}
	}
	return items, byUser, nil
}

// sumBuffer is how much of a body is read at once.
const sumBuffer = 32 << 10

func (p *Delivery) sumOf(body cluster.Body) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	buffer := p.buffers.Get().(*[sumBuffer]byte)
	defer p.buffers.Put(buffer)
	size := body.Size()
	for at := int64(0); at < size; {
		n, err := body.ReadAt(buffer[:min(sumBuffer, size-at)], at)
		h.Write(buffer[:n])
		at += int64(n)
		if err != nil && (!errors.Is(err, io.EOF) || at < size) {
			return sum, err
		}
	}
	h.Sum(sum[:0])
	return sum, nil
}

// storeAll stores all items, or none if one is known to fail BEFORE any is stored: a message that is
// taken away again may have been seen.
func (p *Delivery) storeAll(ctx context.Context, env mail.Envelope, items []item, body cluster.Body) {
	p.each(items, func(it *item) { p.look(ctx, it) })
	fails := false
	for i := range items {
		it := &items[i]
		fails = fails || it.err != nil
		if len(env.Recipients) > 1 && errors.Is(it.err, mail.ErrOverQuota) {
			p.noRoom.put(env.From, it.user, it.object.Size, time.Now())
		}
	}
	if !fails {
		p.each(items, func(it *item) { p.store(ctx, it, body) })
	}
}

// each calls f for all items, UsersMax at once.
func (p *Delivery) each(items []item, f func(*item)) {
	if len(items) == 1 { // the usual case needs no goroutine
		f(&items[0])
		return
	}
	slots := make(chan struct{}, p.cfg.UsersMax)
	var wg sync.WaitGroup
	for i := range items {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f(&items[i])
		})
	}
	wg.Wait()
}

// recipientError gives the first error among the users that a recipient means. It is for good only
// if all of them are gone: an alias that has lost one target is no address that does not exist,
// and means the others when the message comes again (V1).
func recipientError(r mail.Recipient, items []item, byUser map[mail.User]int, err error) error {
	if err != nil {
		return err
	}
	if len(r.Users) == 0 {
		return cluster.Errorf(cluster.KindInternal, "deliver to "+r.Address.String(), "recipient means nobody: it was not verified")
	}
	errs := make([]error, len(r.Users))
	failed := false
	for i, u := range r.Users {
		errs[i] = items[byUser[u]].err
		failed = failed || errs[i] != nil
	}
	if !failed {
		return nil
	}
	failAll(errs)
	return errs[0]
}

// failAll gives all one error, since one has failed: the first that is temporary, if there is
// one. It is for good only if all have the same.
func failAll(results []error) {
	kept := error(nil)
	same := true
	for _, err := range results {
		switch {
		case err == nil:
			same = false
		case kept == nil:
			kept = err
		case cluster.KindOf(err) != cluster.KindOf(kept):
			same = false
			if isForGood(kept) {
				kept = err
			}
		}
	}
	if !same && isForGood(kept) {
		kept = cluster.Errorf(cluster.KindUnavailable, "deliver to all", "one of them is gone: %w", kept)
	}
	for i := range results {
		results[i] = kept
	}
}

func isForGood(err error) bool {
	switch cluster.KindOf(err) {
	case cluster.KindNotFound, cluster.KindDenied, cluster.KindInvalid:
		return true
	}
	return false
}

// undo removes what was stored, or may have been, for recipients that failed and for no other. This
// node takes part in it as a target of the removal: when none of the nodes that have a copy can be
// reached, its record is what brings them the removal, whoever starts again in the meantime.
func (p *Delivery) undo(ctx context.Context, env mail.Envelope, items []item, byUser map[mail.User]int, results []error) {
	wanted := make([]bool, len(items))
	for i, r := range env.Recipients {
		if results[i] == nil {
			for _, u := range r.Users {
				wanted[byUser[u]] = true
			}
		}
	}
	var updates []cluster.Update
	for i := range items {
		it := &items[i]
		if wanted[i] || len(it.touched) == 0 {
			continue
		}
		updates = append(updates, p.removal(it))
	}
	if len(updates) > 0 {
		p.remove(ctx, updates)
	}
}

// removal is the update that removes an item, with this node among its targets.
func (p *Delivery) removal(it *item) cluster.Update {
	p.fresh.forget(it.user)
	from := it.touched
	if len(from) < cluster.ReplicaSetMax {
		from = from.Union(cluster.ReplicaSet{p.cluster.ID()})
	}
	return cluster.Update{Object: cluster.Object{ID: it.object.ID, Deleted: true}, Previous: from}
}

// remove carries out removals, also for a caller who has gone.
func (p *Delivery) remove(ctx context.Context, updates []cluster.Update) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	for i, err := range p.cluster.UpdateAll(ctx, updates) {
		if !mail.Holds(err) && !cluster.IsKind(err, cluster.KindNotFound) {
			p.cfg.Logger.Warn("a message that was refused could not be removed: it may be seen twice",
				"user", updates[i].Object.ID.Owner, "id", updates[i].Object.ID.ID, "nodes", updates[i].Previous.String(), "err", err)
		}
	}
}
