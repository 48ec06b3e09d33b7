package store

import (
	"bytes"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// Meta gives the durable value of that name, KindNotFound if there is none. The slice is the
// caller's.
func (s *Store) Meta(name string) ([]byte, error) {
	opName := "read meta value " + name
	if err := s.enter(opName); err != nil {
		return nil, err
	}
	defer s.gate.exit()
	var value []byte
	key := layout.MetaKey(name)
	found, err := s.get(s.db, key, func(v []byte) error {
		body, err := layout.ParseMeta(key, v)
		if err != nil {
			return corrupt("%w", err)
		}
		value = append([]byte{}, body...)
		return nil
	})
	if err == nil && !found {
		return nil, cluster.Errorf(cluster.KindNotFound, opName, "there is none")
	}
	return value, within(opName, err)
}

// Get gives an object, a tombstone too; KindNotFound if this node does not hold it.
func (s *Store) Get(id cluster.ObjectID) (cluster.Object, error) {
	const name = "get object"
	if err := s.enter(name); err != nil {
		return cluster.Object{}, err
	}
	defer s.gate.exit()
	r, _, err := s.read(id, false)
	if err != nil {
		return cluster.Object{}, within(opName(name, id), err)
	}
	return r.Object, nil
}

// read gives an object's record, and for a cached or inline type its contents if they are wanted. Nothing
// points into the engine's memory.
func (s *Store) read(id cluster.ObjectID, contents bool) (r layout.Record, inline []byte, err error) {
	t, ok := s.types[id.Type]
	if err := layout.CheckID(id); err != nil || !ok {
		return r, nil, cluster.Errorf(cluster.KindInvalid, "look up", "type %q is declared: %t; %w", id.Type, ok, err)
	}
	key := s.objectKey(t, id)
	found, err := s.get(s.db, key, func(v []byte) error {
		rec, rest, err := layout.ParseRecord(key, v)
		if err != nil {
			return corrupt("record: %w", err)
		}
		r = rec
		r.Object.ID = id
		r.Object.Attr = bytes.Clone(rec.Object.Attr)
		if contents && t.HasInline() {
			inline = bytes.Clone(rest)
		}
		return nil
	})
	if err == nil && !found {
		return r, nil, cluster.Errorf(cluster.KindNotFound, "look up", "this node does not hold it")
	}
	return r, inline, err
}

func (s *Store) objectKey(t cluster.TypeSpec, id cluster.ObjectID) []byte {
	return layout.AppendObjectKey(nil, objectPrefix(t), s.format.Cluster.BucketOf(id.Owner), id)
}

func objectPrefix(t cluster.TypeSpec) layout.Prefix {
	if t.Cached {
		return layout.PrefixCached
	}
	return layout.PrefixObject
}

// declared gives what is declared of a type of objects, for work on those of one owner. KindInvalid: nothing is, or there can be no such owner.
func (s *Store) declared(name, owner string, t cluster.ObjectType) (cluster.TypeSpec, error) {
	if err := layout.CheckOwner(owner); err != nil {
		return cluster.TypeSpec{}, cluster.Errorf(cluster.KindInvalid, name, "%w", err)
	}
	spec, ok := s.types[t]
	if !ok {
		return cluster.TypeSpec{}, cluster.Errorf(cluster.KindInvalid, name, "the type is not declared")
	}
	return spec, nil
}

// List gives the owner's objects of a type, ordered by id, tombstones included, all as of one
// moment. More than ListMax: KindLimit.
func (s *Store) List(owner string, t cluster.ObjectType) ([]cluster.Object, error) {
	name := "list " + string(t) + " objects of " + owner
	if err := s.enter(name); err != nil {
		return nil, err
	}
	defer s.gate.exit()
	spec, err := s.declared(name, owner, t)
	if err != nil {
		return nil, err
	}
	lower, upper := layout.OwnerBounds(objectPrefix(spec), s.format.Cluster.BucketOf(owner), owner, t)
	var list []cluster.Object
	err = s.each(s.db, lower, upper, func(key, value []byte) error {
		if len(list) == ListMax {
			return cluster.Errorf(cluster.KindLimit, "list", "more than %d objects", ListMax)
		}
		r, _, err := layout.ParseRecord(key, value)
		if err != nil {
			return corrupt("record %q: %w", key, err)
		}
		o := r.Object
		o.ID = cluster.ObjectID{Type: t, Owner: owner, ID: string(key[len(lower):])}
		o.Attr = bytes.Clone(o.Attr)
		if n := len(list); n > 0 && list[n-1].Replicas.Equal(o.Replicas) {
			o.Replicas = list[n-1].Replicas // sets never change in place: neighbours share
		}
		list = append(list, o)
		return nil
	})
	return list, within(name, err)
}

// each calls fn with every key and value in [lower, upper), which fn may not keep.
func (s *Store) each(r pebble.Reader, lower, upper []byte, fn func(key, value []byte) error) (err error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return engineError(err)
	}
	defer func() {
		if err2 := it.Close(); err == nil {
			err = engineError(err2)
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return engineError(err)
		}
		if err := fn(it.Key(), value); err != nil {
			return err
		}
	}
	return engineError(it.Error())
}

