package upkeep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/placement"
)

// carry carries out one move. nil: it is done, or there is nothing left to do since the object has
// changed or is gone. A *cluster.Shortfall counts as done where nobody was to drop the object: its
// record will bring it to the others.
func (u *Upkeep) carry(ctx context.Context, m *placement.Move) error {
	ctx, cancel := context.WithTimeout(ctx, moveTimeout)
	defer cancel()
	updates := m.Updates(u.node.ID())
	for i := range updates {
		err := u.send(ctx, &updates[i], m.Contents() && i == 0 || u.inline[m.Object.ID.Type], &m.Object)
		var short *cluster.Shortfall
		switch {
		case errors.As(err, &short) && i == len(updates)-1:
			return nil
		case cluster.IsKind(err, cluster.KindNotFound), errors.Is(err, errChanged):
			return nil
		case err != nil:
			// The next step may only follow when this one is durable everywhere.
			return err
		}
	}
	return nil
}

// errChanged says that an object is not any more what it was.
var errChanged = errors.New("it has changed meanwhile")

// send sends an update of an object as this node has it, with its contents or without.
func (u *Upkeep) send(ctx context.Context, up *cluster.Update, contents bool, o *cluster.Object) error {
	if o.Deleted || !contents {
		return u.node.Update(ctx, *up, nil)
	}
	body, err := newBody(ctx, o, func(context.Context) (cluster.Object, io.ReadCloser, error) { return u.disk.OpenBody(o.ID) })
	if err != nil {
		if cluster.IsKind(err, cluster.KindCorrupt) {
			u.Damaged(o.ID)
		}
		return err
	}
	return errors.Join(u.node.Update(ctx, *up, body), body.Close())
}

// Bounds of the contents that are read.
const (
	bodyInMemory = 1 << 20 // bytes; larger contents are read in pieces
	cursorsMax   = 8       // readers of one body: one for each target
)

// body is the contents of an object that is read from a replica: a cluster.Body. Small ones are in
// memory. Large ones are read by cursors: each target reads forward on its own, and a target that
// begins again gets a new cursor.
type body struct {
	*bytes.Reader // small contents; nil for large ones
	size          int64
	open          func() (io.ReadCloser, error)

	mu      sync.Mutex
	cursors []*cursor // the least recently used first; those in use are not in it
}

type cursor struct {
	r   io.ReadCloser
	pos int64
}

// newBody opens the contents of exactly that version of an object.
func newBody(ctx context.Context, o *cluster.Object, open func(context.Context) (cluster.Object, io.ReadCloser, error)) (*body, error) {
	b := &body{size: o.Size, open: func() (io.ReadCloser, error) {
		have, r, err := open(ctx)
		if err != nil {
			return nil, err
		}
		if have.Size != o.Size || have.Sum != o.Sum || have.Timestamp != o.Timestamp {
			return nil, errors.Join(errChanged, r.Close())
		}
		return r, nil
	}}
	r, err := b.open()
	if err != nil {
		return nil, err
	}
	if o.Size > bodyInMemory {
		b.cursors = append(b.cursors, &cursor{r: r})
		return b, nil
	}
	contents, err := io.ReadAll(io.LimitReader(r, o.Size+1))
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", nameOf(o.ID), err)
	}
	b.Reader = bytes.NewReader(contents)
	return b, nil
}

// Size is the number of bytes.
func (b *body) Size() int64 { return b.size }

// ReadAt is cheap for who reads forward.
func (b *body) ReadAt(p []byte, off int64) (int, error) {
	if b.Reader != nil {
		return b.Reader.ReadAt(p, off)
	}
	if off >= b.size {
		return 0, io.EOF
	}
	c, err := b.cursorAt(off)
	if err != nil {
		return 0, err
	}
	p = p[:min(int64(len(p)), b.size-off)]
	n, err := io.ReadFull(c.r, p)
	c.pos += int64(n)
	if err != nil {
		return n, errors.Join(err, c.r.Close())
	}
	if err := b.giveBack(c); err != nil {
		return n, err
	}
	if off+int64(n) == b.size {
		return n, io.EOF
	}
	return n, nil
}

// cursorAt takes the cursor that is at that place, or opens one.
func (b *body) cursorAt(off int64) (*cursor, error) {
	b.mu.Lock()
	for i, c := range b.cursors {
		if c.pos == off {
			b.cursors = slices.Delete(b.cursors, i, i+1)
			b.mu.Unlock()
			return c, nil
		}
	}
	b.mu.Unlock()
	r, err := b.open()
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, r, off); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return &cursor{r: r, pos: off}, nil
}

func (b *body) giveBack(c *cursor) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cursors = append(b.cursors, c)
	if len(b.cursors) <= cursorsMax {
		return nil
	}
	oldest := b.cursors[0]
	b.cursors = slices.Delete(b.cursors, 0, 1)
	return oldest.r.Close()
}

// Close ends the cursors.
func (b *body) Close() (err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.cursors {
		err = errors.Join(err, c.r.Close())
	}
	b.cursors = nil
	return err
}
