package store

import (
	"bytes"
	"errors"
	"runtime"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/iowatch"
	"porcupine/internal/cluster/store/internal/layout"
)

// committer owns every change of records and headers. It is one goroutine with no lock:
//
//	take an op, and all others that wait, or come soon while many do (pace)
//	for each update: read what it touches (may fail, then it is refused and changes nothing),
//	                 decide (replication.Decide),
//	                 then change objects, update records, headers and state in the batch (cannot fail)
//	write the headers and the state that changed
//	commit with one fsync, or with none if nobody was promised anything
//	answer
//
// Within a group later updates must see earlier ones, which the engine cannot show before the
// commit: records and updates hold what the group did to objects and update records, owners what
// it did to headers.
type committer struct {
	s       *Store
	batch   *pebble.Batch
	owners  *owners
	filter  *filter
	alone   alone
	group   []*op
	records map[cluster.ObjectID]*layout.Record // as after the group so far; nil: absent
	updates map[cluster.ObjectID]*layout.Update // likewise
	inline  map[cluster.ObjectID][]byte         // contents of those records whose type merges
	dirty   []*owner
	state   layout.State
	chunks  int // bytes of large contents written while the group was gathered
	pace    pace
	began   time.Time      // the last commit
	sync    bool           // the group holds what must be durable BEFORE it is answered
	update  cluster.Update // what Decide is asked about
	buf     []byte
	ukey    []byte           // key of an update record
	it      *pebble.Iterator // what was committed before the group; nil until it is asked for
}

func newCommitter(s *Store) *committer {
	c := &committer{
		s:       s,
		batch:   s.db.NewBatch(pebble.WithInitialSizeBytes(groupBytesMax/4), pebble.WithMaxRetainedSizeBytes(2*groupBytesMax)),
		owners:  newOwners(),
		filter:  s.fillFilter(),
		alone:   s.findAlone(),
		records: make(map[cluster.ObjectID]*layout.Record),
		updates: make(map[cluster.ObjectID]*layout.Update),
		inline:  make(map[cluster.ObjectID][]byte),
		state:   s.state.Load().State,
	}
	s.state.Store(&totals{c.state, len(c.alone)})
	return c
}

// run serves the queue until it is closed and empty.
func (c *committer) run() {
	defer close(c.s.stopped)
	for first := range c.s.queue {
		c.gather(first)
		c.doneReading()
		c.answer(c.commit())
	}
	if c.s.failed.Load() == nil {
		_ = c.batch.Close() // releases memory only
	}
}

