package upkeep

import (
	"context"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/placement"
)

// partFor bounds how long a pass moves copies apart: the next one looks first what objects need.
const partFor = time.Minute

// part moves copies that share a machine to others, in the buckets in which the survey has found such. It is called
// when no object needs anything else, and gives up when the circumstances change: an object that has two copies
// on one machine waits for one that has one copy. w is the world of the pass.
func (p *pass) part(ctx context.Context, w placement.World, crowded []cluster.Bucket) {
	w.Part, w.Rebalance = true, false
	p.planner, p.rebalance = placement.NewPlanner(w), false
	p.until = p.u.cfg.Now().Add(partFor)
	for _, b := range crowded {
		if p.leftover || ctx.Err() != nil {
			break
		}
		if err := p.bucket(ctx, hit{bucket: b}); err != nil {
			p.fail(err)
		}
	}
	p.moves.Wait()
	p.until = time.Time{}
}

// isSlow reports whether a move is one that no object needs at once.
func isSlow(m *placement.Move) bool {
	return m.Reason == placement.Even || m.Reason == placement.Spread || m.Reason == placement.Apart
}

// leaves reports whether a move is left for a later pass: because the pass is over, or, if no object needs the move at once, because the
// view has changed or the time for such moves has gone.
func (p *pass) leaves(m *placement.Move) bool {
	if p.isOver() {
		return true
	}
	if !isSlow(m) || !p.hasChanged() && (p.until.IsZero() || !p.u.cfg.Now().After(p.until)) {
		return false
	}
	p.leftover = true
	return true
}

// passMin is how long a pass goes on though the view changes: where it changes all the time, something is repaired all the same.
const passMin = 10 * time.Second

// isOver reports whether what is left of the pass is left for the next one, since other objects may need it more by now: the view has
// changed, or a node has been away for so long that what it has needs repair.
func (p *pass) isOver() bool {
	now, due := p.u.cfg.Now(), p.planner.Deadline()
	if !due.IsZero() && now.After(due) || p.hasChanged() && now.Sub(p.begun) >= passMin {
		p.leftover = true
	}
	return p.leftover
}

// hasChanged reports whether the view is another one than when the pass began.
func (p *pass) hasChanged() bool {
	select {
	case <-p.changed:
		return true
	default:
		return false
	}
}
