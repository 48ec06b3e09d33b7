package directory

import (
	"context"
	"errors"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// Pace of Widen.
const (
	widenPageMax = 200                   // objects looked at with one call
	widenPause   = 20 * time.Millisecond // after each object that was widened
)

// Widen gives more nodes to the users, aliases and domains that lie on fewer than they could:
// those made while the cluster was small. Call it on every node after each new view; one node
// does the work, the first member, which asks each object's manager for the change. It takes its
// time. Call it again, later, if it fails or its context ends: what is done is seen and not done
// twice. It gives the number of objects widened, and an error if some could not be.
func (d *Directory) Widen(ctx context.Context) (widened int, err error) {
	view := d.cluster.View()
	if len(view.Members) == 0 || view.Members[0].ID != d.cluster.ID() {
		return 0, nil
	}
	var failed error
	for _, t := range []cluster.ObjectType{mail.TypeDomain, mail.TypeUser, mail.TypeAlias} {
		n, err := d.widenType(ctx, view, t)
		widened += n
		failed = errors.Join(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	return widened, failed
}

func (d *Directory) widenType(ctx context.Context, view *cluster.View, t cluster.ObjectType) (widened int, failed error) {
	op := "widen objects of type " + string(t)
	after := ""
	for {
		page, err := d.cluster.Owners(ctx, t, after, widenPageMax)
		if err != nil {
			return widened, cluster.Errorf(cluster.KindOf(err), op, "%w", err)
		}
		if len(page) == 0 {
			return widened, failed
		}
		for i := range page {
			o := &page[i].Object
			after = o.ID.Owner
			if !d.isNarrow(view, o) {
				continue
			}
			if d.cluster.View() != view {
				return widened, cluster.Errorf(cluster.KindUnavailable, op, "the view changed: widening starts anew with the next one")
			}
			if _, err := d.change(ctx, change{Op: opWiden, Type: t, Owner: after}); err != nil {
				failed = err // the last one stands for all
			} else {
				widened++
			}
			if pause(ctx, widenPause); ctx.Err() != nil {
				return widened, cluster.Errorf(cluster.KindUnavailable, op, "%w", context.Cause(ctx))
			}
		}
	}
}
