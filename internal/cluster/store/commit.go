package store

import (
	"bytes"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// committer owns every change of records and headers. It is one goroutine with no lock:
//
//	take an op, and all others that wait
//	for each op: read what it touches (may fail, then the op fails and changes nothing),
//	             then change records, headers and state in the batch (cannot fail)
//	write the headers and the state that changed
//	commit with one fsync
//	answer
//
// Within a group later ops must see earlier ones, which the engine cannot show before the
// commit: records holds what the group did to objects, owners what it did to headers.
type committer struct {
	s       *Store
	batch   *pebble.Batch
	owners  *owners
	group   []*op
	records map[cluster.ObjectID]*layout.Record // as after the group so far; nil: absent
	dirty   []*owner
	state   layout.State
	buf     []byte
	it      *pebble.Iterator // what was committed before the group; nil until it is asked for
}

func newCommitter(s *Store) *committer {
	return &committer{
		s:       s,
		batch:   s.db.NewBatch(pebble.WithInitialSizeBytes(groupBytesMax/4), pebble.WithMaxRetainedSizeBytes(2*groupBytesMax)),
		owners:  newOwners(),
		records: make(map[cluster.ObjectID]*layout.Record),
		state:   *s.state.Load(),
	}
}

// run serves the queue until it is closed and empty.
func (c *committer) run() {
	defer close(c.s.stopped)
	for first := range c.s.queue {
		c.gather(first)
		err := c.doneReading()
		if err == nil {
			err = c.commit()
		}
		c.answer(err)
	}
	if c.s.failed.Load() == nil {
		_ = c.batch.Close() // releases memory only
	}
}

// gather builds one group of the first op and those that wait behind it.
func (c *committer) gather(first *op) {
	c.add(first)
	for c.batch.Len() < groupBytesMax {
		select {
		case p, ok := <-c.s.queue:
			if !ok {
				return
			}
			c.add(p)
		default:
			return
		}
	}
}

// add puts one op into the group.
func (c *committer) add(p *op) {
	if p.chunk != nil {
		c.writeChunk(p)
		return
	}
	c.group = append(c.group, p)
	if p.err = c.s.failure(p.name); p.err != nil {
		return
	}
	if p.metaKey != nil {
		p.err = c.batch.Set(p.metaKey, p.meta, nil)
		return
	}
	if p.err = c.prepare(p); p.err != nil {
		p.err = within(opName(p.name, p.updates[0].object.ID), p.err)
		for i := range p.updates {
			c.must(c.discard(&p.updates[i]))
		}
		c.s.freeStaged(p)
		return
	}
	for i := range p.updates {
		c.must(c.update(&p.updates[i], &p.results[i]))
	}
	c.s.freeStaged(p)
}

// writeChunk writes a part of large contents, un-synced, at once: the fsync of the update that
// will refer to it covers it. If the caller has left meanwhile, what it began is undone here.
func (c *committer) writeChunk(p *op) {
	p.err = c.s.write(p.chunk, pebble.NoSync)
	if p.leave(opAnswered) {
		p.done <- struct{}{}
		return
	}
	if !p.undone {
		c.must(discardChunks(c.batch, p.number))
	}
	<-c.s.chunked
	<-c.s.places
	c.s.count.pending.Add(-1)
}

// must takes the errors of building a batch in memory. The engine has none to give for the calls
// made here; if it had one, the batch would be half an update and may not be committed.
func (c *committer) must(err error) {
	if err != nil {
		c.s.fail(err)
	}
}

// prepare reads what the op's updates touch and checks what may still refuse them.
func (c *committer) prepare(p *op) error {
	for i := range p.updates {
		st := &p.updates[i]
		old, err := c.record(st)
		if err != nil {
			return err
		}
		o, err := c.owner(st.bucket, st.object.ID.Owner)
		if err != nil {
			return err
		}
		if st.object.Deleted || !st.mine || !newer(st, old) {
			continue
		}
		if st.keep && (old == nil || !sameContents(&old.Object, &st.object)) {
			return cluster.Errorf(cluster.KindInvalid, "keep the contents", "this node does not hold the contents that the update leaves out")
		}
		added := old == nil
		if !st.cached {
			added = !o.header.Has(st.object.ID.Type, st.object.Replicas)
		}
		if added && o.header.Parts() >= cluster.HoldingPartsMax {
			return cluster.Errorf(cluster.KindLimit, "add to the owner's holding", "it has %d fragments and cached objects already", cluster.HoldingPartsMax)
		}
	}
	return nil
}

// record gives what the store has under an object's key after the group so far, nil for nothing.
func (c *committer) record(st *staged) (*layout.Record, error) {
	id := st.object.ID
	if r, ok := c.records[id]; ok {
		return r, nil
	}
	var rec *layout.Record
	_, err := c.get(st.key, func(v []byte) error {
		r, _, err := layout.ParseRecord(st.key, v)
		if err != nil {
			return corrupt("record: %w", err)
		}
		r.Object.Attr = nil // points into v
		rec = &r
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.records[id] = rec
	return rec, nil
}

// get is Store.get on what was committed before the group. Most keys asked for are those of new
// objects: an iterator can use the filters of all levels to see that they are absent, while the
// engine's Get reads a block of the last level each time.
func (c *committer) get(key []byte, use func(value []byte) error) (bool, error) {
	if c.it == nil {
		it, err := c.s.db.NewIter(&pebble.IterOptions{UseL6Filters: true})
		if err != nil {
			return false, engineError(err)
		}
		c.it = it
	}
	if !c.it.SeekPrefixGE(key) || !bytes.Equal(c.it.Key(), key) {
		return false, engineError(c.it.Error())
	}
	value, err := c.it.ValueAndErr()
	if err != nil {
		return false, engineError(err)
	}
	return true, use(value)
}

// doneReading ends what get began.
func (c *committer) doneReading() error {
	if c.it == nil {
		return nil
	}
	it := c.it
	c.it = nil
	return engineError(it.Close())
}

// newer is the Thomas write rule.
func newer(st *staged, old *layout.Record) bool {
	return old == nil || st.object.Timestamp.Compare(old.Object.Timestamp) > 0
}

// commit makes the group durable. Nothing is written for a group that changed nothing.
func (c *committer) commit() error {
	if c.batch.Empty() {
		return c.s.failure("commit")
	}
	for _, o := range c.dirty {
		o.dirty = false
		if o.header.IsEmpty() {
			if o.stored {
				c.must(c.batch.Delete(o.key, nil))
			}
		} else {
			c.buf = layout.AppendHeader(c.buf[:0], o.key, &o.header)
			c.must(c.batch.Set(o.key, c.buf, nil))
		}
		o.stored = !o.header.IsEmpty()
	}
	c.state.Seq = c.s.nextNumber()
	c.buf = layout.AppendState(c.buf[:0], &c.state)
	c.must(c.batch.Set(layout.StateKey(), c.buf, nil))
	c.s.space.wrote(int64(c.batch.Len()))
	start := c.s.cfg.Now()
	if err := c.s.write(c.batch, pebble.Sync); err != nil {
		return err
	}
	c.s.count.committed(c.s.since(start))
	c.batch.Reset()
	state := c.state
	c.s.state.Store(&state)
	return nil
}

// answer wakes the callers of the group and forgets it. BEFORE it the group is durable.
func (c *committer) answer(err error) {
	for i, p := range c.group {
		c.group[i] = nil
		if err != nil {
			p.err = errors.Join(err, p.err)
		}
		for j := range p.results {
			p.results[j].Seq = c.state.Seq
			if p.results[j].Applied {
				c.s.count.applied.Add(1)
			}
		}
		c.s.count.updates.Add(1)
		c.s.count.pending.Add(-1)
		<-c.s.places
		p.done <- struct{}{} // never blocks; from here on p is the caller's
	}
	c.group = c.group[:0]
	c.dirty = c.dirty[:0]
	clear(c.records)
	c.owners.trim()
}
