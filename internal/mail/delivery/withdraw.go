package delivery

import (
	"context"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// How Withdraw removes messages: so many at once, within undoTimeout. After a time in which none could be removed it tries
// half as many, after a pause; after so many times in a row it gives up.
const (
	withdrawMax   = 64
	withdrawTries = 5
	withdrawPause = time.Second
)

// Withdraw removes messages that Put has stored, since what they were stored for has failed; also for a caller who has gone.
// It takes as long as it gets on, so that nothing of a great COPY stays only because the disks are slow. What cannot be
// removed now is logged, and counted in left: it may be seen.
func (p *Delivery) Withdraw(ctx context.Context, objects []cluster.Object) (left int) {
	ctx = context.WithoutCancel(ctx)
	pending := make([]cluster.Update, len(objects))
	for i := range objects {
		pending[i] = p.removal(&item{user: mail.User(objects[i].ID.Owner), object: objects[i], touched: objects[i].Replicas})
	}
	var last error
	tries := withdrawTries * (1 + len(pending)/withdrawMax)
	for inVain := 0; len(pending) > 0 && inVain < withdrawTries && tries > 0; tries-- {
		if inVain > 0 {
			<-time.After(withdrawPause)
		}
		some := pending[:min(len(pending), withdrawMax>>inVain)]
		again, err := p.withdraw(ctx, some)
		if err != nil {
			last = err
		}
		if inVain++; len(again) < len(some) {
			inVain = 0
		}
		pending = append(pending[len(some):], again...)
	}
	if len(pending) > 0 {
		p.cfg.Logger.Warn("messages of a command that failed could not be removed: they may be seen", "user", pending[0].Object.ID.Owner,
			"messages", len(pending), "first", pending[0].Object.ID.ID, "nodes", pending[0].Previous.String(), "err", last)
	}
	return len(pending)
}

// withdraw removes a few messages, and gives those that are left, with the last reason.
func (p *Delivery) withdraw(ctx context.Context, some []cluster.Update) (left []cluster.Update, last error) {
	ctx, cancel := context.WithTimeout(ctx, undoTimeout)
	defer cancel()
	for i, err := range p.cluster.UpdateAll(ctx, some) {
		if !mail.Holds(err) && !cluster.IsKind(err, cluster.KindNotFound) {
			left, last = append(left, some[i]), err
		}
	}
	return left, last
}
