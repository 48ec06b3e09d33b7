package replication

import (
	"slices"

	"porcupine/internal/cluster"
)

// Propagation is one update on its way from its initiator to its targets.
//
// The new replica set comes first, all of it at once. The other targets, which will remove their
// copies, hear of the update only AFTER all of the replica set have it: otherwise an initiator that
// dies in between would leave the object with fewer copies than it had, or with none. Who is
// not reached in time is not waited for: the log of the targets brings it the update, in the same
// order. A deletion without trace has no replica set; it goes to all targets at once.
type Propagation struct {
	id       cluster.ObjectID
	time     cluster.Timestamp
	replicas cluster.ReplicaSet
	targets  cluster.ReplicaSet
	ends     []end // in the order of targets
	stage    int   // how often Next gave targets
}

// end is how the update ended at one target.
type end struct {
	answered bool
	reply    Reply
	err      error // no reply came
}

// durable reports whether the target has the update, or a newer one that overwrote it, on its disk.
func (e *end) durable() bool {
	return e.answered && e.err == nil && e.reply.Err == nil && !e.reply.Want && e.reply.Verdict != 0
}

// outdone reports whether the target has a newer version, which the update does not touch.
func (e *end) outdone() bool { return e.durable() && e.reply.Verdict == Older }

func (e *end) failure() error {
	switch {
	case !e.answered:
		return cluster.Errorf(cluster.KindUnavailable, "send an update", "no answer yet")
	case e.err != nil:
		return e.err
	case e.reply.Err != nil:
		return e.reply.Err
	case e.reply.Want:
		return cluster.Errorf(cluster.KindInvalid, "send an update", "the target does not have the contents that the update keeps")
	case e.reply.Verdict == Older:
		return cluster.Errorf(cluster.KindUnavailable, "send an update", "a newer version of the object is there: look again, and set the clocks of the nodes if it goes on")
	}
	return cluster.Errorf(cluster.KindInternal, "send an update", "the answer says nothing")
}

// Propagate begins. As long as Next gives targets, the initiator sends the update, with its
// contents, to each of them (itself by a plain call), and reports each end with Answered.
func Propagate(u *cluster.Update) *Propagation {
	p := &Propagation{id: u.Object.ID, time: u.Object.Timestamp, replicas: u.Object.Replicas, targets: u.Targets()}
	p.ends = make([]end, len(p.targets))
	return p
}

// Next gives the targets to send to now, all at once, when all that it gave before have ended. None:
// that was all. The first are the replica set; what Outcome says is settled once they have ended.
// The second, if all of the first have the update, are the targets that shall remove their copies.
func (p *Propagation) Next() []cluster.NodeID {
	p.stage++
	first := p.replicas
	if len(first) == 0 {
		first = p.targets
	}
	switch p.stage {
	case 1:
		return first
	case 2:
		if p.allDurable(first) {
			return p.targets.Without(first)
		}
	}
	return nil
}

// at gives the end at a target; nil if it is none.
func (p *Propagation) at(target cluster.NodeID) *end {
	i, ok := slices.BinarySearch(p.targets, target)
	if !ok {
		return nil
	}
	return &p.ends[i]
}

func (p *Propagation) allDurable(set cluster.ReplicaSet) bool {
	return !slices.ContainsFunc(set, func(id cluster.NodeID) bool { return !p.at(id).durable() })
}

// Answered takes in how the update ended at one target: a reply, or an error if none came.
// An error proves nothing: the target may have applied it.
func (p *Propagation) Answered(target cluster.NodeID, r Reply, err error) {
	if e := p.at(target); e != nil {
		e.answered, e.reply, e.err = true, r, err
	}
}

// Outcome says what the initiator may say, when the targets that Next gave first have ended.
//
//   - nil: durable on all of the replica set. For a deletion without trace: on at least one target,
//     which holds the record, and all others have it too or were not reached.
//   - *cluster.Shortfall: durable somewhere, not known to be durable on all of the replica set. For a
//     deletion without trace, Missing are the targets that refused it.
//   - any other error: known to be durable nowhere, though it may be. Its kind is that of all targets
//     if they agree, KindFull if one says so, else KindUnavailable.
//
// An update that met a newer one counts as applied: it was overwritten at once. Not so a deletion without
// trace: it ends with KindUnavailable, since the object may be there still, in a version of a clock that
// is ahead, or of somebody who did not know of the deletion (D4).
func (p *Propagation) Outcome() error {
	wanted := p.replicas
	if len(wanted) == 0 {
		wanted = p.targets
	}
	var durable, missing cluster.ReplicaSet
	for _, id := range wanted {
		switch e := p.at(id); {
		case len(p.replicas) == 0 && e.outdone(): // what is there is newer, may be alive, and will win everywhere
			return e.failure()
		case e.durable():
			durable = append(durable, id)
		case len(p.replicas) == 0 && (!e.answered || e.err != nil): // the record brings it there
		default:
			missing = append(missing, id)
		}
	}
	switch {
	case len(durable) == 0:
		return p.failed(wanted)
	case len(missing) > 0:
		return &cluster.Shortfall{Durable: durable, Missing: missing, Err: p.at(missing[0]).failure()}
	}
	return nil
}

// failed makes one error of those of targets that all failed.
func (p *Propagation) failed(targets cluster.ReplicaSet) error {
	if len(targets) == 0 {
		return cluster.Errorf(cluster.KindInvalid, "update "+p.id.Owner, "it has no targets")
	}
	err := p.at(targets[0]).failure()
	kind := cluster.KindOf(err)
	for _, id := range targets {
		e := p.at(id).failure()
		switch {
		case cluster.IsKind(e, cluster.KindFull):
			return e // the caller chooses other nodes
		case cluster.KindOf(e) != kind:
			kind = cluster.KindUnavailable
		}
	}
	if kind == cluster.KindOf(err) {
		return err
	}
	return cluster.Errorf(kind, "update "+p.id.Owner, "no target took it: %w", err)
}

// Retirement gives what the targets may retire; false unless all have applied this very update.
func (p *Propagation) Retirement() (cluster.Retirement, bool) {
	for i := range p.ends {
		if e := &p.ends[i]; !e.answered || e.err != nil || !e.reply.Applied(p.time) {
			return cluster.Retirement{}, false
		}
	}
	return cluster.Retirement{ID: p.id, Timestamp: p.time, Targets: p.targets}, len(p.targets) > 0
}
