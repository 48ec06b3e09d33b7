package upkeep

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"porcupine/internal/cluster"
)

// Bounds of healing.
const (
	healTimeout   = 5 * time.Minute
	healRetryTime = 10 * time.Second // between tries at an object that somebody may have who does not answer
	healTriesMax  = 3                // in a row; then it is tried again every healAgain
	healAgain     = time.Minute
)

// healAlways heals what Damaged reports, and looks again at what waits for nodes that did not answer.
func (u *Upkeep) healAlways(ctx context.Context) {
	again := time.NewTicker(healAgain)
	defer again.Stop()
	for {
		select {
		case id := <-u.damage:
			u.heal(ctx, id)
		case <-again.C:
			for _, id := range u.putOff() {
				u.healReported(ctx) // BEFORE each: what waits may be much, and take long
				u.healOnce(ctx, id, healTriesMax)
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
			u.heal(ctx, id)
		default:
			return
		}
	}
}

// heal replaces the damaged contents of an object by those of another copy. If no copy has them, the
// object is left alone: what is left of it may be of use to a person. That is not said before all who
// may have them have answered: until then it is tried again, a few times if somebody who is there may have them.
func (u *Upkeep) heal(ctx context.Context, id cluster.ObjectID) {
	try := 1
	if u.isWaiting(id) {
		try = healTriesMax // it is known, and was tried often enough
	}
	u.healOnce(ctx, id, try)
}

// healOnce is heal, beginning with that try.
func (u *Upkeep) healOnce(ctx context.Context, id cluster.ObjectID, try int) {
	for ; ; try++ {
		o, found, err := u.object(id)
		if err == nil && (!found || u.read(&o) == nil) {
			u.setHealed(id)
			return // gone, or healed already
		}
		if try == 1 {
			u.count.damaged.Add(1)
		}
		soon := false
		if err == nil {
			soon, err = u.healFrom(ctx, &o)
		}
		last := try >= healTriesMax
		switch {
		case err == nil:
			u.count.healed.Add(1)
			u.setHealed(id)
			u.log.Info("upkeep: damaged contents were replaced from another copy", "object", nameOf(id))
			return
		case ctx.Err() != nil:
			return
		case found && !u.isStill(&o) && !last: // begin anew: what was asked for is not what is here
		case soon && !last:
			if !sleep(ctx, healRetryTime) {
				return
			}
		case cluster.IsKind(err, cluster.KindUnavailable), found && !u.isStill(&o):
			if u.setWaiting(id) {
				u.log.Warn("upkeep: contents are damaged and cannot be replaced yet: those who may have them are asked again", "object", nameOf(id), "err", err)
			}
			return
		default:
			o.ID = id // the header may be damaged too
			u.setLost(&o)
			u.log.Error("upkeep: contents are damaged and no other node could give them: the disk should be replaced; 'porcupine store verify' shows what is damaged",
				"object", nameOf(id), "size", o.Size, "err", err)
			return
		}
	}
}

// isStill reports whether an object is here as it was: else what others said of its contents is of no account.
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

// IsLost reports whether an object's contents are damaged on this node, and all who may have had them have answered
// that they do not.
func (u *Upkeep) IsLost(id cluster.ObjectID) bool {
	o, found, err := u.object(id)
	u.mu.Lock()
	defer u.mu.Unlock()
	l, lost := u.lost[id]
	return lost && err == nil && found && l.sum == o.Sum // not what took the place of what was lost
}

// isWaiting reports whether an object waits for somebody who did not answer.
func (u *Upkeep) isWaiting(id cluster.ObjectID) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.waiting[id]
}

// setHealed notes that nothing is wrong with an object any more.
func (u *Upkeep) setHealed(id cluster.ObjectID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.lost, id)
	delete(u.waiting, id)
}

// lost is an object that could not be healed.
type lost struct {
	text string            // for people
	sum  [sha256.Size]byte // of the contents
}

// setLost notes an object that could not be healed.
func (u *Upkeep) setLost(o *cluster.Object) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.waiting, o.ID)
	if len(u.lost) < damagedMax {
		u.lost[o.ID] = lost{fmt.Sprintf("%s (%d bytes)", nameOf(o.ID), o.Size), o.Sum}
	}
}

// setWaiting notes an object that somebody may have who did not answer, and reports whether that is news.
// Where there are too many the scrub finds them again.
func (u *Upkeep) setWaiting(id cluster.ObjectID) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.waiting[id] || len(u.waiting) >= damagedMax {
		return false
	}
	u.waiting[id] = true
	delete(u.lost, id)
	return true
}

// putOff lists the objects that wait.
func (u *Upkeep) putOff() []cluster.ObjectID {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.SortedFunc(maps.Keys(u.waiting), cluster.ObjectID.Compare)
}
