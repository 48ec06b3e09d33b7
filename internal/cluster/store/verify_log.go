package store

import (
	"fmt"
	"math"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// updates checks that every update record stands for what this node has of the object: a record is
// never without its update.
func (v *verifier) updates() error {
	return v.each(layout.PrefixUpdate, func(key, value []byte) error {
		_, b, id, err := layout.ParseObjectKey(key)
		if err != nil {
			v.problem(cluster.KindCorrupt, fmt.Sprintf("update record %q", key), "%v", err)
			return nil
		}
		name := opName("update record of", id)
		u, err := layout.ParseUpdate(key, value)
		if err != nil {
			v.problem(cluster.KindCorrupt, name, "%v", err)
			return nil
		}
		r := &u.Record
		if r.Retired != 0 {
			v.total.Retired++
		} else {
			v.total.Records++
		}
		if want := v.s.format.Cluster.BucketOf(id.Owner); b != want {
			v.problem(cluster.KindInternal, name, "lies in bucket %d, want %d", b, want)
		}
		return v.updated(name, key, r)
	})
}

// updated checks a record against the copy.
func (v *verifier) updated(name string, key []byte, r *cluster.Record) error {
	mine := r.Replicas.Contains(v.s.format.Node)
	for _, p := range []layout.Prefix{layout.PrefixCached, layout.PrefixObject} {
		objectKey := append([]byte{byte(p)}, key[1:]...)
		var copied layout.Record
		found, err := v.s.get(v.snap, objectKey, func(value []byte) (err error) {
			copied, _, err = layout.ParseRecord(objectKey, value)
			return err
		})
		switch {
		case err != nil:
			return nil //nolint:nilerr // reported by objects
		case !found:
			continue
		case !mine:
			v.problem(cluster.KindInternal, name, "says that this node has no copy, there is one of %v", copied.Object.Timestamp)
		case copied.Object.Timestamp != r.Timestamp:
			v.problem(cluster.KindInternal, name, "is of %v, the copy of %v", r.Timestamp, copied.Object.Timestamp)
		}
		return nil
	}
	if mine {
		v.problem(cluster.KindInternal, name, "says that this node has a copy, there is none")
	}
	return nil
}

// vault checks the records of deleted objects that are kept, and that they have their contents.
func (v *verifier) vault() error {
	return v.each(layout.PrefixVault, func(key, value []byte) error {
		r, at, err := parseVaulted(key, value)
		if err != nil {
			v.problem(cluster.KindCorrupt, fmt.Sprintf("vault entry %q", key), "%v", err)
			return nil
		}
		name := opName(fmt.Sprintf("object deleted at %v", at), r.Object.ID)
		v.total.Vaulted++
		v.total.VaultBytes += r.Object.Size
		if ok, err := v.has(layout.AppendOldestKey(nil, key)); err != nil {
			return err
		} else if !ok {
			v.problem(cluster.KindInternal, name, "will never be collected: it is missing in the order of time")
		}
		if r.Number == 0 && r.Object.Size > 0 {
			v.problem(cluster.KindInternal, name, "has no contents")
		}
		if r.Number != 0 {
			if ok, err := v.has(layout.AppendBodyKey(nil, r.Number)); err != nil {
				return err
			} else if !ok {
				v.problem(cluster.KindCorrupt, name, "the contents are missing")
			}
		}
		return nil
	})
}

// oldest checks that the order of time has only what is in the vault.
func (v *verifier) oldest() error {
	return v.each(layout.PrefixOldest, func(key, value []byte) error {
		vaultKey, err := layout.ParseOldestKey(key)
		if err == nil {
			_, err = layout.ParseMeta(key, value)
		}
		if err != nil {
			v.problem(cluster.KindCorrupt, fmt.Sprintf("vault order %q", key), "%v", err)
			return nil
		}
		if ok, err := v.has(vaultKey); err != nil {
			return err
		} else if !ok {
			v.problem(cluster.KindInternal, fmt.Sprintf("vault order %q", key), "stands for nothing")
		}
		return nil
	})
}

// vaulted gives the vault's record of contents; nil if they are not in it.
func (v *verifier) vaulted(objectKey []byte, number uint64) (*layout.Record, error) {
	if len(objectKey) == 0 {
		return nil, nil
	}
	return v.s.findVaulted(v.snap, objectKey, 0, math.MaxInt64, func(r *layout.Record) bool { return r.Number == number })
}
