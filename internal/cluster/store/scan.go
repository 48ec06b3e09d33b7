package store

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// ScanBucket calls fn with the holding of every owner in the bucket, in order of owner, all as
// of one moment, and gives the sequence number of that moment. It reads headers and cached
// objects only: the work is proportional to the owners in the bucket, not to their messages
// (Porcupine §4.3). fn may not wait for long: the moment is kept alive for it. An error of fn
// ends the scan and is returned.
func (s *Store) ScanBucket(b cluster.Bucket, fn func(cluster.Holding) error) (seq uint64, err error) {
	const name = "scan bucket"
	if err := s.enter(name); err != nil {
		return 0, err
	}
	defer s.gate.exit()
	if b >= cluster.BucketCount {
		return 0, cluster.Errorf(cluster.KindInvalid, name, "bucket %d: want less than %d", b, cluster.BucketCount)
	}
	if seq = s.state.Load().Seq; s.isEmpty(b, layout.PrefixHeader) {
		return seq, nil // most of a small cluster's buckets: a snapshot costs more than that
	}
	snap := s.db.NewSnapshot()
	defer func() {
		if err2 := snap.Close(); err == nil {
			err = engineError(err2)
		}
	}()
	if seq, err = s.seq(snap); err != nil {
		return 0, within(name, err)
	}
	c := cachedScan{}
	lower, upper := layout.BucketBounds(layout.PrefixCached, b)
	if c.it, err = snap.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper}); err != nil {
		return 0, within(name, engineError(err))
	}
	defer func() {
		if err2 := c.it.Close(); err == nil {
			err = engineError(err2)
		}
	}()
	lower, upper = layout.BucketBounds(layout.PrefixHeader, b)
	err = s.each(snap, lower, upper, func(key, value []byte) error {
		h := cluster.Holding{Seq: seq}
		header, err := layout.ParseHeader(key, value)
		if err == nil {
			_, h.Owner, err = layout.ParseHeaderKey(key)
		}
		if err != nil {
			return within(name, corrupt("header %q: %w", key, err))
		}
		h.Fragments = header.Fragments
		if h.Cached, err = c.take(b, h.Owner, header.Cached); err != nil {
			return within(name, err)
		}
		return fn(h)
	})
	return seq, err
}

// Buckets gives the buckets of which something lies here, tombstones included, ascending, all as of one moment: those
// that ScanBucket calls fn for. The work is proportional to them. One that cannot be read is an error, though the
// others could be.
func (s *Store) Buckets() (list []cluster.Bucket, err error) {
	const name = "list buckets"
	if err := s.enter(name); err != nil {
		return nil, err
	}
	defer s.gate.exit()
	lower, upper := layout.Bounds(layout.PrefixHeader)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, within(name, engineError(err))
	}
	defer func() {
		if err2 := it.Close(); err == nil {
			err = within(name, engineError(err2))
		}
	}()
	for more := it.First(); more; {
		b, _, err := layout.ParseHeaderKey(it.Key())
		if err != nil {
			return nil, within(name, corrupt("%w", err))
		}
		list = append(list, b)
		_, next := layout.BucketBounds(layout.PrefixHeader, b)
		more = it.SeekGE(next)
	}
	return list, nil
}

// isEmpty reports that a bucket has no record under a prefix. An error counts as no: the scan will meet it again.
func (s *Store) isEmpty(b cluster.Bucket, p layout.Prefix) bool {
	lower, upper := layout.BucketBounds(p, b)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return false
	}
	found := it.First()
	return it.Close() == nil && !found
}

// cachedScan walks through a bucket's cached objects beside the headers: both are in order of
// owner, so neither is ever sought.
type cachedScan struct {
	it      *pebble.Iterator
	started bool
}

// take gives the cached objects of an owner, of whom the header counts want.
func (c *cachedScan) take(b cluster.Bucket, owner string, want int64) ([]cluster.CachedObject, error) {
	if want == 0 {
		return nil, nil
	}
	if !c.started {
		c.started = true
		c.it.First()
	}
	lower, upper := layout.OwnerBounds(layout.PrefixCached, b, owner, "")
	if c.it.Valid() && bytes.Compare(c.it.Key(), lower) < 0 {
		return nil, corrupt("cached object %q without a header", c.it.Key())
	}
	list := make([]cluster.CachedObject, 0, want)
	for ; c.it.Valid() && bytes.Compare(c.it.Key(), upper) < 0; c.it.Next() {
		value, err := c.it.ValueAndErr()
		if err != nil {
			return nil, engineError(err)
		}
		o, err := parseCached(c.it.Key(), value)
		if err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	if err := c.it.Error(); err != nil {
		return nil, engineError(err)
	}
	if int64(len(list)) != want {
		return nil, corrupt("the header of %s counts %d cached objects, there are %d", owner, want, len(list))
	}
	return list, nil
}
