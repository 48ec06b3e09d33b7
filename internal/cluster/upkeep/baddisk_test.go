package upkeep_test

import (
	"context"
	"io"
	"sync"
	"sync/atomic"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store"
)

// badDisk is a store some of whose contents are damaged until they are healed.
type badDisk struct {
	*store.Store
	unlisted atomic.Bool  // Buckets fails
	unread   atomic.Int64 // the bucket whose headers cannot be read, plus one
	mu       sync.Mutex
	bad      map[cluster.ObjectID]bool
	opening  atomic.Pointer[func(id cluster.ObjectID) error] // may fail OpenBody, or make it slow
	healing  atomic.Pointer[func(o *cluster.Object)]         // is called before Heal
}

func (d *badDisk) Buckets() ([]cluster.Bucket, error) {
	if d.unlisted.Load() {
		return nil, cluster.Errorf(cluster.KindCorrupt, "list buckets", "bits have flipped")
	}
	return d.Store.Buckets()
}

func (d *badDisk) ScanBucket(b cluster.Bucket, fn func(cluster.Holding) error) (uint64, error) {
	if int64(b)+1 == d.unread.Load() {
		return 0, cluster.Errorf(cluster.KindCorrupt, "scan bucket", "bits have flipped")
	}
	return d.Store.ScanBucket(b, fn)
}

func (d *badDisk) damage(id cluster.ObjectID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bad[id] = true
}

func (d *badDisk) isBad(id cluster.ObjectID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bad[id]
}

func (d *badDisk) OpenBody(id cluster.ObjectID) (cluster.Object, io.ReadCloser, error) {
	if f := d.opening.Load(); f != nil {
		if err := (*f)(id); err != nil {
			return cluster.Object{}, nil, err
		}
	}
	if d.isBad(id) {
		return cluster.Object{}, nil, cluster.Errorf(cluster.KindCorrupt, "open", "bits have flipped")
	}
	return d.Store.OpenBody(id)
}

func (d *badDisk) Heal(ctx context.Context, o cluster.Object, body cluster.Body) error {
	if f := d.healing.Load(); f != nil {
		(*f)(&o)
	}
	if err := d.Store.Heal(ctx, o, body); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.bad, o.ID)
	return nil
}