// Holding gives all that this node holds for an owner, as of one moment.
func (s *Store) Holding(owner string) (cluster.Holding, error) {
	name := "read holding of " + owner
	if err := s.enter(name); err != nil {
		return cluster.Holding{}, err
	}
	defer s.gate.exit()
	if err := layout.CheckOwner(owner); err != nil {
		return cluster.Holding{}, cluster.Errorf(cluster.KindInvalid, name, "%w", err)
	}
	snap := s.db.NewSnapshot()
	h, err := s.holding(snap, owner)
	if err2 := snap.Close(); err == nil {
		err = engineError(err2)
	}
	return h, within(name, err)
}

func (s *Store) holding(snap *pebble.Snapshot, owner string) (cluster.Holding, error) {
	h := cluster.Holding{Owner: owner}
	seq, err := s.seq(snap)
	if err != nil {
		return h, err
	}
	h.Seq = seq
	b := s.format.Cluster.BucketOf(owner)
	key := layout.AppendHeaderKey(nil, b, owner)
	var header layout.Header
	found, err := s.get(snap, key, func(v []byte) (err error) {
		if header, err = layout.ParseHeader(key, v); err != nil {
			return corrupt("header: %w", err)
		}
		return nil
	})
	if err != nil || !found {
		return h, err
	}
	h.Fragments = header.Fragments
	if header.Cached == 0 {
		return h, nil
	}
	lower, upper := layout.OwnerBounds(layout.PrefixCached, b, owner, "")
	err = s.each(snap, lower, upper, func(key, value []byte) error {
		c, err := parseCached(key, value)
		h.Cached = append(h.Cached, c)
		return err
	})
	if err == nil && int64(len(h.Cached)) != header.Cached {
		err = corrupt("the header counts %d cached objects, there are %d", header.Cached, len(h.Cached))
	}
	return h, err
}

// seq gives the sequence number of a snapshot's last commit.
func (s *Store) seq(snap *pebble.Snapshot) (uint64, error) {
	var state layout.State
	_, err := s.get(snap, layout.StateKey(), func(v []byte) (err error) {
		if state, err = layout.ParseState(v); err != nil {
			return corrupt("state record: %w", err)
		}
		return nil
	})
	return state.Seq, err
}

// parseCached reads a cached object and checks its contents.
func parseCached(key, value []byte) (cluster.CachedObject, error) {
	_, _, id, err := layout.ParseObjectKey(key)
	if err != nil {
		return cluster.CachedObject{}, corrupt("%w", err)
	}
	r, contents, err := layout.ParseRecord(key, value)
	if err != nil {
		return cluster.CachedObject{}, corrupt("record %q: %w", key, err)
	}
	r.Object.ID = id
	if err := verifyContents(&r.Object, contents); err != nil {
		return cluster.CachedObject{}, err
	}
	r.Object.Attr = bytes.Clone(r.Object.Attr)
	return cluster.CachedObject{Object: r.Object, Contents: slices.Clone(contents)}, nil
}
