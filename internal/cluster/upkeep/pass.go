package upkeep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/placement"
)

// pageMax bounds the objects of one bucket that are in memory at once.
const pageMax = 16 << 10

// pass is one walk over this node's buckets, and what is remembered from one to the next.
type pass struct {
	u            *Upkeep
	circumstance string    // view, draining and struck nodes of the last pass
	since        time.Time // when they changed
	thorough     time.Time // when a pass last looked at small replica sets too
	small        int64     // objects on such sets that the last thorough pass left so, as their headers say
	rebalanced   time.Time // when one last rebalanced
	empty        int       // passes in a row that found nothing on this node while it drains

	failures   int       // passes in a row in which something failed
	complained time.Time // when a failure was last logged for people

	changed  <-chan struct{} // closed when the view is not that of the pass any more
	begun    time.Time       // when it began to move
	until    time.Time       // when no more copies are moved apart; zero: it is not that they are
	leftover bool            // some moves are left for the next pass

	missing int // passes in a row that found copies missing which nobody is away for just now

	planner   *placement.Planner
	rebalance bool
	cached    bool          // cached objects alone are moved
	places    chan struct{} // of moves in flight
	moves     sync.WaitGroup
	waiting   int64
	failed    atomic.Int64
	unread    int64 // of what failed: buckets that cannot be read

	mu     sync.Mutex
	undone map[cluster.Bucket]bool // in which a move failed, or waits
}

// keep makes passes until ctx ends.
func (u *Upkeep) keep(ctx context.Context) {
	p := &pass{u: u, places: make(chan struct{}, movesInFlight)}
	for ctx.Err() == nil {
		p.changed = u.node.Changed()
		rest := p.run(ctx)
		timer := time.NewTimer(rest)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-u.wake:
		case <-p.changed:
			sleep(ctx, changeRest) // several changes often follow each other
		}
		timer.Stop()
	}
}

// run makes one pass and says how long to rest.
func (p *pass) run(ctx context.Context) time.Duration {
	u := p.u
	now, epoch := u.cfg.Now(), u.node.View().Epoch
	w := u.world(now)
	thorough := p.note(&w)
	p.rebalance = w.Rebalance
	p.planner = placement.NewPlanner(w)
	p.waiting, p.leftover = 0, false
	p.failed.Store(0)
	p.unread, p.undone = 0, map[cluster.Bucket]bool{}
	short := u.takeShort()
	found := p.survey(ctx, thorough, short)
	if !thorough && found.small > p.small {
		// Some were written since with too few copies: while nodes came and went, say.
		thorough = true
		found = p.survey(ctx, thorough, short)
	}
	u.found(&found, p.planner.Deadline(), epoch)
	moved := u.count.repair.done.Load()
	p.begun = u.cfg.Now()
	if found.short > 0 {
		p.workCached(ctx, w, found.hits)
	}
	p.work(ctx, found.hits, now)
	if ctx.Err() != nil {
		return 0
	}
	u.count.unread.Store(p.unread)
	u.giveBackShort(p.undoneOf(short))
	u.hold(p.planner.Held())
	if p.failed.Load() == 0 {
		switch {
		case !thorough:
			p.small = min(p.small, found.small)
		case u.count.repair.done.Load() == moved && p.waiting == 0 && !p.leftover:
			p.thorough, p.small = now, found.small
		default: // the next one is thorough too, until what is left can be no other way
			p.thorough, p.small = time.Time{}, 0
		}
		if w.Rebalance && !p.leftover {
			p.rebalanced = now
		}
		p.seeToDrain(found.left)
	}
	calm := found.short == 0 || p.planner.Deadline().IsZero()
	// A bucket that cannot be read is no reason to leave the others as they are: it may stay so for days.
	if calm && p.failed.Load() == p.unread && p.waiting == 0 && !p.leftover {
		p.part(ctx, w, found.crowded)
	}
	return p.rest(now, found.short)
}

// found notes for Status what the headers say, and in which view.
func (u *Upkeep) found(s *survey, deadline time.Time, epoch cluster.Epoch) {
	u.count.left.Store(s.left)
	u.count.short.Store(s.short)
	u.count.together.Store(s.together)
	u.count.deadline.Store(unixOf(deadline))
	u.mu.Lock()
	u.surveyed = epoch
	u.mu.Unlock()
}

