package store

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// Derived gives what is derived (cluster.TypeSpec.Derive) from objects of one owner and type, in the order
// of ids: as many of the first of them as fit into bytesMax, at least one. What is not there, or of another
// version, is computed from the contents and kept, un-synced. ctx bounds the wait for that. The error
// is of all; of one object it is in its Derived.
func (s *Store) Derived(ctx context.Context, owner string, t cluster.ObjectType, ids []string, bytesMax int) ([]cluster.Derived, error) {
	name := "read what is derived from " + string(t) + " objects of " + owner
	if err := s.enter(name); err != nil {
		return nil, err
	}
	defer s.gate.exit()
	spec, err := s.declared(name, owner, t)
	if err != nil {
		return nil, err
	}
	if spec.Derive == nil {
		return nil, cluster.Errorf(cluster.KindInvalid, name, "nothing is derived from objects of this type")
	}
	var all []cluster.Derived
	for chunk := range slices.Chunk(ids, seeksMax) {
		got, err := s.derivedOf(ctx, &spec, owner, chunk)
		if err != nil {
			return nil, within(name, err)
		}
		for i := range got {
			if bytesMax -= len(got[i].Data); bytesMax < 0 && len(all) > 0 {
				return all, nil
			}
			all = append(all, got[i])
		}
	}
	return all, nil
}

// sought is an object of which a part, or what is derived from it, is wanted.
type sought struct {
	place  int // in the answer
	key    []byte
	record layout.Record
}

// derivedOf gives what is derived from some objects, all as of one moment.
func (s *Store) derivedOf(ctx context.Context, t *cluster.TypeSpec, owner string, ids []string) ([]cluster.Derived, error) {
	all := make([]cluster.Derived, len(ids))
	var late []lateDerived
	err := s.together(t, owner, ids, layout.PrefixDerive, all, func(it *pebble.Iterator, x *sought) (err error) {
		d, found := s.findDerived(it, t, &x.record)
		if !found {
			if d, err = s.deriveLate(t, x, &late); err != nil {
				return err
			}
			if len(late) == derivesMax {
				s.keepLate(ctx, late)
				late = nil
			}
		}
		all[x.place] = d
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.keepLate(ctx, late)
	return all, nil
}

// together calls do for objects of one owner, all as of one moment, in the order in which their contents lie: that of their arrival, and
// what is derived from them lies in it too. it reads what is stored under the prefix. For objects that are not there, or damaged, the answer is written.
func (s *Store) together(t *cluster.TypeSpec, owner string, ids []string, prefix layout.Prefix, all []cluster.Derived, do func(it *pebble.Iterator, x *sought) error) (err error) {
	snap := s.db.NewSnapshot()
	defer func() {
		if err2 := snap.Close(); err == nil {
			err = engineError(err2)
		}
	}()
	list, err := s.seek(snap, t, owner, ids, all)
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b sought) int { return cmp.Compare(a.record.Number, b.record.Number) })
	it, err := snap.NewIter(bounds(prefix))
	if err != nil {
		return engineError(err)
	}
	defer func() { _ = it.Close() }() // it gives the last error again, which do has met
	for i := range list {
		if err := do(it, &list[i]); err != nil {
			return err
		}
	}
	return nil
}

func bounds(p layout.Prefix) *pebble.IterOptions {
	lower, upper := layout.Bounds(p)
	return &pebble.IterOptions{LowerBound: lower, UpperBound: upper}
}

