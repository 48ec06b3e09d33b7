// Package spool holds a message while it comes in. Up to a limit it lies in pooled memory,
// beyond it in a temporary file that has no name any more, so that nothing is left behind
// whatever ends the process. It is no durable store: what is acknowledged must be elsewhere.
// Memory and disk are bounded, the latter by a [Room]: most of those who send have shown no more
// than an address.
package spool

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"porcupine/internal/cluster"
)

// blockSizes are the sizes of the memory blocks. A message begins in the smallest one, which
// holds most mail, and moves to the next when it outgrows it.
var blockSizes = [...]int{16 << 10, 64 << 10, 256 << 10}

// File is a temporary file.
type File interface {
	io.Writer
	io.ReaderAt
	io.Closer
}

// Files makes temporary files. Their space is free again when they are closed.
type Files interface {
	Create() (File, error)
}

// Dir makes temporary files in a directory, and removes their names at once.
type Dir string

var _ Files = Dir("")

// Create opens a file that only the caller can reach.
func (d Dir) Create() (File, error) {
	f, err := os.CreateTemp(string(d), "spool-")
	if err != nil {
		return nil, fmt.Errorf("create spool file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("remove the name of spool file %s: %w", f.Name(), err), f.Close())
	}
	return f, nil
}

// Spool makes messages. It is safe for use by many goroutines.
type Spool struct {
	files     Files
	room      *Room // what files may hold
	memoryMax int   // of one message
	totalMax  int64 // of all messages
	total     atomic.Int64
	pools     [len(blockSizes)]sync.Pool // of *[]byte
}

// New makes a Spool that keeps up to memoryMax bytes of one message in memory, rounded to a
// block size, and up to totalMax bytes of all of them. When that is used up, a message is given
// the smallest block only. Files hold what a Room of their own with the defaults allows.
func New(files Files, memoryMax int, totalMax int64) *Spool {
	return NewIn(NewRoom(RoomConfig{}), files, memoryMax, totalMax)
}

// NewIn is New with a Room that others may share.
func NewIn(room *Room, files Files, memoryMax int, totalMax int64) *Spool {
	return &Spool{files: files, room: room, memoryMax: memoryMax, totalMax: totalMax}
}

// Admits says whether there is room now for a message of that size from a client of the address: an error is one that
// Write could give. A message that may fit in memory is always admitted.
func (s *Spool) Admits(from netip.Addr, size int64) error {
	if size <= int64(s.memoryMax) {
		return nil
	}
	return s.room.take(from, size, false)
}

// InMemory gives the bytes of memory that messages hold now.
func (s *Spool) InMemory() int64 { return s.total.Load() }

// block takes a block of a class, counted; false: the limits forbid it.
func (s *Spool) block(class int) (*[]byte, bool) {
	size := blockSizes[class]
	used := s.total.Add(int64(size))
	if class > 0 && (size > s.memoryMax || used > s.totalMax) {
		s.total.Add(-int64(size))
		return nil, false
	}
	if b, ok := s.pools[class].Get().(*[]byte); ok {
		return b, true
	}
	b := make([]byte, 0, size)
	return &b, true
}

func (s *Spool) release(class int, b *[]byte) {
	*b = (*b)[:0]
	s.pools[class].Put(b)
	s.total.Add(-int64(blockSizes[class]))
}

// Message is one message, first written, then read. One goroutine writes it; after Finish many
// may read it. It is a cluster.Body.
type Message struct {
	spool   *Spool
	from    netip.Addr // whose share of the room it takes; zero: nobody's
	class   int
	block   *[]byte // the whole message, or what is not yet in the file
	file    File    // nil: all is in the block
	inFile  int64
	taken   int64 // of the room
	failure error // the first error of Write, kept
}

var _ cluster.Body = (*Message)(nil)

// NewMessage begins a message that is counted for nobody in particular. Close must be called.
func (s *Spool) NewMessage() *Message { return s.NewMessageFrom(netip.Addr{}) }

// NewMessageFrom begins a message that is counted for the network of its client. Close must be called.
func (s *Spool) NewMessageFrom(from netip.Addr) *Message {
	b, _ := s.block(0) // the smallest is always granted
	return &Message{spool: s, from: from, block: b}
}

// Write adds to the message. A full disk is an error of kind cluster.KindFull, a Room that is used up
// cluster.KindLimit, any other failure is KindInternal. After an error the message takes no more, gives the same error again, and can
// only be closed.
func (m *Message) Write(p []byte) (int, error) {
	written := 0
	for m.failure == nil {
		n := min(len(p), cap(*m.block)-len(*m.block))
		*m.block = append(*m.block, p[:n]...)
		written += n
		if p = p[n:]; len(p) == 0 {
			return written, nil
		}
		m.failure = m.makeRoom()
	}
	return written, m.failure
}

// makeRoom empties the full block: into a larger one, or into the file.
func (m *Message) makeRoom() error {
	if m.file == nil {
		if next := m.class + 1; next < len(blockSizes) {
			if b, ok := m.spool.block(next); ok {
				*b = append(*b, *m.block...)
				m.spool.release(m.class, m.block)
				m.class, m.block = next, b
				return nil
			}
		}
		f, err := m.spool.files.Create()
		if err != nil {
			return failure("create", err)
		}
		m.file = f
	}
	return m.flush()
}

func (m *Message) flush() error {
	n := int64(len(*m.block))
	if err := m.spool.room.take(m.from, n, true); err != nil {
		return err
	}
	m.taken += n
	if _, err := m.file.Write(*m.block); err != nil {
		return failure("write", err)
	}
	m.inFile += n
	*m.block = (*m.block)[:0]
	return nil
}

func failure(op string, err error) error {
	kind := cluster.KindInternal
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		kind = cluster.KindFull
	}
	return cluster.Errorf(kind, op+" spool file", "free some space or move the spool directory: %w", err)
}

// Finish ends the writing. It must have returned nil BEFORE the message is read.
func (m *Message) Finish() error {
	if m.failure == nil && m.file != nil {
		m.failure = m.flush()
	}
	return m.failure
}

// Size gives the number of bytes written.
func (m *Message) Size() int64 { return m.inFile + int64(len(*m.block)) }

// ReadAt reads a finished message.
func (m *Message) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case off < 0:
		return 0, fmt.Errorf("read spooled message at %d: negative offset", off)
	case m.file != nil:
		n, err := m.file.ReadAt(p, off)
		if err != nil && !errors.Is(err, io.EOF) {
			err = cluster.Errorf(cluster.KindInternal, "read spool file", "%w", err)
		}
		return n, err
	case off >= int64(len(*m.block)):
		return 0, io.EOF
	}
	n := copy(p, (*m.block)[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Close gives the memory and the file back. The message must not be used again.
func (m *Message) Close() error {
	m.spool.release(m.class, m.block)
	m.block = nil
	if m.file == nil {
		return nil
	}
	err := m.file.Close()
	m.spool.room.give(m.from, m.taken) // AFTER its space is free
	if err != nil {
		return fmt.Errorf("close spool file: %w", err)
	}
	return nil
}
