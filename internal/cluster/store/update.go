package store

import (
	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// update makes the change of one prepared update in the batch, the owner's header and the state.
func (c *committer) update(st *staged, result *Result) (err error) {
	old := c.records[st.object.ID]
	if !newer(st, old) || old == nil && !st.mine {
		return c.discard(st)
	}
	o := c.owners.find(st.object.ID.Owner) // prepare put it there
	if !o.dirty {
		o.dirty = true
		c.dirty = append(c.dirty, o)
	}
	c.state.Time = max(c.state.Time, st.object.Timestamp.Time)
	var vanished, appeared, same bool
	if old != nil {
		same = old.Object.Replicas.Equal(st.object.Replicas)
		if vanished, err = c.remove(st, old, o); err != nil {
			return err
		}
	}
	if st.mine {
		if appeared, err = c.put(st, old, o); err != nil {
			return err
		}
	} else {
		c.records[st.object.ID] = nil
	}
	result.Applied = true
	result.Announce = st.cached || (vanished || appeared) && !(same && vanished && appeared)
	return nil
}

// remove takes the old version of an object out of counts and contents, and its record too
// unless a new version will overwrite it. It reports whether a fragment vanished.
func (c *committer) remove(st *staged, old *layout.Record, o *owner) (vanished bool, err error) {
	c.tally(st, &old.Object, -1)
	if st.cached {
		o.header.Cached--
	} else if !old.Object.Deleted {
		var ok bool
		if vanished, ok = o.header.Add(st.object.ID.Type, old.Object.Replicas, -1, -old.Object.Size); !ok {
			c.s.count.broken.Add(1)
			c.s.cfg.Logger.Error("store: a header does not count what is stored; run the store's verify command", "owner", st.object.ID.Owner)
		}
	}
	if old.Number != 0 && !st.keep {
		if err := c.removeContents(old); err != nil {
			return vanished, err
		}
	}
	if st.mine {
		return vanished, nil
	}
	if old.Rewritten {
		return vanished, c.batch.Delete(st.key, nil)
	}
	return vanished, c.batch.SingleDelete(st.key, nil)
}

func (c *committer) removeContents(old *layout.Record) error {
	if old.Chunked {
		lower, upper := layout.ChunkBounds(old.Number)
		if err := c.batch.DeleteRange(lower, upper, nil); err != nil {
			return err
		}
	}
	d := c.batch.SingleDeleteDeferred(layout.BodyKeySize)
	layout.AppendBodyKey(d.Key[:0], old.Number)
	return d.Finish()
}

// put writes the new version of an object. It reports whether a fragment appeared.
func (c *committer) put(st *staged, old *layout.Record, o *owner) (appeared bool, err error) {
	r := &layout.Record{Object: st.object, Number: st.number, Chunked: st.chunked, Rewritten: old != nil}
	if st.keep {
		if err := c.keep(st, r, old); err != nil {
			return false, err
		}
	} else if r.Rewritten {
		layout.MarkRewritten(st.key, st.record[:st.sealed])
	}
	if st.number != 0 {
		if err := c.putContents(st); err != nil {
			return false, err
		}
	}
	if err := c.batch.Set(st.key, st.record, nil); err != nil {
		return false, err
	}
	c.records[st.object.ID] = r
	c.tally(st, &st.object, 1)
	if !st.object.Deleted {
		c.s.count.bytes.Add(st.object.Size)
	}
	if st.cached {
		o.header.Cached++
		return false, nil
	}
	if st.object.Deleted {
		return false, nil
	}
	appeared, _ = o.header.Add(st.object.ID.Type, st.object.Replicas, 1, st.object.Size)
	return appeared, nil
}

// keep makes a record that was staged without contents refer to those of the old version.
func (c *committer) keep(st *staged, r, old *layout.Record) error {
	r.Number, r.Chunked = old.Number, old.Chunked
	staged, _, err := layout.ParseRecord(st.key, st.record)
	if err != nil {
		return err
	}
	staged.Number, staged.Chunked, staged.Rewritten = r.Number, r.Chunked, true
	st.record = layout.AppendRecord(nil, st.key, &staged)
	return nil
}

// putContents writes contents, or the head of contents whose chunks are written already.
func (c *committer) putContents(st *staged) error {
	value := st.body
	if st.chunked {
		c.buf = layout.AppendIntentKey(c.buf[:0], st.number)
		if err := c.batch.SingleDelete(c.buf, nil); err != nil {
			return err
		}
		value = layout.AppendBody(nil, st.key, nil)
	}
	d := c.batch.SetDeferred(layout.BodyKeySize, len(value))
	layout.AppendBodyKey(d.Key[:0], st.number)
	copy(d.Value, value)
	return d.Finish()
}

// discard undoes what staging an update left on disk, when the update is not applied.
func (c *committer) discard(st *staged) error {
	if !st.chunked {
		return nil
	}
	return discardChunks(c.batch, st.number)
}

// tally adds a version of an object to the state, or takes it away.
func (c *committer) tally(st *staged, o *cluster.Object, sign int64) {
	if o.Deleted {
		return
	}
	c.state.Bytes += sign * o.Size
	switch {
	case !st.cached:
		c.state.Objects += sign
	case isSole(o):
		c.state.Sole += sign
	}
}

// isSole reports whether an object lies on one node only: the one that asks.
func isSole(o *cluster.Object) bool { return len(o.Replicas) == 1 }