// workCached carries out what the cached objects of all buckets need, BEFORE anything else is moved: they are few and small, all else
// may take hours, and while one of them has a single copy left the node that has it may go away. What stays undone is met again by
// work, with a plan of its own.
func (p *pass) workCached(ctx context.Context, w placement.World, hits []hit) {
	plan, rebalance := p.planner, p.rebalance
	w.Rebalance = false
	p.planner, p.rebalance, p.cached = placement.NewPlanner(w), false, true
	p.u.count.repair.busy(pendingOf(hits), w.Now)
	for _, h := range hits {
		if ctx.Err() != nil || p.isOver() {
			break
		}
		_ = p.bucket(ctx, h) // work meets it again, and tells
	}
	p.moves.Wait()
	p.planner, p.rebalance, p.cached = plan, rebalance, false
	p.waiting = 0
}

// work carries out what the buckets need, and waits for it. A bucket that cannot be read does not keep
// the others from it.
func (p *pass) work(ctx context.Context, hits []hit, now time.Time) {
	progress := &p.u.count.repair
	pending := pendingOf(hits)
	progress.busy(pending, now)
	for _, h := range hits {
		if ctx.Err() != nil || p.isOver() {
			break
		}
		if err := p.bucket(ctx, h); err != nil {
			p.fail(err)
		}
		if !p.leftover {
			pending -= h.count
		}
		progress.busy(max(pending, 1), now)
	}
	p.moves.Wait()
	if !p.leftover {
		pending = 0
	}
	progress.busy(pending+p.waiting+p.failed.Load(), now)
}

// pendingOf gives how many objects are concerned.
func pendingOf(hits []hit) (pending int64) {
	for _, h := range hits {
		pending += h.count
	}
	return pending
}

// fail notes a bucket that cannot be read, which keeps the pass from being whole.
func (p *pass) fail(err error) {
	p.unread++
	p.failed.Add(1)
	level := slog.LevelDebug
	if now := p.u.cfg.Now(); now.Sub(p.complained) >= thoroughEvery {
		p.complained, level = now, slog.LevelError
	}
	p.u.log.Log(context.Background(), level, "upkeep: a bucket cannot be read, and nothing in it is repaired: run 'porcupine store verify' on this node", "err", err)
}

// world gathers what is known now.
func (u *Upkeep) world(now time.Time) placement.World {
	w := placement.World{
		Self: u.node.ID(), Absent: u.node.Absent(), Struck: u.node.Struck(), Now: now,
		RepairAfter: u.cfg.RepairAfter, Grace: u.cfg.Grace,
	}
	loads := u.node.Loads()
	for _, id := range u.node.View().IDs() {
		w.Members = append(w.Members, placement.Member{ID: id, Load: loads[id]})
	}
	return w
}

// note compares the circumstances with those of the last pass and fills in what follows: since when they
// are so, and whether this pass rebalances. It reports whether the pass shall be thorough.
func (p *pass) note(w *placement.World) (thorough bool) {
	key := fmt.Sprint(p.u.node.View().IDs(), w.Struck)
	for _, m := range w.Members {
		key += fmt.Sprint(m.Load.Draining, m.Load.DiskFull)
	}
	if key != p.circumstance {
		p.circumstance, p.since, p.thorough = key, w.Now, time.Time{}
	}
	w.Since = p.since
	if p.u.cfg.Rebalance.Contains(w.Now) && w.Now.Sub(p.rebalanced) >= rebalanceEvery {
		w.Rebalance, w.Spread = true, p.u.cfg.Spread
	}
	return w.Now.Sub(p.thorough) >= thoroughEvery
}

// rest is how long nothing needs to be done, unless something happens. short is how many objects this
// pass found to have too few copies: another node may mend that, and it is soon looked at again.
func (p *pass) rest(now time.Time, short int64) time.Duration {
	rest := passEvery
	switch {
	case p.failed.Load() > 0:
		p.failures++
		rest = min(failedRest*time.Duration(p.failures), passEvery)
	case p.waiting > 0, p.u.draining.Load(), p.leftover:
		rest = failedRest
		fallthrough
	default:
		p.failures = 0
	}
	if short == 0 {
		p.missing = 0
	} else {
		p.missing++
		rest = min(rest, failedRest*time.Duration(p.missing))
	}
	if d := p.planner.Deadline(); !d.IsZero() {
		rest = min(rest, max(d.Sub(now), 0)+minPause)
	}
	return rest
}

