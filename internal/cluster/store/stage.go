package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/store/internal/layout"
)

// op is one caller's request on its way to the committer and back. From the moment it is queued
// it belongs to the committer, with all it points to; the caller may stop waiting, and touches
// it again only after done.
type op struct {
	name    string // what is being done, for errors
	updates []staged
	one     [1]staged // backs updates when there is one
	heal    bool      // updates[0] brings contents that replace damaged ones
	metaKey []byte
	meta    []byte // value of metaKey
	retired []cluster.Retirement
	drops   []drop // see Collect
	derives []lateDerived
	work    Work
	results []Result
	first   [1]Result // backs results when there is one
	err     error
	done    chan struct{} // one token once results and err are set

	// A part of large contents: nothing else is set then.
	chunk  *pebble.Batch
	number uint64       // of the contents
	undone bool         // chunk removes the contents: the end of what failed
	left   atomic.Int32 // who left first: the committer with an answer, or the caller without
}

const (
	opAnswered  = 1
	opAbandoned = 2
)

// leave says who leaves the op first; false if the other was first.
func (p *op) leave(who int32) bool { return p.left.CompareAndSwap(0, who) }

// staged is an update in the form that the committer writes: names checked, keys and values
// coded, contents read and hashed. Nothing in it is the caller's memory but immutable strings.
type staged struct {
	object  cluster.Object     // Attr is nil: it stands in record
	former  cluster.ReplicaSet // Update.Previous
	attr    []byte             // the attributes, in record
	bucket  cluster.Bucket
	cached  bool    // of a cached type: part of the owner's Holding
	inline  bool    // the contents lie in the record: of a cached or inline type
	vault   bool    // of a type whose deleted objects go to the vault
	merge   bool    // of a type that merges
	joined  bool    // made here of two others: it is not joined again
	mine    bool    // this node is in the new replica set
	keep    bool    // no contents came: those stored stay
	number  uint64  // of the contents; 0: none
	chunked bool    // the contents are written already, under an intent
	key     []byte  // object key
	record  []byte  // value of the object key; contents included if inline
	sealed  int     // length of the record proper in record
	body    []byte  // value of the body key, if number is set and chunked is not
	derived []byte  // value of the key of derived data; nil: none
	refs    *[]byte // the pooled memory behind the slices
	alone   bool    // in its op
	adopted bool    // the caller left; the committer ends the op and gives back its place
}

// ops recycles ops with their channels, buffers the memory of staged contents: by far the most
// of what an update allocates.
type recycled struct {
	ops   sync.Pool
	small sync.Pool
	large sync.Pool
}

// keyOverhead is the length of an object's key without its names.
const keyOverhead = 1 + 2 + 1 + 1

const (
	smallBuffer = 16 << 10
	largeBuffer = layout.ChunkSize + 4<<10
)

func newRecycled() *recycled {
	return &recycled{
		ops:   sync.Pool{New: func() any { return &op{done: make(chan struct{}, 1)} }},
		small: sync.Pool{New: func() any { return buffer(smallBuffer) }},
		large: sync.Pool{New: func() any { return buffer(largeBuffer) }},
	}
}

func buffer(size int) *[]byte {
	b := make([]byte, 0, size)
	return &b
}

// buffer gives memory of at least that capacity.
func (r *recycled) buffer(size int) *[]byte {
	switch {
	case size <= smallBuffer:
		return r.small.Get().(*[]byte)
	case size <= largeBuffer:
		return r.large.Get().(*[]byte)
	}
	return buffer(size)
}

func (r *recycled) release(b *[]byte) {
	if b == nil {
		return
	}
	*b = (*b)[:0]
	switch cap(*b) {
	case smallBuffer:
		r.small.Put(b)
	case largeBuffer:
		r.large.Put(b)
	}
}

// check says why an update cannot be stored, whatever else is stored.
func (s *Store) check(u *cluster.Update, body cluster.Body) error {
	o := &u.Object
	if err := layout.CheckID(o.ID); err != nil {
		return err
	}
	t, ok := s.types[o.ID.Type]
	if !ok {
		return fmt.Errorf("type %q is not declared", o.ID.Type)
	}
	if err := checkSet(o.Replicas, cluster.ReplicaSetMax); err != nil {
		return fmt.Errorf("replica set: %w", err)
	}
	if err := checkSet(u.Previous, replication.TargetsMax); err != nil {
		return fmt.Errorf("former replicas: %w", err)
	}
	switch {
	case o.Copies < 0 || o.Copies > cluster.ReplicaSetMax:
		return fmt.Errorf("%d copies are wanted: at most %d", o.Copies, cluster.ReplicaSetMax)
	case o.Timestamp.Time <= 0 || o.Timestamp.Node == cluster.NoNode:
		return fmt.Errorf("timestamp %v is not one", o.Timestamp)
	case len(o.Attr) > cluster.AttrSizeMax:
		return fmt.Errorf("attributes have %d bytes: at most %d", len(o.Attr), cluster.AttrSizeMax)
	case o.Deleted && (o.Size != 0 || body != nil):
		return fmt.Errorf("a deletion has contents")
	case !o.Deleted && len(o.Replicas) == 0:
		return fmt.Errorf("the replica set is empty")
	case o.Size < 0 || o.Size > cluster.ObjectSizeMax:
		return fmt.Errorf("size %d: want 0 to %d", o.Size, cluster.ObjectSizeMax)
	case t.HasInline() && o.Size > cluster.CachedSizeMax:
		return fmt.Errorf("size %d: at most %d for the type %q, whose contents lie in its records", o.Size, cluster.CachedSizeMax, t.Name)
	case body != nil && body.Size() != o.Size:
		return fmt.Errorf("contents have %d bytes, the object says %d", body.Size(), o.Size)
	}
	return nil
}

