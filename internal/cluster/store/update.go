package store

import (
	"bytes"
	"errors"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/store/internal/layout"
)

// decide makes what replication.Decide says of one update: in the batch, the owner's header and the
// state. An error refuses the update; nothing of it has changed then.
func (c *committer) decide(st *staged, result *Result) error {
	old, err := c.record(st)
	if err != nil {
		return err
	}
	o, err := c.owner(st.bucket, st.object.ID.Owner)
	if err != nil {
		return err
	}
	logged, err := c.logged(st.object.ID, st.key)
	if err != nil {
		return err
	}
	var have replication.State
	if old != nil {
		have.Object = &old.Object
	}
	if logged != nil {
		have.Record = &logged.Record
	}
	have.Alone = c.isAlone(st.object.ID)
	c.update = cluster.Update{Object: st.object, Previous: st.former}
	if st.merge && !st.joined && old != nil {
		if joined, err := c.join(st, have); err != nil || joined != nil {
			return c.decideJoined(joined, err, result)
		}
	}
	d := replication.Decide(c.s.format.Node, have, &c.update, c.s.cfg.Now().UnixNano())
	result.Verdict = d.Verdict
	if d.Put {
		// Contents that lie in the record that is replaced must come with it.
		if st.keep && (d.Needs || st.inline) {
			if size := st.object.Size; size > 0 && !c.s.space.hasRoom(size) {
				c.s.count.refused.Add(1)
				return c.s.full() // else the contents would come, and be refused, with every offer
			}
			result.Want, result.Have = true, newestOf(have)
			return nil // nothing was staged but names
		}
		if err := checkParts(st, old, o); err != nil {
			return err
		}
	}
	result.Have = st.object.Timestamp
	if d.Verdict == replication.Older {
		result.Have = newestOf(have)
	}
	c.must(c.change(st, old, o, d, result))
	if d.Changed {
		c.must(c.log(st.object.ID, logged, d.Record))
	}
	c.noteAlone(st, &d)
	if d.Record != nil && d.Record.Retired == 0 {
		result.Record = d.Record
	}
	return nil
}

// newestOf gives the timestamp of the newest update that a node knows of an object.
func newestOf(have replication.State) (ts cluster.Timestamp) {
	if have.Object != nil {
		ts = have.Object.Timestamp
	}
	if have.Record != nil && have.Record.Timestamp.Compare(ts) > 0 {
		ts = have.Record.Timestamp
	}
	return ts
}

// checkParts refuses an update that would make an owner's holding too large.
func checkParts(st *staged, old *layout.Record, o *owner) error {
	if st.object.Deleted {
		return nil
	}
	added := old == nil
	if !st.cached {
		added = !o.header.Has(st.object.ID.Type, st.object.Replicas)
	}
	if added && o.header.Parts() >= cluster.HoldingPartsMax {
		return cluster.Errorf(cluster.KindLimit, "add to the owner's holding", "it has %d fragments and cached objects already", cluster.HoldingPartsMax)
	}
	return nil
}

