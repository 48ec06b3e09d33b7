package upkeep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"porcupine/internal/cluster"
)

// Bounds of healing.
const (
	healTimeout   = 5 * time.Minute
	healRetryTime = 10 * time.Second // between tries at an object that somebody may have who is there and does not answer
	healTriesMax  = 3                // in a row; then it is tried again every healAgain
	healAgain     = time.Minute
	healRest      = time.Second // after a try at an object for which there is no room among those that are remembered
)

// healAlways heals what Damaged reports, and looks again at what waits for nodes that did not answer.
func (u *Upkeep) healAlways(ctx context.Context) {
	again := time.NewTicker(healRetryTime)
	defer again.Stop()
	for {
		select {
		case id := <-u.damage:
			u.healIfNews(ctx, id)
		case <-again.C:
			u.forgetCured()
			for _, id := range u.due() {
				u.healReported(ctx) // BEFORE each: what waits may be much, and take long
				u.heal(ctx, id)
			}
		case <-ctx.Done():
			return
		}
	}
}

// healReported heals what has been reported meanwhile.
func (u *Upkeep) healReported(ctx context.Context) {
	for range damagedMax {
		select {
		case id := <-u.damage:
			u.healIfNews(ctx, id)
		default:
			return
		}
	}
}

// healIfNews is heal for what was reported. Who asks another for contents has him find, and report, that his are damaged too, and
// he asks in turn: so a report of what has just been tried is no news.
func (u *Upkeep) healIfNews(ctx context.Context, id cluster.ObjectID) {
	if u.triedJustNow(id) {
		return
	}
	if remembered := u.heal(ctx, id); !remembered {
		sleep(ctx, healRest)
	}
}

// heal replaces the damaged contents of an object by those of another copy. If no copy has them, the
// object is left alone: what is left of it may be of use to a person. That is not said before all who
// may have them have answered: until then it is tried again, soon at first if somebody who is there may have them. remembered is false
// if it could not be healed, and another had to be forgotten for it, or it itself.
func (u *Upkeep) heal(ctx context.Context, id cluster.ObjectID) (remembered bool) {
	for try := 1; ; try++ {
		o, found, err := u.object(id)
		if err == nil && (!found || o.Deleted || u.read(&o) == nil) {
			u.setHealed(id)
			return true // gone, or healed already
		}
		o.ID = id // the header may be damaged too
		if try == 1 && !u.isKnown(&o) {
			u.count.damaged.Add(1)
		}
		soon := false
		if err == nil {
			soon, err = u.healFrom(ctx, &o)
		}
		changed := err != nil && found && !u.isStill(&o) // then what others said is of no account
		switch {
		case err == nil:
			u.count.healed.Add(1)
			u.setHealed(id)
			u.log.Info("upkeep: damaged contents were replaced from another copy", "object", nameOf(id))
			return true
		case ctx.Err() != nil:
			return true
		case changed && try < healTriesMax: // begin anew
		case changed, cluster.IsKind(err, cluster.KindUnavailable):
			return u.setWaiting(&o, soon, err)
		default:
			return u.setLost(&o, err)
		}
	}
}

// isStill reports whether an object is here as it was.
func (u *Upkeep) isStill(o *cluster.Object) bool {
	now, found, err := u.object(o.ID)
	return err != nil || found && now.Timestamp == o.Timestamp && now.Size == o.Size && now.Sum == o.Sum && now.Replicas.Equal(o.Replicas)
}

// healFrom asks the other replicas in turn, and then whoever else has objects of the owner: who is to drop
// his copy keeps it while the others are damaged. KindUnavailable: somebody did not answer who may have
// the contents. soon: one of them is there, or it is not known who they are, and it may be otherwise in a moment.
func (u *Upkeep) healFrom(ctx context.Context, o *cluster.Object) (soon bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, healTimeout)
	defer cancel()
	first, errs := u.healFromAny(ctx, o, o.Replicas.Without(cluster.ReplicaSet{u.node.ID()}).Without(u.node.Struck()))
	if errs == nil {
		return false, nil
	}
	holders, unknown := u.holders(ctx, o)
	then, others := u.healFromAny(ctx, o, holders)
	if others == nil {
		return false, nil
	}
	soon = first.silent || then.silent || unknown != nil
	kind := cluster.KindCorrupt
	if soon || first.absent || then.absent {
		kind = cluster.KindUnavailable
	}
	return soon, cluster.Errorf(kind, "heal", "%w", errors.Join(errs, unknown, others))
}

// unheard says of nodes that were asked for contents which of them did not answer.
type unheard struct {
	absent bool // one is not a member now
	silent bool // one is
}

var errAbsent = errors.New("the node is absent")

// healFromAny asks nodes in turn, until one gives the contents: nil then.
func (u *Upkeep) healFromAny(ctx context.Context, o *cluster.Object, nodes cluster.ReplicaSet) (none unheard, errs error) {
	if len(nodes) == 0 {
		return none, cluster.Errorf(cluster.KindCorrupt, "heal", "there is nobody to ask")
	}
	for _, id := range nodes {
		err := u.healFromOne(ctx, o, id)
		switch {
		case err == nil:
			return unheard{}, nil
		case errors.Is(err, errAbsent):
			none.absent = true
		case !cluster.IsKind(err, cluster.KindCorrupt) && !cluster.IsKind(err, cluster.KindNotFound) && !errors.Is(err, errChanged):
			none.silent = true
		}
		errs = errors.Join(errs, fmt.Errorf("from node %s: %w", id, err))
	}
	return none, errs
}

// healFromOne takes the contents from one node. The copy there may be of another version, since the object
// is on its way from node to node, but not of other contents.
func (u *Upkeep) healFromOne(ctx context.Context, o *cluster.Object, from cluster.NodeID) error {
	if !u.node.View().Contains(from) {
		return cluster.Errorf(cluster.KindUnavailable, "heal", "%w", errAbsent)
	}
	body, err := newBody(ctx, o, func(ctx context.Context) (cluster.Object, io.ReadCloser, error) {
		have, r, err := u.node.Open(ctx, from, o.ID)
		have.Timestamp = o.Timestamp
		return have, r, err
	})
	if err != nil {
		return err
	}
	return errors.Join(u.disk.Heal(ctx, *o, body), body.Close())
}

// holders gives the nodes outside an object's replica set that have objects of its type and owner, as the
// owner's manager says. KindUnavailable: there may be more.
func (u *Upkeep) holders(ctx context.Context, o *cluster.Object) (holders cluster.ReplicaSet, err error) {
	e, err := u.node.Lookup(ctx, o.ID.Owner)
	if err != nil {
		return nil, cluster.Errorf(cluster.KindUnavailable, "heal", "ask who has it: %w", err)
	}
	for _, f := range e.Fragments {
		if f.Type == o.ID.Type {
			holders = holders.Union(cluster.NewReplicaSet(f.Holders...))
		}
	}
	if e.Knowledge < cluster.Complete {
		err = cluster.Errorf(cluster.KindUnavailable, "heal", "it is not known yet who has it")
	}
	return holders.Without(o.Replicas).Without(cluster.ReplicaSet{u.node.ID()}), err
}
