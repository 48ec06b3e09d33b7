package imapserver

import (
	"bytes"
	"context"
	"errors"
	"io"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
	"porcupine/internal/mail/message"
)

// transformHeld is up to how many octets what must be changed before it is sent (fields of a header, decoded
// parts) is held in memory. What is larger is made twice: once to learn its length.
const transformHeld = 256 << 10

// contents tells a section of a message. It is opened, and its first piece read, BEFORE anything of it is
// announced; began says that something of the message was sent.
func (x *fetching) contents(e *imap.Encoder, it imap.FetchItem, sum *mail.Summary, index *message.Index, began *bool) error {
	if x.fromIndex(e, it, index, began) {
		return nil
	}
	src, ok := x.source(it, sum, index)
	if !ok {
		if it.Kind == imap.FetchBinarySize {
			e.FetchBinarySize(it, 0)
			return nil
		}
		e.FetchSectionNil(it)
		return nil
	}
	w := x.s.watch()
	defer w.end()
	src.watch = w
	size, err := src.length()
	if err != nil {
		return err
	}
	if it.Kind == imap.FetchBinarySize {
		e.FetchBinarySize(it, size)
		return nil
	}
	first, count := int64(0), size
	if p := it.Partial; p != nil {
		first = min(p.Offset, size)
		count = min(p.Count, size-first)
	}
	if count == 0 {
		e.FetchSection(it, 0)
		return nil
	}
	body, err := src.open(first, count)
	if err != nil {
		return err
	}
	defer body.Close()
	lent := x.s.srv.copies.Get().(*[]byte)
	defer x.s.srv.copies.Put(lent)
	buf := *lent
	n, err := src.read(body, buf, count)
	if err != nil {
		return err
	}
	e.FetchSection(it, count)
	x.send(e)
	*began = true
	for {
		x.octets += int64(n)
		if it.Kind != imap.FetchBinary {
			withoutNUL(buf[:n])
		}
		if _, err := x.s.out.Buffer().Write(buf[:n]); err != nil {
			return nil //nolint:nilerr // out.failed has it
		}
		if count -= int64(n); count == 0 {
			return nil
		}
		if n, err = src.read(body, buf, count); err != nil {
			return err
		}
	}
}

// withoutNUL replaces what no literal may have (RFC 9051 §4.3), and only BINARY can bring.
func withoutNUL(b []byte) {
	for {
		i := bytes.IndexByte(b, 0)
		if i < 0 {
			return
		}
		b[i] = 0x80
		b = b[i+1:]
	}
}

// source is where the octets of a section come from.
type source struct {
	selected Selected
	uid      mail.UID
	octets   message.Range
	// change makes of the stored octets what is sent; nil: nothing is changed.
	change func(io.Reader) (io.Reader, error)
	held   []byte // what change made, if it is held
	watch  *watch
}

// source finds the octets that an item means; false: the message has no such part.
func (x *fetching) source(it imap.FetchItem, sum *mail.Summary, index *message.Index) (*source, bool) {
	src := &source{selected: x.f.selected, uid: sum.UID, octets: message.Range{Start: 0, End: sum.Size}}
	if !needsStructure(it) {
		return src, true
	}
	path := make([]int, len(it.Section.Part))
	for i, n := range it.Section.Part {
		path[i] = int(n)
	}
	what := message.Whole
	switch it.Section.Text {
	case imap.SectionHeader, imap.SectionHeaderFields, imap.SectionHeaderFieldsNot:
		what = message.Header
	case imap.SectionBody:
		what = message.Text
	case imap.SectionMIME:
		what = message.MIME
	case imap.SectionAll:
	}
	switch it.Kind {
	case imap.FetchRFC822Header:
		what = message.Header
	case imap.FetchRFC822Text:
		what = message.Text
	}
	var ok bool
	if src.octets, ok = index.Section(path, what); !ok {
		return nil, false
	}
	switch {
	case it.Section.Text == imap.SectionHeaderFields || it.Section.Text == imap.SectionHeaderFieldsNot:
		not := it.Section.Text == imap.SectionHeaderFieldsNot
		src.change = func(r io.Reader) (io.Reader, error) { return message.Fields(r, it.Section.Fields, not), nil }
	case it.Kind == imap.FetchBinary || it.Kind == imap.FetchBinarySize:
		part, _ := index.Part(path)
		src.change = binary(part)
	}
	return src, true
}

// length is the number of octets of the section.
func (src *source) length() (int64, error) {
	if src.change == nil {
		return src.octets.Len(), nil
	}
	r, err := src.open(0, -1)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	var count counting
	if src.octets.Len() <= transformHeld {
		// What is made of them is twice as long at most: fields are left out, encodings are undone, but line ends
		// of texts may become longer.
		var held bytes.Buffer
		_, err = io.Copy(&held, src.watched(r))
		src.held = held.Bytes()
		count = counting(held.Len())
	} else {
		_, err = io.Copy(&count, src.watched(r))
	}
	return int64(count), short(err)
}

// counting counts what is written.
type counting int64

func (c *counting) Write(p []byte) (int, error) {
	*c += counting(len(p))
	return len(p), nil
}

// open opens so many octets of the section, from first on; -1: all.
func (src *source) open(first, count int64) (io.ReadCloser, error) {
	if src.held != nil {
		return io.NopCloser(bytes.NewReader(src.held[first : first+count])), nil
	}
	if src.change == nil {
		return src.selected.Open(src.watch.ctx, src.uid, src.octets.Start+first, count)
	}
	raw, err := src.selected.Open(src.watch.ctx, src.uid, src.octets.Start, src.octets.Len())
	if err != nil {
		return nil, err
	}
	changed, err := src.change(raw)
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	if _, err := io.CopyN(io.Discard, src.watched(changed), first); err != nil {
		return nil, errors.Join(short(err), raw.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{changed, raw}, nil
}

// watched lets the watch run while the reader is read, and only then.
func (src *source) watched(r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		src.watch.progress()
		return r.Read(p)
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// read fills the buffer, or gives what is left. The last piece is given only when the contents have ended well: that
// is when they are found to be damaged (D5).
func (src *source) read(r io.Reader, buf []byte, left int64) (int, error) {
	r = src.watched(r)
	n, err := io.ReadFull(r, buf[:min(int64(len(buf)), left)])
	if err == nil && int64(n) == left {
		var end [1]byte
		if _, err = r.Read(end[:]); err == io.EOF { // by identity: a fault may wrap the EOF of something else
			err = nil
		}
	}
	src.watch.timer.Stop() // the client's time does not count
	if err != nil && errors.Is(src.watch.ctx.Err(), context.Canceled) {
		return n, cluster.Errorf(cluster.KindUnavailable, "read message", "nothing came for %v: %w", src.watch.timeout, err)
	}
	return n, short(err)
}

// short is the error for contents that end too early: they are damaged, or were cut off.
func short(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return cluster.Errorf(cluster.KindUnavailable, "read message", "contents end too early: %w", err)
	}
	return err
}
