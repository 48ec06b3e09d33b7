package store

import (
	"hash/maphash"

	"porcupine/internal/cluster/store/internal/layout"
)

// filterSlots is the number of counters of a filter: 1 MiB of them.
const filterSlots = 1 << 18

// filter tells, for most objects that have no update record, that they have none, without a look at
// the disk: nearly every update asks that, and at rest there are next to no records. It counts the
// records by a hash of their key. The committer's; no lock.
type filter struct {
	seed   maphash.Seed
	counts []uint32 // nil: nothing is known, every object may have a record
}

func newFilter() *filter {
	return &filter{seed: maphash.MakeSeed(), counts: make([]uint32, filterSlots)}
}

func (f *filter) slot(key []byte) *uint32 {
	return &f.counts[maphash.Bytes(f.seed, key)%filterSlots]
}

// mayHave reports whether there may be a record under that key.
func (f *filter) mayHave(key []byte) bool { return f.counts == nil || *f.slot(key) > 0 }

func (f *filter) add(key []byte) {
	if f.counts != nil {
		*f.slot(key)++
	}
}

func (f *filter) remove(key []byte) {
	if f.counts != nil {
		*f.slot(key)--
	}
}

// fillFilter counts the records that are there. Where they cannot be read, the filter is of no use,
// and who asks for the one that is damaged will hear of it.
func (s *Store) fillFilter() *filter {
	f := newFilter()
	lower, upper := layout.Bounds(layout.PrefixUpdate)
	if err := s.each(s.db, lower, upper, func(key, _ []byte) error { f.add(key); return nil }); err != nil {
		s.cfg.Logger.Error("store: not all update records can be read; run the store's verify command", "dir", s.cfg.Dir, "err", err)
		f.counts = nil
	}
	return f
}
