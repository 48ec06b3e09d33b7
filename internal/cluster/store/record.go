package store

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/store/internal/layout"
)

// Retire drops update records that are over, or marks them retired where they must be remembered
// (replication.AfterRetirement). A retirement that does not fit (a newer update, other targets) is
// ignored. Not synced: after a crash a record may be there again, and propagates once more. At most
// AcceptMax at once (KindLimit).
func (s *Store) Retire(ctx context.Context, items []cluster.Retirement) error {
	const name = "retire updates"
	if err := s.enter(name); err != nil {
		return err
	}
	defer s.gate.exit()
	if len(items) > AcceptMax {
		return cluster.Errorf(cluster.KindLimit, name, "%d at once: at most %d", len(items), AcceptMax)
	}
	fit := make([]cluster.Retirement, 0, len(items))
	for _, r := range items {
		if layout.CheckID(r.ID) == nil { // there is no record under other names
			r.Targets = slices.Clone(r.Targets)
			fit = append(fit, r)
		}
	}
	if len(fit) == 0 || s.state.Load().Records == 0 && s.count.pending.Load() == 0 {
		return nil
	}
	if err := s.takePlace(ctx, name); err != nil {
		return err
	}
	p := s.newOp(name, 0)
	p.retired = fit
	return s.commit(ctx, p, nil)
}

// Records calls fn with every update record, retired ones too, as of one moment, in order of bucket
// and object. An error of fn ends it and is returned. A record that cannot be read is left out: that is
// KindCorrupt when fn has had the others.
func (s *Store) Records(fn func(cluster.Record) error) error {
	const name = "read update records"
	if err := s.enter(name); err != nil {
		return err
	}
	defer s.gate.exit()
	var damaged error // the first
	lower, upper := layout.Bounds(layout.PrefixUpdate)
	err := s.each(s.db, lower, upper, func(key, value []byte) error {
		r, err := parseUpdate(key, value)
		if err != nil {
			damaged = cmp.Or(damaged, within(name, err))
			return nil
		}
		return fn(r)
	})
	return cmp.Or(err, damaged)
}

func parseUpdate(key, value []byte) (cluster.Record, error) {
	u, err := layout.ParseUpdate(key, value)
	if err == nil {
		_, _, u.Record.ID, err = layout.ParseObjectKey(key)
	}
	if err != nil {
		return cluster.Record{}, corrupt("update record %q: %w", key, err)
	}
	return u.Record, nil
}

// Update gives what to send to another target of an update that propagates: the object as this node
// has it, without contents, and the record's targets as Previous. False if there is no record of
// that timestamp that propagates: the update is over, or a newer one took its place. If this node
// has no copy, it is only a notice (replication.Notice).
func (s *Store) Update(id cluster.ObjectID, ts cluster.Timestamp) (cluster.Update, bool, error) {
	const name = "read update of object"
	if err := s.enter(name); err != nil {
		return cluster.Update{}, false, err
	}
	defer s.gate.exit()
	rec, found, err := s.record(id)
	if err != nil || !found || rec.Timestamp != ts || rec.Retired != 0 {
		return cluster.Update{}, false, within(opName(name, id), err)
	}
	if !rec.Replicas.Contains(s.format.Node) {
		return replication.Notice(&rec), true, nil
	}
	r, _, err := s.read(id, false)
	switch {
	case cluster.IsKind(err, cluster.KindNotFound) || err == nil && r.Object.Timestamp != ts:
		return cluster.Update{}, false, nil // replaced between the two reads
	case err != nil:
		return cluster.Update{}, false, within(opName(name, id), err)
	}
	return cluster.Update{Object: r.Object, Previous: rec.Targets}, true, nil
}

// Record gives the update record of an object, retired or not. False if there is none.
func (s *Store) Record(id cluster.ObjectID) (cluster.Record, bool, error) {
	const name = "read update record of object"
	if err := s.enter(name); err != nil {
		return cluster.Record{}, false, err
	}
	defer s.gate.exit()
	rec, found, err := s.record(id)
	return rec, found, within(opName(name, id), err)
}

// record is Record within another operation.
func (s *Store) record(id cluster.ObjectID) (rec cluster.Record, found bool, err error) {
	t, ok := s.types[id.Type]
	if err := layout.CheckID(id); err != nil || !ok {
		return rec, false, cluster.Errorf(cluster.KindInvalid, "look up", "type %q is declared: %t; %w", id.Type, ok, err)
	}
	key := layout.AppendUpdateKey(nil, s.objectKey(t, id))
	found, err = s.get(s.db, key, func(v []byte) (err error) {
		rec, err = parseUpdate(key, v)
		return err
	})
	return rec, found, err
}

// Review calls fn with every object and tombstone of a bucket, as of one moment, and whether an
// update of it propagates: those of cached types first, each in order of owner, type, id. fn may
// not wait for long: the moment is kept alive for it. An error of fn ends it and is returned.
func (s *Store) Review(b cluster.Bucket, fn func(o cluster.Object, propagating bool) error) (err error) {
	const name = "review bucket"
	if err := s.enter(name); err != nil {
		return err
	}
	defer s.gate.exit()
	if b >= cluster.BucketCount {
		return cluster.Errorf(cluster.KindInvalid, name, "bucket %d: want less than %d", b, cluster.BucketCount)
	}
	if s.isEmpty(b, layout.PrefixCached) && s.isEmpty(b, layout.PrefixObject) {
		return nil // most of a small cluster's buckets
	}
	snap := s.db.NewSnapshot()
	defer func() {
		if err2 := snap.Close(); err == nil {
			err = engineError(err2)
		}
	}()
	for _, p := range []layout.Prefix{layout.PrefixCached, layout.PrefixObject} {
		if err := s.review(snap, p, b, fn); err != nil {
			return err
		}
	}
	return nil
}

// review walks through the objects of one prefix and the update records side by side.
func (s *Store) review(snap *pebble.Snapshot, p layout.Prefix, b cluster.Bucket, fn func(cluster.Object, bool) error) (err error) {
	const name = "review bucket"
	lower, upper := layout.BucketBounds(layout.PrefixUpdate, b)
	updates, err := snap.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return within(name, engineError(err))
	}
	defer func() {
		if err2 := updates.Close(); err == nil {
			err = within(name, engineError(err2))
		}
	}()
	more := updates.First()
	lower, upper = layout.BucketBounds(p, b)
	return s.each(snap, lower, upper, func(key, value []byte) error {
		r, _, err := layout.ParseRecord(key, value)
		if err == nil {
			_, _, r.Object.ID, err = layout.ParseObjectKey(key)
		}
		if err != nil {
			return within(name, corrupt("record %q: %w", key, err))
		}
		r.Object.Attr = bytes.Clone(r.Object.Attr)
		for more && bytes.Compare(updates.Key()[1:], key[1:]) < 0 {
			more = updates.Next()
		}
		propagating := false
		if more && bytes.Equal(updates.Key()[1:], key[1:]) {
			value, err := updates.ValueAndErr()
			if err != nil {
				return within(name, engineError(err))
			}
			rec, err := parseUpdate(updates.Key(), value)
			if err != nil {
				return within(name, err)
			}
			propagating = rec.Retired == 0
		}
		if err := updates.Error(); err != nil {
			return within(name, engineError(err))
		}
		return fn(r.Object, propagating)
	})
}