// gather builds one group of the first op and those that wait behind it.
func (c *committer) gather(first *op) {
	c.chunks = 0
	c.add(first)
	if d := c.pace.wait(c.s.since(c.began)); d > 0 && len(c.group) > 0 {
		time.Sleep(d)
	} else {
		runtime.Gosched() // callers that are about to come need a processor, no time
	}
	for c.batch.Len()+c.chunks < groupBytesMax {
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
	switch {
	case p.metaKey != nil:
		c.sync = true
		p.err = c.batch.Set(p.metaKey, p.meta, nil)
	case p.retired != nil:
		p.err = c.retire(p.retired)
	case p.drops != nil:
		p.err = c.drop(p.drops)
	case p.derives != nil:
		p.err = c.keepDerived(p.derives)
	case p.heal:
		st := &p.updates[0]
		if p.err = c.heal(st); p.err != nil {
			p.err = within(opName(p.name, st.object.ID), p.err)
			c.must(c.discard(st))
		}
	default:
		c.apply(p)
	}
	c.s.freeStaged(p)
}

// apply decides on the updates of an op, one after the other: one that is refused does not stop
// the others.
func (c *committer) apply(p *op) {
	for i := range p.updates {
		st, r := &p.updates[i], &p.results[i]
		if r.Err != nil {
			continue // refused before it came here
		}
		if r.Err = c.decide(st, r); r.Err != nil {
			r.Err = within(opName(p.name, st.object.ID), r.Err)
			c.must(c.discard(st))
		}
		p.work.count(st, r)
	}
}

// writeChunk writes a part of large contents, un-synced, at once: the fsync of the update that
// will refer to it covers it. If the caller has left meanwhile, what it began is undone here.
func (c *committer) writeChunk(p *op) {
	c.chunks += p.chunk.Len()
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

// record gives what the store has under an object's key after the group so far, nil for nothing.
func (c *committer) record(st *staged) (*layout.Record, error) {
	id := st.object.ID
	if r, ok := c.records[id]; ok {
		return r, nil
	}
	var rec *layout.Record
	_, err := c.get(st.key, func(v []byte) error {
		r, contents, err := layout.ParseRecord(st.key, v)
		if err != nil {
			return corrupt("record: %w", err)
		}
		r.Object.ID = id
		if attr := r.Object.Attr; st.keepsAttr() { // points into v
			r.Object.Attr = bytes.Clone(attr)
		} else {
			r.Object.Attr = nil
		}
		if st.merge {
			c.inline[id] = bytes.Clone(contents)
		}
		rec = &r
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.records[id] = rec
	return rec, nil
}

// logged gives the update record of an object after the group so far, nil for none, and leaves its
// key in c.ukey. Mostly there is none, and nothing is read.
func (c *committer) logged(id cluster.ObjectID, objectKey []byte) (*layout.Update, error) {
	c.ukey = layout.AppendUpdateKey(c.ukey[:0], objectKey)
	if !c.filter.mayHave(c.ukey) {
		return nil, nil
	}
	if u, ok := c.updates[id]; ok {
		return u, nil
	}
	var found *layout.Update
	_, err := c.get(c.ukey, func(v []byte) error {
		u, err := layout.ParseUpdate(c.ukey, v)
		if err != nil {
			return corrupt("update record: %w", err)
		}
		u.Record.ID = id
		found = &u
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.updates[id] = found
	return found, nil
}

// get is Store.get on what was committed before the group. Most keys asked for are those of new
// objects: an iterator can use the filters of all levels to see that they are absent, while the
// engine's Get reads a block of the last level each time.
func (c *committer) get(key []byte, use func(value []byte) error) (bool, error) {
	place := c.s.fs.Underway.Begin(iowatch.DeedRead)
	defer c.s.fs.Underway.End(place)
	if c.it == nil {
		it, err := c.s.db.NewIter(&pebble.IterOptions{UseL6Filters: true})
		if err != nil {
			return false, engineError(err)
		}
		c.it = it
	}
	found := c.it.SeekPrefixGE(key) && bytes.Equal(c.it.Key(), key)
	err := c.it.Error()
	var value []byte
	if found && err == nil {
		value, err = c.it.ValueAndErr()
	}
	if err != nil {
		c.doneReading() // it would give the error again, to who reads something else
		return false, engineError(err)
	}
	if !found {
		return false, nil
	}
	return true, use(value)
}

// doneReading ends what get began. What its end says has been said to the update that met it: the others go on.
func (c *committer) doneReading() {
	if c.it != nil {
		_ = c.it.Close()
		c.it = nil
	}
}

// commit makes the group durable, if it must be. Nothing is written for a group that changed nothing.
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
	c.began = start
	c.pace.committed(len(c.group))
	if !c.sync {
		if err := c.s.write(c.batch, pebble.NoSync); err != nil {
			return err
		}
	} else {
		if err := c.s.write(c.batch, pebble.Sync); err != nil {
			return err
		}
		c.s.durable.Store(c.state.Seq) // AFTER the fsync
		if c.s.cfg.Disk == nil {
			c.s.count.committed(c.s.since(start), c.s.cfg.Now())
		}
	}
	c.batch.Reset()
	c.s.state.Store(&totals{c.state, len(c.alone)})
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
		if p.retired == nil && p.drops == nil && p.derives == nil {
			c.s.count.updates.Add(1)
		}
		if err != nil || !c.s.serve(p) {
			c.s.finish(p)
		}
	}
	c.group = c.group[:0]
	c.dirty = c.dirty[:0]
	c.sync = false
	clear(c.records)
	clear(c.updates)
	clear(c.inline)
	c.owners.trim()
}
