package sim

import (
	"crypto/sha256"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/softstate"
)

// The object types of the simulated service.
const (
	typeMessage cluster.ObjectType = "message"
	typeProfile cluster.ObjectType = "profile"
)

// isCached is TypeSpec.Cached.
func isCached(t cluster.ObjectType) bool { return t != typeMessage }

// disk is a node's hard state: what survives a crash of its process. It keeps the semantics of the
// store: what is written becomes visible at once and durable with the next fsync that begins after
// it; each write is one batch, which a crash keeps whole or not at all; and a crash keeps of the
// batches not yet synced any number from the oldest on (a log with checksums: the first torn
// batch ends it).
type disk struct {
	node     cluster.NodeID
	id       cluster.ID
	persist  membership.Persistent
	repaired softstate.Repaired // what is remembered after strikes
	clock    int64              // end of the stretch of the clock that timestamps may be given of

	objects map[cluster.ObjectID]*stored
	records map[cluster.ObjectID]*cluster.Record
	owners  map[string]*owned
	buckets [cluster.BucketCount][]string // owners, ascending
	seq     uint64                        // of commits; never goes back
	sole    int                           // live profiles that lie here alone
	alone   map[cluster.ObjectID]bool     // and those that may, whatever they say: replication.Decision.Alone
	tombs   int                           // tombstones

	log     []batch // not yet synced, oldest first
	written uint64  // batches so far
	solid   uint64  // of them, those known to be durable: store.DurableSeq

	destroyed bool // nothing can be read any more, ever
}

// stored is a copy or a tombstone. It is replaced, never changed.
type stored struct {
	object   cluster.Object
	contents string
	damaged  bool  // bit rot: the contents do not match their sum
	since    int64 // when it was written
}

// owned is what a disk holds of one owner.
type owned struct {
	messages []*stored // in order of arrival
	cached   []*stored // by type, then id
	seq      uint64    // of the last commit
}

// batch is one write that is not yet synced: what was there before.
type batch struct {
	number uint64
	undo   []change
}

// change is the state of one object before and after a batch.
type change struct {
	id        cluster.ObjectID
	object    *stored
	record    *cluster.Record
	newObject *stored
	newRecord *cluster.Record
}

func newDisk(node cluster.NodeID, id cluster.ID) *disk {
	return &disk{
		node: node, id: id,
		objects: make(map[cluster.ObjectID]*stored),
		records: make(map[cluster.ObjectID]*cluster.Record),
		owners:  make(map[string]*owned),
		alone:   make(map[cluster.ObjectID]bool),
	}
}

// sumOf is the sum of some contents.
func sumOf(contents string) [32]byte { return sha256.Sum256([]byte(contents)) }

// begin begins a batch.
func (d *disk) begin() *batch {
	d.written++
	d.seq++
	d.log = append(d.log, batch{number: d.written})
	return &d.log[len(d.log)-1]
}

// set changes the state of one object as part of a batch.
func (d *disk) set(b *batch, id cluster.ObjectID, o *stored, r *cluster.Record) {
	b.undo = append(b.undo, change{id, d.objects[id], d.records[id], o, r})
	d.put(id, o, r)
}

// put makes o and r the state of an object.
func (d *disk) put(id cluster.ObjectID, o *stored, r *cluster.Record) {
	if r == nil {
		delete(d.records, id)
	} else {
		d.records[id] = r
	}
	old := d.objects[id]
	if old == o {
		return
	}
	own := d.owner(id.Owner)
	d.sole += soleCount(o) - soleCount(old)
	d.tombs += tombCount(o) - tombCount(old)
	if o == nil {
		delete(d.objects, id)
	} else {
		d.objects[id] = o
	}
	if isCached(id.Type) {
		own.cached = replace(own.cached, old, o)
		slices.SortFunc(own.cached, func(a, b *stored) int { return a.object.ID.Compare(b.object.ID) })
	} else {
		own.messages = replace(own.messages, old, o)
	}
}

// replace puts o in the place of old; nil is nothing.
func replace(list []*stored, old, o *stored) []*stored {
	i := slices.Index(list, old)
	switch {
	case o == nil && i >= 0:
		return slices.Delete(list, i, i+1)
	case o == nil:
		return list
	case old == nil || i < 0:
		return append(list, o)
	}
	list[i] = o
	return list
}

