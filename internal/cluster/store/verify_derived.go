package store

import (
	"fmt"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// isInline reports whether the directory records a type, declared now or earlier, as inline.
func (s *Store) isInline(t cluster.ObjectType) bool {
	for i := range s.format.Types {
		if s.format.Types[i].Name == t {
			return s.format.Types[i].Inline
		}
	}
	return false
}

// hasDerived checks that what a record says was derived from its contents is there.
func (v *verifier) hasDerived(name string, r *layout.Record) error {
	if !r.Derived {
		return nil
	}
	ok, err := v.has(layout.AppendDerivedKey(nil, r.Number))
	if err == nil && !ok {
		v.problem(cluster.KindCorrupt, name, "what was derived from the contents is missing; it is computed again when it is asked for")
	}
	return err
}

// derived checks what is derived from contents, and that it belongs to an object that says so. Whether it is
// what would be derived now it does not check.
func (v *verifier) derived() error {
	return v.each(layout.PrefixDerive, func(key, value []byte) error {
		_, number, err := layout.ParseNumberKey(key)
		if err == nil {
			_, err = layout.ParseDerived(key, value)
		}
		if err != nil {
			v.problem(cluster.KindCorrupt, fmt.Sprintf("derived data %q", key), "%v; it is computed again when it is asked for", err)
			return nil
		}
		name := fmt.Sprintf("derived data of contents %d", number)
		var objectKey []byte
		found, err := v.s.get(v.snap, layout.AppendBodyKey(nil, number), func(value []byte) error {
			k, _, err := layout.ParseBody(value)
			objectKey = append(objectKey, k...)
			return err
		})
		if err != nil {
			return nil //nolint:nilerr // reported by bodies
		}
		var r layout.Record
		if found {
			found, err = v.s.get(v.snap, objectKey, func(value []byte) (err error) {
				r, _, err = layout.ParseRecord(objectKey, value)
				return err
			})
			if err != nil {
				return nil //nolint:nilerr // reported by objects
			}
		}
		if !found || r.Number != number || !r.Derived {
			v.problem(cluster.KindInternal, name, "belongs to no object")
		}
		return nil
	})
}
