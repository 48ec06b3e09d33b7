package delivery

import (
	"context"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// Put stores one message for one user, who is known to exist, under an id that the caller has chosen, and
// gives the object as it lies: what APPEND and COPY do of IMAP. Placement and quota are those of
// delivered mail. What was stored of a message that fails is removed again; stored anew under its id, it is
// the same message (D6). KindFull with mail.ErrOverQuota: the mailbox is full. KindNotFound: there is
// no such user.
func (p *Delivery) Put(ctx context.Context, u mail.User, id mail.MessageID, attr mail.MessageAttr, body cluster.Body) (cluster.Object, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	sum, err := p.sumOf(body)
	if err != nil {
		return cluster.Object{}, cluster.Errorf(cluster.KindUnavailable, "read message for "+string(u), "%w", err)
	}
	it := item{user: u, object: cluster.Object{ID: id.Object(u), Attr: attr.Append(nil), Size: body.Size(), Sum: sum}}
	p.store(ctx, &it, body)
	if it.err != nil {
		if len(it.touched) > 0 {
			p.remove(ctx, []cluster.Update{p.removal(&it)})
		}
		return cluster.Object{}, it.err
	}
	o := it.object
	o.Timestamp.Time-- // that of the last attempt; the item has the next one's
	return o, nil
}

// Discard removes messages that Put has stored, since what they were stored for has failed. What
// cannot be removed now is logged: it may be seen.
func (p *Delivery) Discard(ctx context.Context, objects []cluster.Object) {
	updates := make([]cluster.Update, len(objects))
	for i := range objects {
		updates[i] = p.removal(&item{user: mail.User(objects[i].ID.Owner), object: objects[i], touched: objects[i].Replicas})
	}
	if len(updates) > 0 {
		p.remove(ctx, updates)
	}
}