func soleCount(s *stored) int {
	if s != nil && isCached(s.object.ID.Type) && !s.object.Deleted && len(s.object.Replicas) == 1 {
		return 1
	}
	return 0
}

func tombCount(s *stored) int {
	if s != nil && s.object.Deleted {
		return 1
	}
	return 0
}

// owner gives what is stored of an owner, in the commit that changes it.
func (d *disk) owner(name string) *owned {
	s, ok := d.owners[name]
	if !ok {
		s = &owned{}
		d.owners[name] = s
		b := d.id.BucketOf(name)
		i, _ := slices.BinarySearch(d.buckets[b], name)
		d.buckets[b] = slices.Insert(d.buckets[b], i, name)
	}
	s.seq = d.seq
	return s
}

// synced makes all batches up to number durable, and tells of each change that became so.
func (d *disk) synced(number uint64, durable func(change)) {
	d.solid = max(d.solid, number)
	n := 0
	for n < len(d.log) && d.log[n].number <= number {
		for _, c := range d.log[n].undo {
			durable(c)
		}
		n++
	}
	d.log = slices.Delete(d.log, 0, n)
}

// durable gives what a crash now, without luck, would leave of an object.
func (d *disk) durable(id cluster.ObjectID) (*stored, *cluster.Record) {
	for i := range d.log {
		for _, c := range d.log[i].undo {
			if c.id == id {
				return c.object, c.record
			}
		}
	}
	return d.objects[id], d.records[id]
}

// crash loses all batches not yet synced but the first keep, which become durable.
func (d *disk) crash(keep int, durable func(change)) {
	for len(d.log) > keep {
		last := &d.log[len(d.log)-1]
		for i := len(last.undo) - 1; i >= 0; i-- {
			c := last.undo[i]
			d.seq++
			d.put(c.id, c.object, c.record)
		}
		d.log = d.log[:len(d.log)-1]
	}
	d.synced(d.written, durable)
}

// state gives what Decide wants to know.
func (d *disk) state(id cluster.ObjectID) replication.State {
	s := replication.State{Record: d.records[id], Alone: d.alone[id]}
	if o := d.objects[id]; o != nil {
		s.Object = &o.object
	}
	return s
}

// update gives what is to be offered for a record; false when it is no longer of that timestamp.
func (d *disk) update(id cluster.ObjectID, ts cluster.Timestamp) (cluster.Update, bool) {
	r := d.records[id]
	if r == nil || r.Timestamp != ts || r.Retired != 0 {
		return cluster.Update{}, false
	}
	if o := d.objects[id]; o != nil && o.object.Timestamp == ts {
		return cluster.Update{Object: o.object, Previous: r.Targets}, true
	}
	return replication.Notice(r), true
}

// retire drops a record, un-synced, or keeps it, retired.
func (d *disk) retire(r cluster.Retirement, now int64) {
	after, changed := replication.AfterRetirement(d.node, d.records[r.ID], r, now)
	if changed {
		d.set(d.begin(), r.ID, d.objects[r.ID], after)
		delete(d.alone, r.ID)
	}
}

// note keeps what a decision says of a cached object: State.Alone of the next one.
func (d *disk) note(id cluster.ObjectID, alone bool) {
	if alone && isCached(id.Type) {
		d.alone[id] = true
	} else {
		delete(d.alone, id)
	}
}

// opened finds, at the start of a process, which copies may be the only ones.
func (d *disk) opened() {
	clear(d.alone)
	for id, r := range d.records {
		o := d.objects[id]
		d.note(id, r.Retired == 0 && o != nil && !o.object.Deleted && len(o.object.Replicas) > 1)
	}
}

// isSole reports whether this disk may have the only copy of a profile.
func (d *disk) isSole() bool { return d.sole > 0 || len(d.alone) > 0 }

