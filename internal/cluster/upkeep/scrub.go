package upkeep

import (
	"context"
	"fmt"
	"io"

	"porcupine/internal/cluster"
)

// Bounds of the scrub.
const (
	scrubBytes = 8 << 20 // bytes a second at most
	scrubRate  = 2000    // objects a second at most
)

// scrubAlways reads all contents, once in ScrubEvery. Each bucket has its time, so that a process that is
// started more often than that comes to all of them nevertheless.
func (u *Upkeep) scrubAlways(ctx context.Context) {
	pause := max(u.cfg.ScrubEvery/cluster.BucketCount, 1)
	first := u.cfg.Now().UnixNano() / int64(pause)
	for {
		for n := range int64(cluster.BucketCount) {
			b := cluster.Bucket((first + n) % cluster.BucketCount)
			if !sleep(ctx, pause) {
				return
			}
			var report CheckReport
			if err := u.scrubBucket(ctx, b, &report); err != nil && ctx.Err() == nil {
				u.log.Error("upkeep: a bucket cannot be read: run 'porcupine store verify' on this node", "bucket", b, "err", err)
			}
		}
		u.count.scrubs.Add(1)
	}
}

// scrubBucket reads all contents of a bucket and heals what is damaged.
func (u *Upkeep) scrubBucket(ctx context.Context, b cluster.Bucket, report *CheckReport) error {
	rate := newThrottle(scrubRate, scrubBytes)
	var after *cluster.Object
	for {
		page, more, err := u.review(b, after, false)
		if err != nil {
			return err
		}
		for i := range page {
			o := &page[i].Object
			after = o
			if o.Deleted {
				continue
			}
			if !rate.wait(ctx, o.Size) {
				return cluster.Errorf(cluster.KindUnavailable, "scrub", "%w", context.Cause(ctx))
			}
			u.count.scrubbed.Add(1)
			if err := u.read(o); cluster.IsKind(err, cluster.KindCorrupt) {
				report.Damaged++
				report.detail(fmt.Sprintf("%s is damaged on node %s", nameOf(o.ID), u.node.ID()))
				u.heal(ctx, o.ID)
			}
		}
		if !more {
			return nil
		}
	}
}

// read reads an object's contents to the end. KindCorrupt: they are damaged.
func (u *Upkeep) read(o *cluster.Object) error {
	_, r, err := u.disk.OpenBody(o.ID)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	if err2 := r.Close(); err == nil {
		err = err2
	}
	return err
}
