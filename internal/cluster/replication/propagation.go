package replication

import "porcupine/internal/cluster"

// Propagation is one update on its way from its initiator to all its targets at once.
type Propagation struct { /* ... */
}

// Propagate begins. The initiator then sends the update, with its contents, to each of u.Targets
// (itself included, if it is one), and reports each end with Answered.
func Propagate(u *cluster.Update) *Propagation { return &Propagation{} }

// Answered takes in how the update ended at one target: a reply, or an error if none came.
// An error proves nothing: the target may have applied it.
func (p *Propagation) Answered(target cluster.NodeID, r Reply, err error) {}

// Outcome says what the initiator may say, when all targets have answered or been given up.
//
//   - nil: durable on all of the replica set. For a deletion without trace: on at least one target
//     that holds the record, and all others have it too or were not reached.
//   - *cluster.Shortfall: durable somewhere, not known to be durable on all of the replica set.
//   - any other error: known to be durable nowhere, though it may be. Its kind is that of all targets
//     if they agree, KindFull if one says so, else KindUnavailable.
//
// An update that met a newer one counts as applied: it was overwritten at once.
func (p *Propagation) Outcome() error { return nil }

// Retirement gives what the targets may retire; false unless all have applied this very update.
func (p *Propagation) Retirement() (cluster.Retirement, bool) { return cluster.Retirement{}, false }