// collect drops the retired records and the tombstones that need not be remembered. It
// gives the owners whose tombstones are gone.
func (d *disk) collect(now, together int64, grace time.Duration) (owners []string) {
	var gone []cluster.ObjectID
	for id, r := range d.records {
		if replication.Forget(r, together, now) {
			gone = append(gone, id)
		}
	}
	if d.tombs == 0 && len(gone) == 0 {
		return nil
	}
	for id, o := range d.objects {
		if o.object.Deleted && d.records[id] == nil && replication.ForgetTombstone(o.object.Timestamp, together, now, grace) {
			gone = append(gone, id)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	slices.SortFunc(gone, cluster.ObjectID.Compare)
	b := d.begin()
	for _, id := range gone {
		if o := d.objects[id]; o != nil && !o.object.Deleted {
			d.set(b, id, o, nil)
			continue
		} else if o != nil {
			owners = append(owners, id.Owner)
		}
		d.set(b, id, nil, nil)
	}
	return owners
}

// fragments groups an owner's messages by replica set, ordered.
func (d *disk) fragments(own *owned) []cluster.Fragment {
	var out []cluster.Fragment
	for _, m := range own.messages {
		i := slices.IndexFunc(out, func(f cluster.Fragment) bool { return f.Replicas.Equal(m.object.Replicas) })
		if i < 0 {
			i = len(out)
			out = append(out, cluster.Fragment{Type: typeMessage, Replicas: m.object.Replicas})
		}
		out[i].Count++
		out[i].Bytes += m.object.Size
	}
	slices.SortFunc(out, func(a, b cluster.Fragment) int { return slices.Compare(a.Replicas, b.Replicas) })
	return out
}

// holding gives all that lies here of an owner.
func (d *disk) holding(owner string) cluster.Holding {
	h := cluster.Holding{Owner: owner}
	s, ok := d.owners[owner]
	if !ok {
		return h
	}
	h.Seq = s.seq
	h.Fragments = d.fragments(s)
	for _, c := range s.cached {
		h.Cached = append(h.Cached, cluster.CachedObject{Object: c.object, Contents: []byte(c.contents)})
	}
	return h
}

// scan gives the holdings of a bucket as of now.
func (d *disk) scan(b cluster.Bucket) []cluster.Holding {
	var out []cluster.Holding
	for _, owner := range d.buckets[b] {
		if h := d.holding(owner); !h.IsEmpty() {
			out = append(out, h)
		}
	}
	return out
}

// ids lists all objects that lie here, ordered.
func (d *disk) ids() []cluster.ObjectID {
	ids := make([]cluster.ObjectID, 0, len(d.objects))
	for id := range d.objects {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, cluster.ObjectID.Compare)
	return ids
}

// hasFragment reports whether an owner's messages with that replica set lie here.
func (own *owned) hasFragment(set cluster.ReplicaSet) bool {
	return own != nil && slices.ContainsFunc(own.messages, func(m *stored) bool { return m.object.Replicas.Equal(set) })
}

// recordIDs lists the objects that have a record, ordered.
func (d *disk) recordIDs() []cluster.ObjectID {
	ids := make([]cluster.ObjectID, 0, len(d.records))
	for id := range d.records {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, cluster.ObjectID.Compare)
	return ids
}

// damage flips bits of a copy's contents.
func (d *disk) damage(id cluster.ObjectID) {
	bad := *d.objects[id]
	bad.damaged, bad.contents = true, bad.contents+"?"
	d.put(id, &bad, d.records[id])
}

func (d *disk) isDamaged(id cluster.ObjectID) bool {
	s := d.objects[id]
	return s != nil && s.damaged
}

// copy is a snapshot of the disk as it is, synced.
func (d *disk) copy() *disk {
	c := newDisk(d.node, d.id)
	c.persist, c.clock, c.seq, c.written = d.persist, d.clock, d.seq, d.written
	c.sole, c.tombs, c.solid, c.repaired = d.sole, d.tombs, d.written, d.repaired
	for id, o := range d.objects {
		twin := *o
		c.objects[id] = &twin
	}
	for id, r := range d.records {
		c.records[id] = r
	}
	for name, own := range d.owners {
		o := &owned{seq: own.seq}
		for _, m := range own.messages {
			o.messages = append(o.messages, c.objects[m.object.ID])
		}
		for _, m := range own.cached {
			o.cached = append(o.cached, c.objects[m.object.ID])
		}
		c.owners[name] = o
	}
	for b, names := range d.buckets {
		c.buckets[b] = slices.Clone(names)
	}
	return c
}
