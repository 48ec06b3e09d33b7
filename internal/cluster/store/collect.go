package store

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/store/internal/layout"
)

const (
	// dropsMax is the most records that Collect removes in one commit, so that it delays nobody.
	dropsMax = 1024
	// collectMax bounds what one Collect removes of each kind.
	collectMax = 64 * dropsMax
	// tombstoneReads is how many objects one Collect looks at in search of tombstones; the next one
	// goes on behind them.
	tombstoneReads = 4 << 10
	// vaultRoom: the vault is emptied while less than vaultRoom x MinFree is free.
	vaultRoom = 2
)

// Collected says what Collect removed.
type Collected struct {
	Retired    int      // update records
	Tombstones int      // of objects
	Vaulted    int      // deleted objects out of the vault
	Bytes      int64    // of their contents
	Owners     []string // whose Holding changed, ascending: send Holding(owner)
}

// drop is a record that is kept for a time only, on its way out. The committer looks at it once
// more: what has changed since it was found stays.
type drop struct {
	id      cluster.ObjectID
	retired int64             // the update record, if it was retired then; or
	stamp   cluster.Timestamp // the tombstone of that timestamp; or
	vault   []byte            // the vault entry under that key
	gone    bool              // the committer removed it, and with a vault entry
	size    int64             // so many bytes of contents
}

// Collect removes what is kept for a time only, if it is over at now: retired records as
// replication.Forget says, tombstones after Config.Grace as replication.ForgetTombstone says, what is in the vault
// after Config.VaultFor, or earlier, the oldest first, while less than twice Config.MinFree is free.
//
// together is when the last known node that was away came back, at the latest the start of this
// process; zero while one is away: retired records and tombstones are all kept then, and for cluster.LateWindow after it. It may be
// away for longer than Grace by the wall clock: time in which the whole cluster was off does not count for it.
//
// One call does a bounded part of the work; call it every minute or so. Not synced: after a crash
// what was removed may be there again.
func (s *Store) Collect(ctx context.Context, now, together time.Time) (Collected, error) {
	const name = "collect what is over"
	var done Collected
	if err := s.enter(name); err != nil {
		return done, err
	}
	defer s.gate.exit()
	select {
	case s.collecting <- struct{}{}: // one at a time: two would drop the same things
		defer func() { <-s.collecting }()
	case <-ctx.Done():
		return done, cluster.Errorf(cluster.KindUnavailable, name, "another call is under way: %w", context.Cause(ctx))
	}
	c := collection{s: s, ctx: ctx, now: now.UnixNano(), done: &done}
	err := c.retired(together)
	if !together.IsZero() {
		err = errors.Join(err, c.tombstones(together))
	}
	err = errors.Join(err, c.vault())
	slices.Sort(done.Owners)
	done.Owners = slices.Compact(done.Owners)
	s.count.collected.Add(int64(done.Retired + done.Tombstones + done.Vaulted))
	return done, within(name, err)
}

// collection is one call of Collect.
type collection struct {
	s    *Store
	ctx  context.Context
	now  int64
	done *Collected
}

var errEnough = errors.New("enough for one call") // ends a walk, and never leaves this file

