package store

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"io"
	"sync"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// damaged remembers contents that were found damaged, until the process ends: the engine spends
// up to a second on a damaged block each time it meets it.
type damaged struct {
	mu      sync.Mutex
	numbers map[uint64]struct{}
}

func (d *damaged) has(number uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.numbers[number]
	return ok
}

// note counts and remembers damage; other errors it ignores.
func (d *damaged) note(s *Store, number uint64, err error) {
	if !cluster.IsKind(err, cluster.KindCorrupt) {
		return
	}
	s.count.corrupt.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.numbers == nil {
		d.numbers = make(map[uint64]struct{})
	}
	if number != 0 && len(d.numbers) < damagedMax {
		d.numbers[number] = struct{}{}
	}
}

// openTries bounds how often OpenBody starts again because the object was replaced meanwhile.
const openTries = 8

// OpenBody gives an object and its contents. No byte that fails its checksum is ever read from
// it: contents up to one chunk are checked as a whole before OpenBody returns, larger ones chunk
// by chunk, and as a whole before the last chunk is given out. KindNotFound for a tombstone or an
// object that this node does not hold, KindCorrupt for damage. The caller closes it; between
// reads nothing of the engine is held, so a slow reader costs its buffer only. Contents that
// are removed while they are read end in KindNotFound.
func (s *Store) OpenBody(id cluster.ObjectID) (cluster.Object, io.ReadCloser, error) {
	return s.openBody(id, s.openRecord)
}

// OpenRange is OpenBody for a part of the contents: length bytes from offset on, cut at their end; a
// negative length means all the rest. Of large contents only the chunks concerned are read, and checked
// one by one (CRC-32C); the sum of the whole is checked only if all of it is read. KindInvalid: the
// offset is negative.
func (s *Store) OpenRange(id cluster.ObjectID, offset, length int64) (cluster.Object, io.ReadCloser, error) {
	if offset < 0 {
		return cluster.Object{}, nil, cluster.Errorf(cluster.KindInvalid, opName("open contents of object", id), "from byte %d", offset)
	}
	return s.openBody(id, func(r *layout.Record, inline []byte) (io.ReadCloser, error) {
		from, to := cut(r.Object.Size, offset, length)
		if r.Chunked && !r.Object.Deleted && !s.damaged.has(r.Number) {
			return newChunkReader(s, r, from, to), nil
		}
		body, err := s.openRecord(r, inline)
		if err != nil {
			return nil, err
		}
		small, ok := body.(bodyReader)
		if !ok {
			return nil, cluster.Errorf(cluster.KindInternal, "read contents", "small contents are not in memory")
		}
		return rangeReader{io.NewSectionReader(small, from, to-from)}, nil
	})
}

// cut gives the part of contents that a range stands for.
func cut(size, offset, length int64) (from, to int64) {
	from = min(offset, size)
	if length < 0 || length > size-from {
		return from, size
	}
	return from, from + length
}

// rangeReader reads a part of verified contents from memory.
type rangeReader struct{ *io.SectionReader }

func (rangeReader) Close() error { return nil }

func (s *Store) openBody(id cluster.ObjectID, open func(*layout.Record, []byte) (io.ReadCloser, error)) (cluster.Object, io.ReadCloser, error) {
	const name = "open contents of object"
	if err := s.enter(name); err != nil {
		return cluster.Object{}, nil, err
	}
	defer s.gate.exit()
	for range openTries {
		r, inline, err := s.read(id, true)
		if err != nil {
			return cluster.Object{}, nil, within(opName(name, id), err)
		}
		body, err := open(&r, inline)
		if cluster.IsKind(err, cluster.KindUnavailable) {
			continue // replaced or removed between the two reads
		}
		if err != nil {
			s.damaged.note(s, r.Number, err)
			return cluster.Object{}, nil, within(opName(name, id), err)
		}
		return r.Object, body, nil
	}
	return cluster.Object{}, nil, cluster.Errorf(cluster.KindUnavailable, opName(name, id), "it was replaced %d times while it was being opened", openTries)
}

