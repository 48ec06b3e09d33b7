package store

import (
	"bytes"
	"fmt"
	"io"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// derive computes what is kept beside contents that have been checked: the value of the key under
// layout.PrefixDerive. That nothing can be derived is kept too, so that it is not tried again at every
// question. An error: the contents could not be read, which says nothing of them.
func (s *Store) derive(t *cluster.TypeSpec, number uint64, contents io.ReaderAt, size int64) ([]byte, error) {
	source := &watchedReader{r: contents}
	d := layout.Derived{Version: t.DeriveVersion}
	data, err := callDerive(t, source, size)
	switch {
	case source.failed != nil:
		return nil, source.failed
	case err != nil:
		s.count.underived.Add(1)
		s.cfg.Logger.Warn("store: nothing is derived from an object", "type", t.Name, "number", number, "err", err)
		d.Failed = true
	default:
		s.count.derived.Add(1)
		d.Data = data
	}
	key := layout.AppendDerivedKey(nil, number)
	return layout.AppendDerived(make([]byte, 0, len(d.Data)+derivedOverhead), key, &d), nil
}

// derivedOverhead is at least what a derived value has beside its data.
const derivedOverhead = 16

// callDerive calls a type's Derive. A panic is an error: contents come from anybody, and what a service makes
// of them may not end the node.
func callDerive(t *cluster.TypeSpec, contents io.ReaderAt, size int64) (data []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			data, err = nil, fmt.Errorf("it panicked: %v", r)
		}
	}()
	data, err = t.Derive(contents, size)
	if err == nil && len(data) > cluster.DerivedSizeMax {
		err = fmt.Errorf("%d bytes were derived, at most %d allowed", len(data), cluster.DerivedSizeMax)
	}
	return data, err
}

// watchedReader remembers a fault of the contents, which Derive may take for one of the message.
type watchedReader struct {
	r      io.ReaderAt
	failed error
}

func (w *watchedReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.r.ReadAt(p, off)
	if err != nil && err != io.EOF && off >= 0 { //nolint:errorlint // as it is documented for io.ReaderAt
		w.failed = err
	}
	return n, err
}

// deriveStaged derives from contents that are staged; large ones are written by now. That they cannot be
// read does not refuse them: it is tried again when somebody asks.
func (s *Store) deriveStaged(st *staged, t *cluster.TypeSpec, contents io.ReaderAt) {
	if t.Derive == nil || st.number == 0 {
		return
	}
	value, err := s.derive(t, st.number, contents, st.object.Size)
	if err != nil {
		s.cfg.Logger.Warn("store: contents could not be read to derive from them", "object", st.object.ID.ID, "owner", st.object.ID.Owner, "err", err)
		return
	}
	st.derived = value
}

// chunksAt reads large contents anywhere. It has one checked chunk in memory.
type chunksAt struct {
	s     *Store
	r     *layout.Record
	index uint32
	buf   []byte // chunk index; nil: none yet
}

func (c *chunksAt) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, cluster.Errorf(cluster.KindInvalid, "read contents", "at byte %d", off)
	}
	for n < len(p) {
		at := off + int64(n)
		if at >= c.r.Object.Size {
			return n, io.EOF
		}
		if i := uint32(at / layout.ChunkSize); c.buf == nil || c.index != i {
			if c.buf, err = c.s.readChunk(c.r, i, c.buf); err != nil {
				c.buf = nil
				return n, err
			}
			c.index = i
		}
		n += copy(p[n:], c.buf[at%layout.ChunkSize:])
	}
	return n, nil
}

// readChunk reads and checks one chunk of contents into buf.
func (s *Store) readChunk(r *layout.Record, index uint32, buf []byte) ([]byte, error) {
	buf = buf[:0]
	key := layout.AppendChunkKey(nil, r.Number, index)
	found, err := s.get(s.db, key, func(v []byte) error {
		chunk, err := layout.ParseChunk(key, v)
		if err != nil {
			return corrupt("chunk %d: %w", index, err)
		}
		buf = append(buf, chunk...)
		return nil
	})
	switch want := min(r.Object.Size-int64(index)*layout.ChunkSize, layout.ChunkSize); {
	case err != nil:
		return nil, err
	case !found:
		return nil, s.missing(r)
	case int64(len(buf)) != want:
		return nil, corrupt("chunk %d has %d bytes, want %d", index, len(buf), want)
	}
	return buf, nil
}

// contentsAt gives the contents of a record for reading anywhere. Small ones are checked as a whole before,
// large ones chunk by chunk.
func (s *Store) contentsAt(r *layout.Record) (io.ReaderAt, error) {
	if r.Chunked && !s.damaged.has(r.Number) {
		return &chunksAt{s: s, r: r}, nil
	}
	body, err := s.openRecord(r, nil)
	if err != nil {
		return nil, err
	}
	small, ok := body.(bodyReader)
	if !ok {
		return nil, cluster.Errorf(cluster.KindInternal, "read contents", "small contents are not in memory")
	}
	return small.Reader, nil
}

// lateDerived is what was derived from contents after they were stored.
type lateDerived struct {
	key    []byte // of the object
	id     cluster.ObjectID
	number uint64 // of the contents
	value  []byte
}

// keepDerived puts what was derived beside contents that are still there. Nobody is promised that it
// lasts: it can be computed again.
func (c *committer) keepDerived(late []lateDerived) error {
	for i := range late {
		d := &late[i]
		if _, touched := c.records[d.id]; touched {
			continue // this group changes the object: another time
		}
		var r *layout.Record
		if _, err := c.get(d.key, func(v []byte) error {
			rec, _, err := layout.ParseRecord(d.key, v)
			if err != nil {
				return corrupt("record: %w", err)
			}
			rec.Object.ID, rec.Object.Attr = d.id, bytes.Clone(rec.Object.Attr)
			r = &rec
			return nil
		}); err != nil {
			return within(opName("keep what is derived from", d.id), err)
		}
		if r == nil || r.Number != d.number {
			continue // it is gone, or other contents took their place
		}
		r.Derived, r.Rewritten = true, true
		c.records[d.id] = r
		c.must(c.batch.Set(d.key, layout.AppendRecord(nil, d.key, r), nil))
		c.must(c.batch.Set(layout.AppendDerivedKey(nil, d.number), d.value, nil))
	}
	return nil
}
