package delivery

import (
	"context"
	"errors"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// bytesPerSecondMin is what one attempt to store may take at least: time for large messages.
const bytesPerSecondMin = 1 << 20

// storingTime is how long storing so many octets may take, beside what any message takes.
func storingTime(size int64) time.Duration {
	return time.Duration(size/bytesPerSecondMin) * time.Second
}

// timeFor is how long a message may take as a whole: every user's copy has time for one attempt at the least rate, UsersMax of them at
// once.
func (p *Delivery) timeFor(size int64, users int) time.Duration {
	rounds := (users + p.cfg.UsersMax - 1) / p.cfg.UsersMax
	return min(p.cfg.Timeout+time.Duration(rounds)*storingTime(size), max(p.cfg.Timeout, p.cfg.TimeoutMax))
}

// item is one user's copy of a message on its way.
type item struct {
	user    mail.User
	plan    plan               // by look
	object  cluster.Object     // Replicas are those of the last attempt
	touched cluster.ReplicaSet // nodes that have it or may have it: all that a removal must reach
	durable cluster.ReplicaSet // nodes that are known to have it on disk
	stored  bool
	err     error
}

// plan is what one item's nodes are chosen by.
type plan struct {
	entry     cluster.Entry
	copies    int
	copiesMin int
	spread    int
}

func (p *Delivery) planFor(b *mail.Mailbox) plan {
	copies := min(orDefault(b.Settings.Copies, p.cfg.Copies), cluster.ReplicaSetMax)
	return plan{
		entry:     b.Entry,
		copies:    copies,
		copiesMin: min(p.cfg.MinCopies, copies),
		// A user's mail lies on as many replica sets as it would lie on nodes with one copy each.
		spread: orDefault(b.Settings.Spread, p.cfg.Spread) + copies - 1,
	}
}

// look finds out whether the user is there and has room for an item, and plans where it is to lie.
// Nothing is stored.
func (p *Delivery) look(ctx context.Context, it *item) {
	box, err := p.mailbox(ctx, it.user)
	if err == nil {
		err = p.checkQuota(&box, it.object.Size)
	}
	if err != nil {
		it.err = cluster.Errorf(cluster.KindOf(err), "deliver to "+string(it.user), "%w", err)
		return
	}
	it.plan = p.planFor(&box)
	it.object.Copies = it.plan.copies
}

// store makes one item durable: on as many nodes as wanted, or, when no more can take it, on as many
// as must be. Precondition: look found no error.
func (p *Delivery) store(ctx context.Context, it *item, body cluster.Body) {
	op := "deliver to " + string(it.user)
	plan := &it.plan
	err := p.place(ctx, it, plan, body)
	if err != nil && len(it.durable) >= plan.copiesMin {
		p.cfg.Logger.Info("message lies on fewer nodes than wanted, until more can be reached", "user", it.user,
			"id", it.object.ID.ID, "nodes", it.durable.String(), "wanted", plan.copies, "err", err)
		err = nil
	}
	if err != nil {
		it.err = cluster.Errorf(temporary(cluster.KindOf(err)), op, "%w", err)
		return
	}
	it.stored = true
	if len(it.durable) < plan.copies {
		p.short.Add(1)
	}
	p.fresh.stored(it.user, it.object.Replicas, it.object.Size)
}

// place stores an item, at most AttemptsMax times: what is durable stays where it is, and the nodes
// that failed are replaced. Each attempt is an update of the same object, newer than the one before,
// and has all nodes that may know of one among its targets: so whatever became of the failed calls,
// it ends as one message on the nodes of the last attempt (D6). The updates are a nanosecond apart: a
// message can be seen, read and deleted as soon as an attempt has stored a copy, and the next attempt
// must not bring it back (R5). nil: it lies on all nodes that were wanted and are there.
func (p *Delivery) place(ctx context.Context, it *item, plan *plan, body cluster.Body) error {
	op := "deliver to " + string(it.user)
	var failed error // of the last attempt
	var err error
	if it.object.Timestamp, err = p.cluster.Timestamp(ctx); err != nil {
		return err
	}
	var tried cluster.ReplicaSet
	p.retries.earn()
	for range p.cfg.AttemptsMax {
		if failed != nil && !p.retries.spend() {
			return cluster.Errorf(cluster.KindOf(failed), op, "too many deliveries had to be tried again, this one is not: %w", failed)
		}
		wanted := min(plan.copies-len(it.durable), cluster.ReplicaSetMax-len(it.touched))
		if wanted <= 0 {
			break
		}
		set, err := p.cluster.Choose(plan.entry, mail.TypeMessage, wanted, max(plan.spread-len(it.durable), wanted), it.durable, tried)
		if len(it.durable)+len(set) < max(plan.copiesMin, len(it.durable)+1) {
			if failed != nil { // it says more
				return failed
			}
			return tooFew(op, len(it.durable)+len(set), plan.copiesMin, err)
		}
		if failed = p.attempt(ctx, it, set, body); failed == nil {
			return nil
		}
		p.fresh.forget(it.user)
		tried = tried.Union(set)
		if ctx.Err() != nil || cluster.IsKind(failed, cluster.KindInvalid) {
			break
		}
		p.cfg.Logger.Debug("message not stored on all nodes, choosing others", "user", it.user, "nodes", set.String(), "err", failed)
	}
	return failed
}

// tooFew is the error of an item for which too few nodes can be chosen.
func tooFew(op string, usable, copiesMin int, err error) error {
	if err == nil {
		return cluster.Errorf(cluster.KindUnavailable, op,
			"%d nodes can take it, and it must lie on %d (cluster.min_copies): start more nodes or free disk space", usable, copiesMin)
	}
	return cluster.Errorf(cluster.KindOf(err), op, "%w", err)
}

// attempt stores an item on a set of further nodes.
func (p *Delivery) attempt(ctx context.Context, it *item, set cluster.ReplicaSet, body cluster.Body) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.AttemptTimeout+storingTime(it.object.Size))
	defer cancel()
	u := cluster.Update{Object: it.object, Previous: it.touched}
	u.Object.Replicas = it.durable.Union(set)
	err := p.cluster.Update(ctx, u, body)
	var short *cluster.Shortfall
	switch {
	case err == nil:
		it.durable = u.Object.Replicas
	case errors.As(err, &short):
		it.durable = it.durable.Union(short.Durable)
	case !isDoubtful(err, u.Targets()):
		return err
	}
	it.touched = it.touched.Union(set)
	it.object.Timestamp.Time++ // of the next attempt
	it.object.Replicas = u.Object.Replicas
	return err
}

// isDoubtful reports an error of an update that may have been carried out all the same: all but those
// with which a node says that it did nothing. It says so for itself alone: of several targets, the
// others may have stored it.
func isDoubtful(err error, targets cluster.ReplicaSet) bool {
	switch cluster.KindOf(err) {
	case cluster.KindStale, cluster.KindBehind, cluster.KindInvalid, cluster.KindLimit, cluster.KindDenied, cluster.KindFull:
		return len(targets) > 1
	}
	return true
}

// temporary gives the kind of a delivery that failed though its user exists: nothing that happens
// while storing proves anything about the recipient (V1).
func temporary(k cluster.Kind) cluster.Kind {
	switch k {
	case cluster.KindFull, cluster.KindLimit, cluster.KindInternal:
		return k
	}
	return cluster.KindUnavailable
}

func orDefault(v, def int) int {
	if v > 0 {
		return v
	}
	return def
}
