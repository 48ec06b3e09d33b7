package upkeep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"porcupine/internal/cluster"
)

// Bounds of the scrub.
const (
	scrubBytes    = 8 << 20 // bytes a second at most
	scrubRate     = 2000    // objects a second at most
	healTimeout   = 5 * time.Minute
	healRetryTime = 10 * time.Second // between tries at an object whose other holders do not answer
	healTriesMax  = 3
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
		page, more, err := u.review(b, after)
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

// healAlways heals what Damaged reports.
func (u *Upkeep) healAlways(ctx context.Context) {
	for {
		select {
		case id := <-u.damage:
			u.heal(ctx, id)
		case <-ctx.Done():
			return
		}
	}
}

// heal replaces the damaged contents of an object by those of another replica. If none has them, the
// object is left alone: what is left of it may be of use to a person.
func (u *Upkeep) heal(ctx context.Context, id cluster.ObjectID) {
	o, found, err := u.object(id)
	if err == nil && !found || err == nil && u.read(&o) == nil {
		u.setLost(id, "")
		return // gone, or healed already
	}
	u.count.damaged.Add(1)
	for try := 1; err == nil; try++ {
		if err = u.healFrom(ctx, &o); err == nil {
			u.count.healed.Add(1)
			u.setLost(id, "")
			u.log.Info("upkeep: damaged contents were replaced from another replica", "object", nameOf(id))
			return
		}
		if try < healTriesMax && cluster.IsKind(err, cluster.KindUnavailable) && sleep(ctx, healRetryTime) {
			err = nil
		}
	}
	if ctx.Err() != nil {
		return
	}
	u.setLost(id, fmt.Sprintf("%s (%d bytes)", nameOf(id), o.Size))
	u.log.Error("upkeep: contents are damaged and no other node could give them: the disk should be replaced; 'porcupine store verify' shows what is damaged",
		"object", nameOf(id), "size", o.Size, "err", err)
}

// healFrom asks the other holders in turn.
func (u *Upkeep) healFrom(ctx context.Context, o *cluster.Object) error {
	ctx, cancel := context.WithTimeout(ctx, healTimeout)
	defer cancel()
	var errs error
	for _, id := range o.Replicas {
		if id == u.node.ID() {
			continue
		}
		if !u.node.View().Contains(id) {
			errs = errors.Join(errs, cluster.Errorf(cluster.KindUnavailable, "heal", "node %s is absent", id))
			continue
		}
		body, err := newBody(ctx, o, func(ctx context.Context) (cluster.Object, io.ReadCloser, error) { return u.node.Open(ctx, id, o.ID) })
		if err == nil {
			err = errors.Join(u.disk.Heal(ctx, *o, body), body.Close())
		}
		if err == nil {
			return nil
		}
		errs = errors.Join(errs, fmt.Errorf("from node %s: %w", id, err))
	}
	if errs == nil {
		errs = cluster.Errorf(cluster.KindCorrupt, "heal", "it lies on no other node")
	}
	return errs
}

// setLost notes an object that could not be healed, or, with an empty text, that it is not lost.
func (u *Upkeep) setLost(id cluster.ObjectID, text string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if text == "" {
		delete(u.lost, id)
	} else if len(u.lost) < damagedMax {
		u.lost[id] = text
	}
}