// seek finds the records of objects. For those that are not there, or damaged, it writes the answer.
func (s *Store) seek(snap *pebble.Snapshot, t *cluster.TypeSpec, owner string, ids []string, all []cluster.Derived) (list []sought, err error) {
	b := s.format.Cluster.BucketOf(owner)
	lower, upper := layout.OwnerBounds(objectPrefix(*t), b, owner, t.Name)
	it, err := snap.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, engineError(err)
	}
	defer func() {
		if err2 := it.Close(); err == nil {
			err = engineError(err2)
		}
	}()
	const op = "look up"
	order := make([]int, len(ids)) // the records lie by id
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(ids[i], ids[j]) })
	for _, i := range order {
		id := ids[i]
		x := sought{place: i, key: append(bytes.Clone(lower), id...)}
		oid := cluster.ObjectID{Type: t.Name, Owner: owner, ID: id}
		if !it.SeekGE(x.key) || !bytes.Equal(it.Key(), x.key) {
			if err := it.Error(); err != nil {
				return nil, engineError(err)
			}
			all[i].Err = cluster.Errorf(cluster.KindNotFound, opName(op, oid), "this node does not hold it")
			continue
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, engineError(err)
		}
		if x.record, _, err = layout.ParseRecord(x.key, value); err != nil {
			all[i].Err = within(opName(op, oid), corrupt("record: %w", err))
			continue
		}
		x.record.Object.ID, x.record.Object.Attr = oid, nil
		if x.record.Object.Deleted {
			all[i].Err = cluster.Errorf(cluster.KindNotFound, opName(op, oid), "it was deleted")
			continue
		}
		list = append(list, x)
	}
	return list, nil
}

// findDerived gives what was derived from contents, if it is there, whole and of the right version.
func (s *Store) findDerived(it *pebble.Iterator, t *cluster.TypeSpec, r *layout.Record) (cluster.Derived, bool) {
	if !r.Derived {
		return cluster.Derived{}, false
	}
	key := layout.AppendDerivedKey(nil, r.Number)
	if !it.SeekGE(key) || !bytes.Equal(it.Key(), key) {
		return cluster.Derived{}, false
	}
	value, err := it.ValueAndErr()
	if err != nil {
		s.count.corrupt.Add(1)
		return cluster.Derived{}, false // it is computed again
	}
	d, err := layout.ParseDerived(key, value)
	if err != nil {
		s.count.corrupt.Add(1)
	}
	if err != nil || d.Version != t.DeriveVersion {
		return cluster.Derived{}, false
	}
	return answerDerived(r, &d), true
}

func answerDerived(r *layout.Record, d *layout.Derived) cluster.Derived {
	if d.Failed {
		return cluster.Derived{Err: cluster.Errorf(cluster.KindInvalid, opName("derive from", r.Object.ID), "nothing can be derived from its contents")}
	}
	return cluster.Derived{Data: bytes.Clone(d.Data)}
}

// deriveLate computes what is not there and adds it to what is to be kept.
func (s *Store) deriveLate(t *cluster.TypeSpec, x *sought, late *[]lateDerived) (cluster.Derived, error) {
	id := x.record.Object.ID
	contents, err := s.contentsAt(&x.record)
	var value []byte
	if err == nil {
		value, err = s.derive(t, x.record.Number, contents, x.record.Object.Size)
	}
	switch {
	case cluster.IsKind(err, cluster.KindUnavailable): // removed or replaced since the moment that is looked at
		return cluster.Derived{Err: cluster.Errorf(cluster.KindUnavailable, opName("derive from", id), "it changed meanwhile: %w", err)}, nil
	case err != nil:
		s.damaged.note(s, x.record.Number, err)
		return cluster.Derived{Err: within(opName("derive from", id), err)}, nil
	}
	d, err := layout.ParseDerived(layout.AppendDerivedKey(nil, x.record.Number), value)
	if err != nil {
		return cluster.Derived{}, cluster.Errorf(cluster.KindInternal, "derive", "%w", err)
	}
	s.count.derivedLate.Add(1)
	if x.record.Number != 0 {
		*late = append(*late, lateDerived{key: x.key, id: id, number: x.record.Number, value: value})
	}
	return answerDerived(&x.record, &d), nil
}

// keepLate has the committer write what was computed. If it cannot, it is computed again next time.
func (s *Store) keepLate(ctx context.Context, late []lateDerived) {
	const name = "keep derived data"
	if len(late) == 0 || s.space.isFull() {
		return
	}
	err := s.takePlace(ctx, name)
	if err == nil {
		p := s.newOp(name, 0)
		p.derives = late
		err = s.commit(ctx, p, nil)
	}
	if err != nil {
		s.cfg.Logger.Debug("store: derived data is not kept; it is computed again", "objects", len(late), "err", err)
	}
}
