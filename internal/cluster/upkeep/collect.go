package upkeep

import (
	"context"
	"fmt"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/placement"
)

// collectAlways has the store drop what it keeps for a time only.
func (u *Upkeep) collectAlways(ctx context.Context) {
	together := u.cfg.Now() // when the last known node that was away came back; zero: one is away
	for sleep(ctx, collectEvery) {
		switch away := len(u.node.Absent()); {
		case away > 0:
			together = time.Time{}
		case together.IsZero():
			together = u.cfg.Now()
		}
		done, err := u.disk.Collect(ctx, u.cfg.Now(), together)
		u.count.collectedRecords.Add(int64(done.Retired))
		u.count.collectedTombs.Add(int64(done.Tombstones))
		u.count.collectedVT.Add(int64(done.Vaulted))
		if err == nil && len(done.Owners) > 0 {
			err = u.node.Announce(ctx, done.Owners)
		}
		if err != nil && ctx.Err() == nil {
			u.log.Warn("upkeep: not all that is over could be collected; it is tried again", "err", err)
		}
	}
}

// removeOrphans deletes those of a page's objects that belong to nobody, and gives the others.
func (u *Upkeep) removeOrphans(ctx context.Context, page []placement.Object) []placement.Object {
	if u.cfg.Orphans == nil {
		return page
	}
	orphans := map[cluster.ObjectID]bool{}
	for first := 0; first < len(page); {
		end := first + 1
		for end < len(page) && page[end].ID.Owner == page[first].ID.Owner {
			end++
		}
		if err := u.removeOrphansOf(ctx, page[first:end], orphans); err != nil && ctx.Err() == nil {
			u.log.Debug("upkeep: objects without an owner stay for now", "owner", page[first].ID.Owner, "err", err)
		}
		first = end
	}
	return slices.DeleteFunc(page, func(o placement.Object) bool { return orphans[o.ID] })
}

func (u *Upkeep) removeOrphansOf(ctx context.Context, objects []placement.Object, removed map[cluster.ObjectID]bool) error {
	owner := objects[0].ID.Owner
	var candidates []cluster.Object
	for i := range objects {
		if o := &objects[i]; !u.cached[o.ID.Type] && !o.Deleted && !o.Propagating {
			candidates = append(candidates, o.Object)
		}
	}
	if len(candidates) == 0 {
		return nil
	}
	found, err := u.cfg.Orphans(ctx, owner, candidates)
	if err != nil || len(found) == 0 {
		return err
	}
	updates := make([]cluster.Update, len(found))
	for i, o := range found {
		if !u.rebalances.wait(ctx, 0) {
			return nil
		}
		updates[i] = cluster.Update{Object: cluster.Object{ID: o.ID, Deleted: true}, Previous: o.Replicas}
	}
	done := 0
	for i, e := range u.node.UpdateAll(ctx, updates) {
		if e != nil {
			err = fmt.Errorf("delete %s: %w", nameOf(found[i].ID), e)
			continue
		}
		done++
		removed[found[i].ID] = true
	}
	u.count.orphans.Add(int64(done))
	u.log.Info("upkeep: objects of nobody were deleted", "owner", owner, "objects", done)
	return err
}

func textsOf(m map[cluster.ObjectID]ill) (list []string) {
	for _, l := range m {
		list = append(list, l.text)
	}
	slices.Sort(list)
	return list
}

func quote(s string) string { return fmt.Sprintf("%q", s) }