// bucket plans the moves of one bucket and begins to carry them out.
func (p *pass) bucket(ctx context.Context, h hit) error {
	maps := h.local
	if p.rebalance {
		maps = p.lookup(ctx, h.local)
	}
	for after := (*cluster.Object)(nil); ctx.Err() == nil; {
		page, more, err := p.u.review(h.bucket, after, p.cached)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return nil
		}
		after = &page[len(page)-1].Object
		if p.rebalance {
			page = p.u.removeOrphans(ctx, page)
		}
		moves, waiting := p.planner.Bucket(page, maps)
		if p.waiting += int64(waiting); waiting > 0 {
			p.leave(h.bucket)
		}
		for i := range moves {
			if p.leaves(&moves[i]) {
				continue
			}
			if !p.begin(ctx, h.bucket, &moves[i]) {
				return nil
			}
		}
		if !more {
			return nil
		}
	}
	return nil
}

// Ends of a page.
var (
	errPage   = errors.New("the page is full")
	errCached = errors.New("no cached objects follow")
)

// review gives a page of a bucket's objects, those after the one given; cached: of cached objects alone.
func (u *Upkeep) review(b cluster.Bucket, after *cluster.Object, cached bool) (page []placement.Object, more bool, err error) {
	err = u.disk.Review(b, func(o cluster.Object, propagating bool) error {
		if cached && !u.cached[o.ID.Type] { // these stand at the end
			return errCached
		}
		if after != nil && u.compare(&o.ID, &after.ID) <= 0 {
			return nil
		}
		if len(page) == pageMax {
			return errPage
		}
		page = append(page, placement.Object{Object: o, Cached: u.inline[o.ID.Type], Propagating: propagating})
		return nil
	})
	if errors.Is(err, errPage) {
		return page, true, nil
	}
	if err != nil && !errors.Is(err, errCached) {
		return nil, false, fmt.Errorf("review bucket %d: %w", b, err)
	}
	return page, false, nil
}

// compare orders ids as the store reviews them: cached types first.
func (u *Upkeep) compare(a, b *cluster.ObjectID) int {
	switch x, y := u.cached[a.Type], u.cached[b.Type]; {
	case x && !y:
		return -1
	case y && !x:
		return 1
	}
	return a.Compare(*b)
}

// lookup asks the managers for the mail maps of owners that have fragments here. What is not known in
// full is left out: then nothing is moved for Spread.
func (p *pass) lookup(ctx context.Context, local map[string][]cluster.Fragment) map[string][]cluster.Fragment {
	known := map[string][]cluster.Fragment{}
	for _, owner := range slices.Sorted(maps.Keys(local)) {
		if len(local[owner]) == 0 {
			continue
		}
		if ctx.Err() != nil || p.isOver() {
			break
		}
		e, err := p.u.node.Lookup(ctx, owner)
		if err != nil || e.Knowledge < cluster.Complete {
			continue // next time
		}
		for _, f := range e.Fragments {
			known[owner] = append(known[owner], f.Fragment)
		}
		known[owner] = p.u.movable(known[owner])
	}
	return known
}

// movable gives the fragments that say where an owner's objects should be: those of types whose objects are
// never moved only to even out do not.
func (u *Upkeep) movable(fragments []cluster.Fragment) []cluster.Fragment {
	return slices.DeleteFunc(slices.Clone(fragments), func(f cluster.Fragment) bool { return u.inline[f.Type] })
}

// begin carries out a move, of an object in that bucket, in a goroutine of its own, when its rate permits. False: ctx ended.
func (p *pass) begin(ctx context.Context, b cluster.Bucket, m *placement.Move) bool {
	rate, progress := p.u.repairs, &p.u.count.repair
	if isSlow(m) {
		rate, progress = p.u.rebalances, &p.u.count.rebalance
	}
	cost := int64(0)
	if m.Contents() {
		cost = m.Object.Size
	}
	if !rate.wait(ctx, cost) {
		return false
	}
	select {
	case p.places <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	move := *m
	p.moves.Go(func() {
		defer func() { <-p.places }()
		switch err := p.u.carry(ctx, &move); {
		case err == nil:
			progress.done.Add(1)
			progress.bytes.Add(cost)
			if !move.Replicas.Contains(p.u.node.ID()) {
				p.u.count.left.Add(-1)
			}
		case ctx.Err() == nil:
			progress.failed.Add(1)
			p.failed.Add(1)
			p.leave(b)
			p.u.log.Debug("upkeep: an object could not be moved yet", "object", nameOf(move.Object.ID), "reason", move.Reason, "to", move.Replicas, "err", err)
		}
	})
	return true
}