// openRecord opens the contents that a record refers to; KindUnavailable if they are gone
// because the record is out of date.
func (s *Store) openRecord(r *layout.Record, inline []byte) (io.ReadCloser, error) {
	o := &r.Object
	switch {
	case o.Deleted:
		return nil, cluster.Errorf(cluster.KindNotFound, "open", "it was deleted")
	case s.damaged.has(r.Number):
		return nil, corrupt("the contents were found damaged before")
	case r.Chunked:
		return newChunkReader(s, r, 0, o.Size), nil
	case r.Number == 0:
		return newBodyReader(inline), verifyContents(o, inline)
	}
	buf := make([]byte, 0, o.Size)
	key := layout.AppendBodyKey(nil, r.Number)
	found, err := s.get(s.db, key, func(v []byte) error {
		_, contents, err := layout.ParseBody(v)
		if err != nil {
			return corrupt("contents: %w", err)
		}
		buf = append(buf, contents...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, s.missing(r)
	}
	return newBodyReader(buf), verifyContents(o, buf)
}

// missing says why the contents of a record are not there: the record is out of date
// (KindUnavailable), or they are lost (KindCorrupt).
func (s *Store) missing(r *layout.Record) error {
	now, _, err := s.read(r.Object.ID, false)
	if cluster.IsKind(err, cluster.KindNotFound) || err == nil && now.Number != r.Number {
		return cluster.Errorf(cluster.KindUnavailable, "read contents", "the object was replaced or removed meanwhile")
	}
	if err != nil {
		return err
	}
	return corrupt("the contents are missing")
}

func verifyContents(o *cluster.Object, contents []byte) error {
	if o.Deleted {
		if len(contents) != 0 {
			return corrupt("a tombstone has contents")
		}
		return nil
	}
	if int64(len(contents)) != o.Size {
		return corrupt("the contents have %d bytes, want %d", len(contents), o.Size)
	}
	if sha256.Sum256(contents) != o.Sum {
		return corrupt("the contents do not match their SHA-256")
	}
	return nil
}

// bodyReader reads verified contents from memory.
type bodyReader struct{ *bytes.Reader }

func newBodyReader(b []byte) bodyReader { return bodyReader{bytes.NewReader(b)} }

func (bodyReader) Close() error { return nil }

// chunkReader reads large contents, or a range of them: one verified chunk in memory.
type chunkReader struct {
	s    *Store
	r    layout.Record
	sum  hash.Hash // nil: a range, of which each chunk is verified, not the whole
	next uint32    // chunk
	end  int64     // of what is read
	skip int64     // bytes of the next chunk that come before what is read
	buf  []byte    // one chunk, reused
	rest []byte    // of it, not read yet
	err  error
}

// newChunkReader reads contents from an offset to an end.
func newChunkReader(s *Store, r *layout.Record, offset, end int64) *chunkReader {
	c := &chunkReader{s: s, r: *r, next: uint32(offset / layout.ChunkSize), end: end, skip: offset % layout.ChunkSize}
	if offset == 0 && end == r.Object.Size {
		c.sum = sha256.New()
	}
	return c
}

func (c *chunkReader) Read(p []byte) (int, error) {
	if len(c.rest) == 0 && c.err == nil && len(p) > 0 {
		c.err = c.load()
	}
	if len(c.rest) == 0 {
		return 0, c.err
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Close ends the reading.
func (c *chunkReader) Close() error {
	c.rest, c.buf = nil, nil
	if c.err == nil {
		c.err = cluster.Errorf(cluster.KindInvalid, "read contents", "they are closed")
	}
	return nil
}

// load reads and checks the next chunk; io.EOF after the last.
func (c *chunkReader) load() (err error) {
	const name = "read contents of object"
	o := &c.r.Object
	start := int64(c.next) * layout.ChunkSize
	if start+c.skip >= c.end {
		return io.EOF
	}
	if err := c.s.enter(name); err != nil {
		return err
	}
	defer c.s.gate.exit()
	c.buf, err = c.s.readChunk(&c.r, c.next, c.buf)
	switch {
	case cluster.IsKind(err, cluster.KindUnavailable):
		err = cluster.Errorf(cluster.KindNotFound, name, "it was removed or replaced while it was read")
	case err == nil:
		err = c.verify()
	}
	if err != nil {
		c.s.damaged.note(c.s, c.r.Number, err)
		return within(opName(name, o.ID), err)
	}
	c.next++
	c.rest = c.buf[c.skip:min(int64(len(c.buf)), c.end-start)]
	c.skip = 0
	return nil
}

// verify checks the whole with the last chunk, if it is read.
func (c *chunkReader) verify() error {
	if c.sum == nil {
		return nil
	}
	o := &c.r.Object
	c.sum.Write(c.buf)
	if c.next+1 == layout.Chunks(o.Size) && [32]byte(c.sum.Sum(nil)) != o.Sum {
		return corrupt("the contents do not match their SHA-256")
	}
	return nil
}