func checkSet(set cluster.ReplicaSet, most int) error {
	if len(set) > most {
		return fmt.Errorf("%d nodes: at most %d", len(set), most)
	}
	for i, id := range set {
		if id == cluster.NoNode || i > 0 && id <= set[i-1] {
			return fmt.Errorf("%v is not ascending", set)
		}
	}
	return nil
}

// stage fills in st from a checked update. Contents up to one chunk are read and hashed into
// it, larger ones are written to disk, un-synced, under an intent.
func (s *Store) stage(ctx context.Context, st *staged, u *cluster.Update, body cluster.Body) error {
	o := &u.Object
	st.object = *o
	st.object.Attr = nil
	st.object.Replicas = slices.Clone(o.Replicas)
	st.former = slices.Clone(u.Previous)
	st.bucket = s.format.Cluster.BucketOf(o.ID.Owner)
	t := s.types[o.ID.Type]
	st.cached, st.inline = t.Cached, t.HasInline()
	st.vault = t.Vault && s.cfg.VaultFor > 0
	st.merge = t.Merge != nil
	st.mine = o.Replicas.Contains(s.format.Node)
	size := int64(0)
	if st.mine && body != nil && (o.Size <= layout.ChunkSize || st.inline) {
		size = o.Size
	}
	const recordMax = 256 // without attributes
	need := 2*(keyOverhead+len(o.ID.Owner)+len(o.ID.Type)+len(o.ID.ID)) + recordMax + len(o.Attr) + int(size)
	if st.alone {
		st.refs = s.pool.buffer(need)
	} else {
		st.refs = buffer(need) // thousands of these may be staged at once
	}
	buf := layout.AppendObjectKey(*st.refs, objectPrefix(t), st.bucket, o.ID)
	st.key = buf[:len(buf):len(buf)]
	if !st.mine {
		return nil
	}
	switch {
	case body == nil && !o.Deleted && (o.Size != 0 || o.Sum == [32]byte{}):
		st.keep = true
	case st.inline || o.Size == 0:
	case s.isLarge(u, body):
		if err := s.writeChunks(ctx, st, body); err != nil {
			return err
		}
		s.deriveStaged(st, &t, &chunksAt{s: s, r: &layout.Record{Object: *o, Number: st.number, Chunked: true}})
	default:
		st.number = s.nextNumber()
	}
	r := layout.Record{Object: *o, Number: st.number, Chunked: st.chunked}
	r.Derived = st.derived != nil || t.Derive != nil && st.number != 0 && !st.chunked // those in memory can be read
	start := len(buf)
	buf = layout.AppendRecord(buf, st.key, &r)
	st.sealed = len(buf) - start
	st.record = buf[start:len(buf):len(buf)]
	end := st.sealed - layout.RecordTail
	st.attr = st.record[end-len(o.Attr) : end]
	if st.keep || st.chunked {
		return nil
	}
	if !st.inline {
		start = len(buf)
		buf = layout.AppendBody(buf, st.key, nil)
	}
	contents := len(buf)
	buf, err := readContents(buf, o, body)
	if err != nil {
		return err
	}
	switch {
	case st.inline:
		st.record = buf[start:]
	case st.number != 0:
		st.body = buf[start:]
		s.deriveStaged(st, &t, bytes.NewReader(buf[contents:]))
	}
	return nil
}

// keepsAttr reports whether the attributes of what is replaced will be needed.
func (st *staged) keepsAttr() bool { return st.vault || st.merge }

// contents gives those that came with an update of a cached or inline type; nil if none came.
func (st *staged) contents() []byte {
	if !st.inline || !st.mine || st.keep || st.object.Deleted {
		return nil
	}
	return st.record[st.sealed:]
}

// readContents appends the contents of an object and checks that they are what it says.
func readContents(buf []byte, o *cluster.Object, body cluster.Body) ([]byte, error) {
	if o.Deleted {
		return buf, nil
	}
	start := len(buf)
	if o.Size > 0 {
		buf = slices.Grow(buf, int(o.Size))[:start+int(o.Size)]
		if err := readFull(body, buf[start:], 0); err != nil {
			return nil, err
		}
	}
	if sha256.Sum256(buf[start:]) != o.Sum {
		return nil, sumError()
	}
	return buf, nil
}

func sumError() error {
	return cluster.Errorf(cluster.KindInvalid, "check the contents", "they do not match the SHA-256 of the object")
}

// readFull fills p from offset off.
func readFull(body cluster.Body, p []byte, off int64) error {
	n, err := body.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return cluster.Errorf(cluster.KindUnavailable, "read the contents to store", "at byte %d: %w", off+int64(n), err)
}

// newOp gives an op with n updates to stage.
func (s *Store) newOp(name string, n int) *op {
	p := s.pool.ops.Get().(*op)
	p.name = name
	if n == 1 {
		p.updates, p.results = p.one[:], p.first[:]
		p.one[0].alone = true
	} else {
		p.updates, p.results = make([]staged, n), make([]Result, n)
	}
	return p
}

// freeStaged gives back the memory of contents: nothing refers to it once the batch is built.
func (s *Store) freeStaged(p *op) {
	for i := range p.updates {
		s.pool.release(p.updates[i].refs)
		p.updates[i] = staged{}
	}
}

// freeOp recycles an op that nobody refers to any more.
func (s *Store) freeOp(p *op) {
	done := p.done
	*p = op{done: done}
	s.pool.ops.Put(p)
}
