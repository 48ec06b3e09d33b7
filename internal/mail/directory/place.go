package directory

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"porcupine/internal/cluster"
)

// placement is a change on its way to its nodes.
type placement struct {
	old       cluster.ReplicaSet // that held the object before
	copiesMin int                // nodes that it must be durable on
	touched   cluster.ReplicaSet // all that have a version of it or may have one
	durable   cluster.ReplicaSet
	failed    cluster.ReplicaSet // did not take it
}

// store makes the change durable and waits until the manager's soft state has it. All nodes of the
// old replica set are among its targets, members or not: those that cannot be reached hear of it from
// its record, and with it of a new password (A2). On fewer than copiesMin nodes it does not stand.
//
// Its timestamp is newer than that of the version it replaces: it is made here, where that version
// was heard of, and hearing of it moved the clock past it. If a clock is so wrong that it was not
// moved, the old version wins, and settle sees that.
func (d *Directory) store(ctx context.Context, c *change, e *cluster.Entry, old cluster.ReplicaSet, copiesMin int) error {
	u := cluster.Update{Object: cluster.Object{
		ID:      cluster.ObjectID{Type: c.Type, Owner: c.Owner},
		Copies:  d.cfg.Copies,
		Deleted: c.Op == opRemove,
	}}
	var body cluster.Body
	if !u.Object.Deleted {
		u.Object.Size = int64(len(c.Contents))
		u.Object.Sum = sha256.Sum256(c.Contents)
		body = bytes.NewReader(c.Contents)
	}
	p := placement{old: old, touched: old, copiesMin: max(copiesMin, 1)}
	var err error
	for range placeRoundsMax {
		set, placeErr := d.place(c, &p)
		if placeErr != nil {
			if err == nil { // else the failure at the chosen nodes says more
				return placeErr
			}
			break
		}
		u.Object.Replicas, u.Previous = set, p.touched
		err = d.update(ctx, u, body)
		if p.holds(set, err) {
			return d.settle(ctx, c)
		}
		if ctx.Err() != nil || cluster.IsKind(err, cluster.KindInvalid) {
			break
		}
	}
	return cluster.Errorf(cluster.KindOf(err), c.String(), "%w (it may have taken effect or not: look, and repeat it if need be)", err)
}

// update is one attempt: a node that hangs must not keep a change that others have taken.
func (d *Directory) update(ctx context.Context, u cluster.Update, body cluster.Body) error {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.StoreWait)
	defer cancel()
	return d.cluster.Update(ctx, u, body)
}

// holds takes in how an update of a replica set ended, and reports whether that is enough.
func (p *placement) holds(set cluster.ReplicaSet, err error) bool {
	var short *cluster.Shortfall
	switch {
	case err == nil:
		p.durable = p.durable.Union(set)
	case errors.As(err, &short):
		p.durable = p.durable.Union(short.Durable)
		p.failed = p.failed.Union(short.Missing)
	default:
		p.failed = p.failed.Union(set.Without(p.durable))
	}
	p.touched = p.touched.Union(set)
	return (err == nil || short != nil) && len(p.durable) >= p.copiesMin
}

// place chooses the replica set of a change: those that hold the object and are members, others up
// to the copies that are wanted, and if they are too few, old ones that are away, which are likely to
// come back. Nodes that failed just now are left out.
func (d *Directory) place(c *change, p *placement) (cluster.ReplicaSet, error) {
	v := d.cluster.View()
	var away cluster.ReplicaSet
	set := p.durable
	for _, id := range p.old.Without(p.failed) {
		if v.Contains(id) {
			set = set.Union(cluster.ReplicaSet{id})
		} else {
			away = append(away, id)
		}
	}
	var err error
	// Nodes that are neither old nor failed are targets too many when there are many of those.
	wanted := min(d.cfg.Copies, len(v.Members), cluster.ReplicaSetMax-len(p.touched.Without(set))) - len(set)
	if wanted > 0 {
		var chosen cluster.ReplicaSet
		chosen, err = d.cluster.Choose(cluster.Entry{Owner: c.Owner}, c.Type, wanted, wanted, set, p.touched)
		set = set.Union(chosen)
	}
	if len(set) < p.copiesMin {
		if err == nil {
			err = fmt.Errorf("the cluster has %d usable members", len(set))
		}
		return nil, cluster.Errorf(cluster.KindUnavailable, c.String(),
			"it must lie on %d nodes and only %d can take it (%w): start another node, or free disk space", p.copiesMin, len(set), err)
	}
	for _, id := range away {
		if len(set) < d.cfg.Copies {
			set = set.Union(cluster.ReplicaSet{id})
		}
	}
	return set, nil
}
