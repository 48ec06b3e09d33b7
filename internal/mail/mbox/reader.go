package mbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"porcupine/internal/mail"
)

// Limits of a file.
const (
	separatorMax = 1 << 10 // octets of a "From " line
	fieldMax     = 8 << 10 // octets of a header line that is looked at for flags
	bufferSize   = 64 << 10
)

// Message is what a file says of one message, beside its text.
type Message struct {
	Offset int64       // where its "From " line begins, in octets of the file
	Sender string      // of that line, as it stands there
	Date   time.Time   // of that line; zero if it cannot be read
	Flags  []mail.Flag // ascending, none twice
}

// ErrNotMbox says that a file does not begin with a "From " line.
var ErrNotMbox = errors.New(`the file does not begin with a line "From sender date": it is not in mbox format`)

// Reader reads a file from its beginning, in constant memory.
type Reader struct {
	r       *bufio.Reader
	at      int64  // of r in the file
	next    string // the "From " line that Read has met; empty: none
	started bool
	err     error
}

// NewReader reads from r. offset is where r stands in the file: 0, or the Offset of a message, to go on there.
func NewReader(r io.Reader, offset int64) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, bufferSize), at: offset}
}

// Offset is where the next message begins: what is before it has been read.
func (r *Reader) Offset() int64 { return r.at - int64(len(r.next)) }

// Read writes the next message to w, its lines ended with CR LF, and gives what the file says of it. io.EOF: there
// is none. An error of w's does not lose the place: the rest of the message is passed over, the error given,
// and the message after it can be read.
func (r *Reader) Read(w io.Writer) (*Message, error) {
	if r.err != nil {
		return nil, r.err
	}
	if !r.started {
		r.started = true
		if err := r.begin(); err != nil {
			r.err = err
			return nil, err
		}
	}
	if r.next == "" {
		return nil, io.EOF
	}
	m := &Message{Offset: r.Offset()}
	m.Sender, m.Date = parseSeparator(r.next)
	r.next = ""
	c := copier{w: bufio.NewWriterSize(w, bufferSize), m: m, header: true}
	if err := r.copy(&c); err != nil {
		r.err = fmt.Errorf("read mbox at octet %d: %w", r.at, err)
		return nil, r.err
	}
	if c.err == nil {
		c.err = c.w.Flush()
	}
	slices.Sort(m.Flags)
	m.Flags = slices.Compact(m.Flags)
	return m, c.err
}

// begin finds the first "From " line, which empty lines may precede.
func (r *Reader) begin() error {
	for {
		line, whole, err := r.line()
		ended := errors.Is(err, io.EOF)
		switch {
		case err != nil && !ended:
			return fmt.Errorf("read mbox: %w", err)
		case isSeparator(line):
			r.next = string(line)
			if !whole {
				return r.skipLine()
			}
			return nil
		case len(bytes.TrimSpace(line)) > 0:
			return ErrNotMbox
		case ended:
			return nil // an empty file has no messages
		}
	}
}

// skipLine passes over the rest of a line.
func (r *Reader) skipLine() error {
	for {
		_, whole, err := r.line()
		if whole || errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// line gives the next piece of a line, its end included if whole. It is valid until the next call.
func (r *Reader) line() (piece []byte, whole bool, err error) {
	piece, err = r.r.ReadSlice('\n')
	r.at += int64(len(piece))
	if errors.Is(err, bufio.ErrBufferFull) {
		return piece, false, nil
	}
	return piece, err == nil, err
}

// copy passes the lines of one message to c.
func (r *Reader) copy(c *copier) error {
	fresh := true  // the piece begins a line
	empty := false // the line before was empty, and has not been passed on
	for {
		piece, whole, err := r.line()
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return err
		}
		if fresh && empty && isSeparator(piece) {
			r.next = string(piece)
			if !whole && !ended {
				return r.skipLine()
			}
			return nil // the empty line belongs to the file, not to the message
		}
		if empty && len(piece) > 0 {
			c.line(nil, true, true)
			empty = false
		}
		text := bytes.TrimSuffix(bytes.TrimSuffix(piece, []byte("\n")), []byte("\r"))
		switch {
		case fresh && whole && len(text) == 0:
			empty = true
		case len(piece) > 0:
			if !whole && !ended {
				text = piece
			}
			c.line(text, fresh, whole || ended)
		}
		if ended {
			return nil
		}
		fresh = whole
	}
}

// copier writes the lines of a message.
type copier struct {
	w      *bufio.Writer
	m      *Message
	header bool // the empty line has not come
	cr     bool // a piece of a line ended with CR, which may belong to the line's end
	err    error
}

// line takes a piece of a line without its end: the first piece of it, the last one, or both.
func (c *copier) line(text []byte, first, last bool) {
	if first {
		switch {
		case len(text) == 0:
			c.header = false
		case c.header && last && len(text) <= fieldMax:
			if name, value, ok := strings.Cut(string(text), ":"); ok {
				c.m.Flags = append(c.m.Flags, flagsOf(name, value)...)
			}
		}
		if isQuoted(text) {
			text = text[1:]
		}
	}
	if c.err != nil {
		return
	}
	if c.cr {
		c.cr = false
		if len(text) > 0 {
			c.err = c.w.WriteByte('\r')
		}
	}
	if n := len(text); !last && n > 0 && text[n-1] == '\r' {
		c.cr, text = true, text[:n-1]
	}
	if c.err == nil {
		_, c.err = c.w.Write(text)
	}
	if last && c.err == nil {
		_, c.err = c.w.WriteString("\r\n")
	}
}

// isSeparator reports whether a line begins a message.
func isSeparator(line []byte) bool { return bytes.HasPrefix(line, []byte("From ")) }

// isQuoted reports whether a line has a ">" of the file's.
func isQuoted(line []byte) bool {
	return len(line) > 0 && line[0] == '>' && isSeparator(bytes.TrimLeft(line, ">"))
}

// separatorDates are the forms of a date that programs write: that of C's asctime, with or without seconds and
// a zone, which comes before the year or after it.
var separatorDates = []string{
	"Mon Jan _2 15:04:05 2006", "Mon Jan _2 15:04 2006",
	"Mon Jan _2 15:04:05 MST 2006", "Mon Jan _2 15:04:05 2006 -0700", "Mon Jan _2 15:04:05 -0700 2006",
	"Mon, _2 Jan 2006 15:04:05 -0700",
}

// parseSeparator takes a "From " line apart.
func parseSeparator(line string) (sender string, date time.Time) {
	line = strings.TrimRight(line[:min(len(line), separatorMax)], "\r\n ")
	sender, rest, _ := strings.Cut(strings.TrimPrefix(line, "From "), " ")
	rest = strings.Join(strings.Fields(rest), " ")
	for _, form := range separatorDates {
		if t, err := time.Parse(strings.ReplaceAll(form, "_2", "2"), rest); err == nil {
			return sender, t.UTC()
		}
	}
	return sender, time.Time{}
}
