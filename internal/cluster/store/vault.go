package store

import (
	"bytes"
	"cmp"
	"io"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// Vaulted is a deleted object whose contents are still in the vault.
type Vaulted struct {
	Object  cluster.Object // as it was when it was deleted
	Deleted int64          // when: the time of the deletion's timestamp
}

// Vaulted lists what the vault has of an owner, in order of deletion. More than ListMax: KindLimit.
func (s *Store) Vaulted(owner string) ([]Vaulted, error) {
	name := "list the vault of " + owner
	if err := s.enter(name); err != nil {
		return nil, err
	}
	defer s.gate.exit()
	if err := layout.CheckOwner(owner); err != nil {
		return nil, cluster.Errorf(cluster.KindInvalid, name, "%w", err)
	}
	var list []Vaulted
	lower, upper := layout.OwnerBounds(layout.PrefixVault, s.format.Cluster.BucketOf(owner), owner, "")
	err := s.each(s.db, lower, upper, func(key, value []byte) error {
		if len(list) == ListMax {
			return cluster.Errorf(cluster.KindLimit, "list", "more than %d objects", ListMax)
		}
		r, at, err := parseVaulted(key, value)
		if err != nil {
			return err
		}
		list = append(list, Vaulted{Object: r.Object, Deleted: at.Time})
		return nil
	})
	if err != nil {
		return nil, within(name, err)
	}
	slices.SortStableFunc(list, func(a, b Vaulted) int { return cmp.Compare(a.Deleted, b.Deleted) })
	return list, nil
}

// parseVaulted reads a vault entry; nothing points into it.
func parseVaulted(key, value []byte) (layout.Record, cluster.Timestamp, error) {
	_, id, at, err := layout.ParseVaultKey(key)
	if err != nil {
		return layout.Record{}, at, corrupt("%w", err)
	}
	r, rest, err := layout.ParseRecord(key, value)
	if err != nil || len(rest) > 0 {
		return layout.Record{}, at, corrupt("vault record %q: %d bytes too many; %w", key, len(rest), err)
	}
	r.Object.ID = id
	r.Object.Attr = bytes.Clone(r.Object.Attr)
	return r, at, nil
}

// OpenVaulted gives a deleted object and its contents out of the vault, as OpenBody does for a live
// one. deleted is Vaulted.Deleted.
func (s *Store) OpenVaulted(id cluster.ObjectID, deleted int64) (cluster.Object, io.ReadCloser, error) {
	const name = "open in the vault object"
	if err := s.enter(name); err != nil {
		return cluster.Object{}, nil, err
	}
	defer s.gate.exit()
	t, ok := s.types[id.Type]
	if err := layout.CheckID(id); err != nil || !ok {
		return cluster.Object{}, nil, cluster.Errorf(cluster.KindInvalid, opName(name, id), "type is declared: %t; %w", ok, err)
	}
	r, err := s.findVaulted(s.db, s.objectKey(t, id), deleted, deleted, func(*layout.Record) bool { return true })
	if err == nil && r == nil {
		err = cluster.Errorf(cluster.KindNotFound, "look up", "the vault does not have it")
	}
	if err != nil {
		return cluster.Object{}, nil, within(opName(name, id), err)
	}
	body, err := s.openRecord(r, nil)
	if cluster.IsKind(err, cluster.KindUnavailable) {
		err = cluster.Errorf(cluster.KindNotFound, "open", "it was removed from the vault meanwhile")
	}
	if err != nil {
		s.damaged.note(s, r.Number, err)
		return cluster.Object{}, nil, within(opName(name, id), err)
	}
	return r.Object, body, nil
}

// findVaulted gives the first vault entry of an object, deleted at a time from...to, that fits; nil
// if none does.
func (s *Store) findVaulted(in pebble.Reader, objectKey []byte, from, to int64, fits func(*layout.Record) bool) (*layout.Record, error) {
	var found *layout.Record
	lower, upper := layout.VaultBounds(objectKey, from, to)
	err := s.each(in, lower, upper, func(key, value []byte) error {
		if found != nil || len(key) != len(lower) {
			return nil // of an object whose id begins with this one's
		}
		r, _, err := parseVaulted(key, value)
		if err == nil && fits(&r) {
			found = &r
		}
		return err
	})
	return found, err
}

// vaultSize gives the size of the contents of a vault entry.
func (s *Store) vaultSize(key []byte) (size int64, err error) {
	found, err := s.get(s.db, key, func(value []byte) error {
		r, _, err := layout.ParseRecord(key, value)
		if err != nil {
			return corrupt("vault record %q: %w", key, err)
		}
		size = r.Object.Size
		return nil
	})
	if err == nil && !found {
		err = corrupt("vault record %q is missing", key)
	}
	return size, err
}

// putVault keeps the record and the contents of an object that is being deleted.
func (c *committer) putVault(st *staged, old *layout.Record) error {
	if err := c.removeDerived(old); err != nil { // nobody asks for it any more
		return err
	}
	r := *old
	r.Rewritten, r.Derived = false, false
	key := layout.AppendVaultKey(nil, st.key, st.object.Timestamp)
	if err := c.batch.Set(key, layout.AppendRecord(nil, key, &r), nil); err != nil {
		return err
	}
	c.state.Vaulted++
	c.state.VaultBytes += r.Object.Size
	key = layout.AppendOldestKey(nil, key)
	return c.batch.Set(key, layout.AppendMeta(nil, key, nil), nil)
}

// dropVaulted removes a vault entry with its contents.
func (c *committer) dropVaulted(d *drop) error {
	var r layout.Record
	found, err := c.get(d.vault, func(v []byte) (err error) {
		if r, _, err = layout.ParseRecord(d.vault, v); err != nil {
			return corrupt("vault record: %w", err)
		}
		return nil
	})
	if err != nil || !found {
		return err
	}
	c.state.Vaulted--
	c.state.VaultBytes -= r.Object.Size
	c.must(c.batch.SingleDelete(d.vault, nil))
	c.must(c.batch.SingleDelete(layout.AppendOldestKey(nil, d.vault), nil))
	c.must(c.removeContents(&r))
	d.gone, d.size = true, r.Object.Size
	return nil
}
