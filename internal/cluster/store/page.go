package store

import (
	"bytes"
	"errors"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// pageOverhead is what an object of a page takes beside its id, attributes and contents, in bytes, about.
const pageOverhead = 160

// page bounds what is read at once. The first two always fit: one could be the empty id, after which
// nothing begins.
type page struct {
	count, max int
	bytesLeft  int
	more       bool // something did not fit
}

func (p *page) takes(size int) bool {
	p.bytesLeft -= size + pageOverhead
	if p.count >= p.max || p.bytesLeft < 0 && p.count > 1 {
		p.more = true
		return false
	}
	p.count++
	return true
}

// ListPage gives an owner's objects of a type, ordered by id, those after an id ("": all, the empty id too),
// without tombstones, without contents: at most most, and about bytesMax. more: there are others after the
// last one.
func (s *Store) ListPage(owner string, t cluster.ObjectType, after string, most, bytesMax int) (list []cluster.Object, more bool, err error) {
	p := page{max: max(most, 1), bytesLeft: bytesMax}
	err = s.pages("list "+string(t)+" objects of "+owner, owner, t, after, func(id cluster.ObjectID, key, value []byte) error {
		r, _, err := layout.ParseRecord(key, value)
		if err != nil {
			return corrupt("record %q: %w", key, err)
		}
		o := r.Object
		switch {
		case o.Deleted:
			return nil
		case !p.takes(len(id.ID) + len(o.Attr)):
			return errEnough
		}
		o.ID, o.Attr = id, bytes.Clone(o.Attr)
		if n := len(list); n > 0 && list[n-1].Replicas.Equal(o.Replicas) {
			o.Replicas = list[n-1].Replicas // sets never change in place: neighbours share
		}
		list = append(list, o)
		return nil
	})
	return list, p.more, err
}

// Contents gives an owner's objects of an inline type with their contents, ordered by id, those after an
// id ("": all, the empty id too), without tombstones: at most most, and about bytesMax. A copy that is damaged has its Err;
// the others come all the same. more: there are others after the last one.
func (s *Store) Contents(owner string, t cluster.ObjectType, after string, most, bytesMax int) (list []cluster.Copy, more bool, err error) {
	name := "read the " + string(t) + " objects of " + owner
	if spec, ok := s.types[t]; !ok || !spec.HasInline() {
		return nil, false, cluster.Errorf(cluster.KindInvalid, name, "the type's contents do not lie in its records")
	}
	p := page{max: max(most, 1), bytesLeft: bytesMax}
	err = s.pages(name, owner, t, after, func(id cluster.ObjectID, key, value []byte) error {
		r, contents, err := layout.ParseRecord(key, value)
		r.Object.ID = id
		switch {
		case err != nil:
			err = corrupt("record: %w", err)
		case r.Object.Deleted:
			return nil
		default:
			err = verifyContents(&r.Object, contents)
		}
		if !p.takes(len(id.ID) + len(r.Object.Attr) + len(contents)) {
			return errEnough
		}
		if err != nil {
			s.damaged.note(s, 0, err)
			list = append(list, cluster.Copy{Object: cluster.Object{ID: id}, Err: within(opName(name, id), err)})
			return nil
		}
		r.Object.Attr = bytes.Clone(r.Object.Attr)
		list = append(list, cluster.Copy{Object: r.Object, Contents: bytes.Clone(contents)})
		return nil
	})
	return list, p.more, err
}

// pages calls fn with the records of an owner's objects of a type, those after an id, until it has enough.
func (s *Store) pages(name, owner string, t cluster.ObjectType, after string, fn func(id cluster.ObjectID, key, value []byte) error) error {
	if err := s.enter(name); err != nil {
		return err
	}
	defer s.gate.exit()
	spec, err := s.declared(name, owner, t)
	if err != nil {
		return err
	}
	lower, upper := layout.OwnerBounds(objectPrefix(spec), s.format.Cluster.BucketOf(owner), owner, t)
	names, from := len(lower), lower
	if after != "" {
		from = append(append(bytes.Clone(lower), after...), 0)
	}
	err = s.each(s.db, from, upper, func(key, value []byte) error {
		return fn(cluster.ObjectID{Type: t, Owner: owner, ID: string(key[names:])}, key, value)
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return within(name, err)
}

// IsCached reports whether managers hold objects of a type in memory (cluster.TypeSpec.Cached).
func (s *Store) IsCached(t cluster.ObjectType) bool { return s.types[t].Cached }

// Merges reports whether updates of a type may be joined (cluster.TypeSpec.Merge).
func (s *Store) Merges(t cluster.ObjectType) bool { return s.types[t].Merge != nil }
