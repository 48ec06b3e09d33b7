package delivery

import (
	"context"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// Put stores one message for one user, who is known to exist, under an id that the caller has chosen, and
// gives the object as it lies: what APPEND and COPY do of IMAP. Placement and quota are those of
// delivered mail. What was stored of a message that fails is removed again; stored anew under its id, it is
// the same message (D6). KindUnavailable: among others, that too much comes in; see package turnstile. KindFull with mail.ErrOverQuota: the mailbox is full. KindNotFound: there is
// no such user.
func (p *Delivery) Put(ctx context.Context, u mail.User, id mail.MessageID, attr mail.MessageAttr, body cluster.Body) (cluster.Object, error) {
	it := p.put(ctx, u, id, attr, body)
	if it.err != nil && len(it.touched) > 0 {
		p.remove(ctx, []cluster.Update{p.removal(&it)})
	}
	return it.lies(), it.err
}

// PutOnce is Put for a caller who may have stored the same message under the same id before, or will come again
// with it: an import, or a message that is restored. However often it is stored, and on whichever nodes, it is one message
// (D6). So nothing is removed of what fails: it could be what an earlier call has promised.
func (p *Delivery) PutOnce(ctx context.Context, u mail.User, id mail.MessageID, attr mail.MessageAttr, body cluster.Body) (cluster.Object, error) {
	it := p.put(ctx, u, id, attr, body)
	return it.lies(), it.err
}

// Restore stores a message for one user again, under an id that the caller has chosen and with the
// time at which it first came in (PutOnce). KindNotFound: there is no such user.
func (p *Delivery) Restore(ctx context.Context, u mail.User, id mail.MessageID, received time.Time, body cluster.Body) error {
	_, err := p.PutOnce(ctx, u, id, mail.MessageAttr{Received: received}, body)
	return err
}

// put stores one message for one user, when it is its turn.
func (p *Delivery) put(ctx context.Context, u mail.User, id mail.MessageID, attr mail.MessageAttr, body cluster.Body) (it item) {
	leave, err := p.turn(ctx)
	if err != nil {
		it.err = cluster.Errorf(cluster.KindOf(err), "deliver to "+string(u), "%w", err)
		return it
	}
	defer leave(true)
	ctx, cancel := context.WithTimeout(ctx, p.timeFor(body.Size(), 1)) // AFTER the wait: what has its turn has time to use it
	defer cancel()
	sum, err := p.sumOf(body)
	if err != nil {
		it.err = cluster.Errorf(cluster.KindUnavailable, "read message for "+string(u), "%w", err)
		return it
	}
	it = item{user: u, object: cluster.Object{ID: id.Object(u), Attr: attr.Append(nil), Size: body.Size(), Sum: sum}}
	if p.look(ctx, &it); it.err == nil {
		p.store(ctx, &it, body)
	}
	return it
}

// turn takes a turn for Put. Its clients wait, and one message that is refused undoes all that a COPY of many has stored: so
// it waits as long as a small one may then take.
func (p *Delivery) turn(ctx context.Context) (leave func(done bool), err error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	_, leave, err = p.turns.EnterPatiently(ctx)
	return leave, err
}

// lies gives an item as it lies on its nodes; nothing if it failed.
func (it *item) lies() cluster.Object {
	if it.err != nil {
		return cluster.Object{}
	}
	o := it.object
	o.Timestamp.Time-- // that of the last attempt; the item has the next one's
	return o
}