// walk gathers drops in a range of keys, until there are collectMax, and has them removed. fn gives
// the drop of a key, false if it stays, and errEnough when it has seen enough.
func (c *collection) walk(lower, upper []byte, fn func(key, value []byte) (drop, bool, error)) error {
	var drops []drop
	err := c.s.each(c.s.db, lower, upper, func(key, value []byte) error {
		if err := c.ctx.Err(); err != nil {
			return cluster.Errorf(cluster.KindUnavailable, "read", "%w", context.Cause(c.ctx))
		}
		d, ok, err := fn(key, value)
		if ok {
			drops = append(drops, d)
		}
		if err == nil && len(drops) == collectMax {
			return errEnough
		}
		return err
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	for part := range slices.Chunk(drops, dropsMax) {
		if err2 := c.drop(part); err2 != nil {
			return errors.Join(err, err2)
		}
	}
	return err
}

// drop has the committer remove things, and counts what it did.
func (c *collection) drop(drops []drop) error {
	const name = "remove what is over"
	if err := c.s.takePlace(c.ctx, name); err != nil {
		return err
	}
	p := c.s.newOp(name, 0)
	p.drops = drops
	if err := c.s.commit(c.ctx, p, nil); err != nil {
		return err
	}
	for i := range drops {
		switch d := &drops[i]; {
		case !d.gone:
		case d.retired != 0:
			c.done.Retired++
		case d.vault != nil:
			c.done.Vaulted++
			c.done.Bytes += d.size
		default:
			c.done.Tombstones++
			if c.s.types[d.id.Type].Cached { // the others are not part of a Holding
				c.done.Owners = append(c.done.Owners, d.id.Owner)
			}
		}
	}
	return nil
}

func (c *collection) retired(together time.Time) error {
	if c.s.state.Load().Retired == 0 || together.IsZero() {
		return nil
	}
	lower, upper := layout.Bounds(layout.PrefixUpdate)
	return c.walk(lower, upper, func(key, value []byte) (drop, bool, error) {
		u, err := layout.ParseUpdate(key, value)
		if err != nil || !replication.Forget(&u.Record, together.UnixNano(), c.now) {
			return drop{}, false, nil //nolint:nilerr // damage is the business of Verify; the others go on
		}
		_, _, id, err := layout.ParseObjectKey(key)
		if err != nil {
			return drop{}, false, nil //nolint:nilerr // likewise
		}
		return drop{id: id, retired: u.Record.Retired}, true, nil
	})
}

// tombstones goes through a part of all objects; the next call begins behind it.
func (c *collection) tombstones(together time.Time) error {
	from := c.s.tombstoneNext
	c.s.tombstoneNext = nil
	reads := 0
	for _, p := range []layout.Prefix{layout.PrefixCached, layout.PrefixObject} {
		lower, upper := layout.Bounds(p)
		if bytes.Compare(from, upper) >= 0 || reads > tombstoneReads {
			continue
		}
		if bytes.Compare(from, lower) > 0 {
			lower = from
		}
		err := c.walk(lower, upper, func(key, value []byte) (drop, bool, error) {
			if reads++; reads > tombstoneReads {
				c.s.tombstoneNext = bytes.Clone(key)
				return drop{}, false, errEnough
			}
			return c.tombstone(key, value, together)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *collection) tombstone(key, value []byte, together time.Time) (drop, bool, error) {
	r, _, err := layout.ParseRecord(key, value)
	if err != nil || !r.Object.Deleted || !replication.ForgetTombstone(r.Object.Timestamp, together.UnixNano(), c.now, c.s.cfg.Grace) {
		return drop{}, false, nil //nolint:nilerr // damage is the business of Verify; the others go on
	}
	_, _, id, err := layout.ParseObjectKey(key)
	if err != nil {
		return drop{}, false, nil //nolint:nilerr // likewise
	}
	return drop{id: id, stamp: r.Object.Timestamp}, true, nil
}

// vault goes from the oldest on, until one is neither over nor in the way.
func (c *collection) vault() error {
	if c.s.state.Load().Vaulted == 0 {
		return nil
	}
	missing := c.s.space.missing(vaultRoom * c.s.cfg.MinFree)
	lower, upper := layout.Bounds(layout.PrefixOldest)
	return c.walk(lower, upper, func(key, _ []byte) (drop, bool, error) {
		vaultKey, err := layout.ParseOldestKey(key)
		if err != nil {
			return drop{}, false, nil //nolint:nilerr // damage is the business of Verify; the others go on
		}
		_, id, at, err := layout.ParseVaultKey(vaultKey)
		if err != nil {
			return drop{}, false, nil //nolint:nilerr // likewise
		}
		if c.now-at.Time <= int64(c.s.cfg.VaultFor) && missing <= 0 {
			return drop{}, false, errEnough
		}
		size, err := c.s.vaultSize(vaultKey)
		if err != nil {
			return drop{}, false, nil //nolint:nilerr // likewise
		}
		missing -= size
		return drop{id: id, vault: vaultKey}, true, nil
	})
}

// drop removes what Collect found, if it is still so.
func (c *committer) drop(drops []drop) error {
	var failed error
	for i := range drops {
		d := &drops[i]
		var err error
		switch {
		case d.retired != 0:
			err = c.dropRetired(d)
		case d.vault != nil:
			err = c.dropVaulted(d)
		default:
			err = c.dropTombstone(d)
		}
		if err != nil {
			failed = errors.Join(failed, within(opName("remove what is over of", d.id), err))
		}
	}
	return failed
}

func (c *committer) dropRetired(d *drop) error {
	old, err := c.logged(d.id, c.anyKey(d.id))
	if err == nil && old != nil && old.Record.Retired == d.retired {
		c.must(c.setUpdate(d.id, old, nil))
		d.gone = true
	}
	return err
}

// dropTombstone removes a tombstone, unless an update of it propagates: then a target has not heard
// of the deletion yet.
func (c *committer) dropTombstone(d *drop) error {
	t := c.s.types[d.id.Type]
	b := c.s.format.Cluster.BucketOf(d.id.Owner)
	st := staged{object: cluster.Object{ID: d.id}, cached: t.Cached, inline: t.HasInline(), key: layout.AppendObjectKey(nil, objectPrefix(t), b, d.id)}
	old, err := c.record(&st)
	if err != nil || old == nil || !old.Object.Deleted || old.Object.Timestamp != d.stamp {
		return err
	}
	u, err := c.logged(d.id, st.key)
	if err != nil || u != nil && u.Record.Retired == 0 {
		return err
	}
	o, err := c.owner(b, d.id.Owner)
	if err != nil {
		return err
	}
	if t.Cached {
		c.touch(o)
		o.header.Cached--
	}
	c.records[d.id] = nil
	c.must(c.deleteRecord(st.key, old))
	d.gone = true
	return nil
}

func (c *committer) deleteRecord(key []byte, old *layout.Record) error {
	if old.Rewritten {
		return c.batch.Delete(key, nil)
	}
	return c.batch.SingleDelete(key, nil)
}