// change makes the change of the copy that was decided on.
func (c *committer) change(st *staged, old *layout.Record, o *owner, d replication.Decision, result *Result) (err error) {
	if !d.Put {
		if err := c.discard(st); err != nil || !d.Remove {
			return err
		}
	}
	c.touch(o)
	c.sync = true
	c.state.Time = max(c.state.Time, st.object.Timestamp.Time)
	var vanished, appeared, same bool
	if old != nil {
		same = old.Object.Replicas.Equal(st.object.Replicas)
		if vanished, err = c.remove(st, old, o, d.Put); err != nil {
			return err
		}
	}
	if d.Put {
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

// touch has commit write an owner's header.
func (c *committer) touch(o *owner) {
	if !o.dirty {
		o.dirty = true
		c.dirty = append(c.dirty, o)
	}
}

// log replaces an object's update record, or drops it if rec is nil. c.ukey is its key, which the
// reading of the old one left there.
func (c *committer) log(id cluster.ObjectID, old *layout.Update, rec *cluster.Record) error {
	c.sync = true
	return c.setUpdate(id, old, rec)
}

func (c *committer) setUpdate(id cluster.ObjectID, old *layout.Update, rec *cluster.Record) error {
	if old != nil {
		*c.recordCount(&old.Record)--
	}
	switch {
	case rec == nil && old == nil:
		return nil
	case rec == nil:
		c.updates[id] = nil
		c.filter.remove(c.ukey)
		if old.Rewritten {
			return c.batch.Delete(c.ukey, nil)
		}
		return c.batch.SingleDelete(c.ukey, nil)
	case old == nil:
		c.filter.add(c.ukey)
	}
	*c.recordCount(rec)++
	c.state.Time = max(c.state.Time, rec.Timestamp.Time)
	u := &layout.Update{Record: *rec, Rewritten: old != nil}
	c.updates[id] = u
	c.buf = layout.AppendUpdate(c.buf[:0], c.ukey, u)
	return c.batch.Set(c.ukey, c.buf, nil)
}

// recordCount gives the count of the state that a record is part of.
func (c *committer) recordCount(r *cluster.Record) *int64 {
	if r.Retired != 0 {
		return &c.state.Retired
	}
	return &c.state.Records
}

// retire drops the records that are over by the retirements, or marks them retired where they must
// be remembered. Nobody is promised that it lasts.
func (c *committer) retire(items []cluster.Retirement) error {
	var failed error
	for i := range items {
		id := items[i].ID
		old, err := c.logged(id, c.anyKey(id))
		if err != nil {
			failed = errors.Join(failed, within(opName("retire the update of", id), err))
			continue
		}
		if old == nil {
			continue
		}
		after, changed := replication.AfterRetirement(c.s.format.Node, &old.Record, items[i], c.s.cfg.Now().UnixNano())
		if changed {
			c.must(c.setUpdate(id, old, after))
			delete(c.alone, id)
		}
	}
	return failed
}

// anyKey gives an object's key under some prefix: what logged makes the key of the update record of.
func (c *committer) anyKey(id cluster.ObjectID) []byte {
	c.buf = layout.AppendObjectKey(c.buf[:0], layout.PrefixObject, c.s.format.Cluster.BucketOf(id.Owner), id)
	return c.buf
}

// remove takes the old version of an object out of counts and contents, and its record too
// unless a new version will overwrite it (replaced). What is deleted may go to the vault; what
// moved away does not. It reports whether a fragment vanished.
func (c *committer) remove(st *staged, old *layout.Record, o *owner, replaced bool) (vanished bool, err error) {
	c.tally(st.cached, &old.Object, -1)
	if st.cached {
		o.header.Cached--
	} else if !old.Object.Deleted {
		var ok bool
		if vanished, ok = o.header.Add(st.object.ID.Type, old.Object.Replicas, -1, -old.Object.Size); !ok {
			c.s.count.broken.Add(1)
			c.s.cfg.Logger.Error("store: a header does not count what is stored; run the store's verify command", "owner", st.object.ID.Owner)
		}
	}
	switch {
	case st.vault && st.object.Deleted && !old.Object.Deleted:
		if err := c.putVault(st, old); err != nil {
			return vanished, err
		}
	case !st.keep || !replaced:
		if err := c.removeContents(old); err != nil {
			return vanished, err
		}
	}
	if replaced {
		return vanished, nil
	}
	return vanished, c.deleteRecord(st.key, old)
}

// removeDerived removes what was derived from contents.
func (c *committer) removeDerived(old *layout.Record) error {
	switch {
	case !old.Derived:
		return nil
	case old.Rewritten: // it may have been computed anew, which is a second writing of the key
		return c.batch.Delete(layout.AppendDerivedKey(nil, old.Number), nil)
	}
	d := c.batch.SingleDeleteDeferred(layout.DerivedKeySize)
	layout.AppendDerivedKey(d.Key[:0], old.Number)
	return d.Finish()
}

// removeContents removes contents and what was derived from them.
func (c *committer) removeContents(old *layout.Record) error {
	if old.Number == 0 {
		return nil
	}
	if err := c.removeDerived(old); err != nil {
		return err
	}
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
	if err := c.write(st, old); err != nil {
		return false, err
	}
	c.tally(st.cached, &st.object, 1)
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

// write writes an object's record and contents.
func (c *committer) write(st *staged, old *layout.Record) error {
	r := &layout.Record{Object: st.object, Number: st.number, Chunked: st.chunked, Rewritten: old != nil, Derived: st.derived != nil}
	if st.keepsAttr() {
		r.Object.Attr = bytes.Clone(st.attr)
	}
	if st.merge {
		c.inline[st.object.ID] = bytes.Clone(st.contents())
	}
	if st.keep {
		if err := c.keep(st, r, old); err != nil {
			return err
		}
	} else if r.Rewritten {
		layout.MarkRewritten(st.key, st.record[:st.sealed])
	}
	if st.number != 0 {
		if err := c.putContents(st); err != nil {
			return err
		}
	}
	c.records[st.object.ID] = r
	return c.batch.Set(st.key, st.record, nil)
}

// keep makes a record that was staged without contents refer to those of the old version.
func (c *committer) keep(st *staged, r, old *layout.Record) error {
	r.Number, r.Chunked, r.Derived = old.Number, old.Chunked, old.Derived
	staged, _, err := layout.ParseRecord(st.key, st.record)
	if err != nil {
		return err
	}
	staged.Number, staged.Chunked, staged.Rewritten, staged.Derived = r.Number, r.Chunked, true, r.Derived
	st.record = layout.AppendRecord(nil, st.key, &staged)
	return nil
}

// putContents writes contents, or the head of contents whose chunks are written already, and what was
// derived from them.
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
	if err := d.Finish(); err != nil || st.derived == nil {
		return err
	}
	c.buf = layout.AppendDerivedKey(c.buf[:0], st.number)
	return c.batch.Set(c.buf, st.derived, nil)
}

// discard undoes what staging an update left on disk, when the update is not applied.
func (c *committer) discard(st *staged) error {
	if !st.chunked {
		return nil
	}
	return discardChunks(c.batch, st.number)
}

// tally adds a version of an object to the state, or takes it away.
func (c *committer) tally(cached bool, o *cluster.Object, sign int64) {
	if o.Deleted {
		return
	}
	c.state.Bytes += sign * o.Size
	switch {
	case !cached:
		c.state.Objects += sign
	case isSole(o):
		c.state.Sole += sign
	}
}

// isSole reports whether an object lies on one node only: the one that asks.
func isSole(o *cluster.Object) bool { return len(o.Replicas) == 1 }
