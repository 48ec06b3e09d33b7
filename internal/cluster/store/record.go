package store

import (
	"context"
	"time"

	"porcupine/internal/cluster"
)

// Retire drops update records that are over, or, if they are of deletions without trace, marks
// them retired. A retirement that does not fit (a newer update, other targets) is ignored. Not
// synced: after a crash a record may be there again, and propagates once more. At most AcceptMax.
func (s *Store) Retire(ctx context.Context, items []cluster.Retirement) error {
	return errNotBuilt
}

// Records calls fn with every update record, retired ones too, as of one moment, in order of bucket
// and object. An error of fn ends it and is returned.
func (s *Store) Records(fn func(cluster.Record) error) error { return errNotBuilt }

// Update gives what to send to another target of an update that propagates: the object as this node
// has it, without contents, and the record's targets as Previous. False if there is no record of
// that timestamp that propagates. If this node holds no copy and the update is not a deletion, Size
// and Sum are zero: a target that needs the contents will want them, and gets them from another.
func (s *Store) Update(id cluster.ObjectID, ts cluster.Timestamp) (cluster.Update, bool, error) {
	return cluster.Update{}, false, errNotBuilt
}

// Review calls fn with every object and tombstone of a bucket, as of one moment, and whether an
// update of it propagates: those of cached types first, each in order of owner, type, id. fn may
// not wait for long: the moment is kept alive for it. An error of fn ends it and is returned.
func (s *Store) Review(b cluster.Bucket, fn func(o cluster.Object, propagating bool) error) error {
	return errNotBuilt
}

// Heal replaces the contents of an object, which are damaged, by those of another replica. It must
// be the object that this node holds, by timestamp, size and checksum: KindNotFound if it is not
// there any more, KindStale if another version is.
func (s *Store) Heal(ctx context.Context, o cluster.Object, body cluster.Body) error {
	return errNotBuilt
}

// Collected says what Collect removed.
type Collected struct {
	Retired    int      // update records of deletions
	Tombstones int      // of objects
	Vaulted    int      // deleted objects out of the vault
	Bytes      int64    // of their contents
	Owners     []string // whose Holding changed, ascending: send Holding(owner)
}

// Collect removes what is kept for a time only, if it is over at now: retired records after
// cluster.LateWindow, tombstones after Config.Grace, what is in the vault after Config.VaultFor, or
// earlier, the oldest first, while less than twice Config.MinFree is free. One call does a bounded
// part of the work; call it every minute or so.
func (s *Store) Collect(ctx context.Context, now time.Time) (Collected, error) {
	return Collected{}, errNotBuilt
}

// Vaulted is a deleted object whose contents are still in the vault.
type Vaulted struct {
	Object  cluster.Object // as it was when it was deleted
	Deleted int64          // when: the time of the deletion's timestamp
}

// Vaulted lists what the vault has of an owner, in order of deletion. More than ListMax: KindLimit.
func (s *Store) Vaulted(owner string) ([]Vaulted, error) { return nil, errNotBuilt }

// Checkpoint makes a consistent copy of the whole store in dir, which must not exist: hard links
// where the file system can. The store serves meanwhile. All that was acknowledged before the
// call is in it. It opens like any store directory.
func (s *Store) Checkpoint(dir string) error { return errNotBuilt }
