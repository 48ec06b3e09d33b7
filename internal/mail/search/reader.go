package search

import (
	"context"
	"errors"
	"fmt"
	"io"

	"porcupine/internal/mail"
	"porcupine/internal/mail/message"
)

// Sizes of what a Reader holds.
const (
	chunkSize = 32 << 10 // octets that are decoded, folded and looked through at once
	// wholeMax is the size up to which contents are opened once for all; of larger ones first only the header, if that may do.
	wholeMax = 64 << 10
	// skipMax is how much is read for nothing before contents are opened again further on.
	skipMax = 256 << 10
	// fieldLengthMax is how much of one header field is taken together; what is beyond is looked through by itself.
	fieldLengthMax = 64 << 10
)

// Opener opens a message's contents from an offset on; of length octets. The reader is closed after use.
type Opener func(ctx context.Context, offset, length int64) (io.ReadCloser, error)

// Message is a message that can be asked step by step, each dearer than the one before.
type Message interface {
	Summary() *mail.Summary
	Structure(ctx context.Context) (*message.Index, error)
	Open(ctx context.Context, offset, length int64) (io.ReadCloser, error)
}

// Reader evaluates one program over contents, message by message. It holds some 100 KB, and belongs to one goroutine.
type Reader struct {
	program  *Program
	verdicts []Verdict // of each needle, for the message under way
	fold     folder
	asked    asked

	raw      []byte // as read
	text     []byte // without its encodings
	window   []byte // folded: the end of the chunk before, and this one
	contents contents
}

// NewReader makes a Reader for one goroutine.
func (p *Program) NewReader() *Reader {
	return &Reader{program: p, verdicts: make([]Verdict, len(p.needles))}
}

// Match evaluates all passes, as far as they are needed.
func (r *Reader) Match(ctx context.Context, m Message) (bool, error) {
	s := m.Summary()
	if v := r.program.BySummary(s); v != Open {
		return v == Yes, nil
	}
	x, err := m.Structure(ctx)
	if err != nil {
		return false, err
	}
	if v := r.ByStructure(s, x); v != Open {
		return v == Yes, nil
	}
	return r.ByContents(ctx, s, x, m.Open)
}

// ByStructure is the second pass, as that of Program, with the buffers of the Reader: of many messages it is faster.
func (r *Reader) ByStructure(s *mail.Summary, x *message.Index) Verdict {
	r.asked = asked{now: r.program.now, summary: s, structure: x, fold: &r.fold, text: r.asked.text, folded: r.asked.folded}
	return r.program.root.verdict(&r.asked)
}

// ByContents is the third pass: it reads as much of the contents as it needs, and says yes or no. It ends soon after ctx does. Errors
// are those of ctx, of open and of its readers; contents that are shorter than the structure says are one.
func (r *Reader) ByContents(ctx context.Context, s *mail.Summary, x *message.Index, open Opener) (bool, error) {
	clear(r.verdicts)
	r.asked = asked{now: r.program.now, summary: s, structure: x, fold: &r.fold, text: r.asked.text, folded: r.asked.folded, reader: r}
	r.contents = contents{ctx: ctx, open: open}
	defer r.contents.close()
	v, err := r.search(x)
	if err != nil {
		return false, fmt.Errorf("search in message %v: %w", s.ID, err)
	}
	return v == Yes, nil
}

// Reads gives the stretch of a message that ByContents looks at first, and most often last: who can have it at hand
// saves an opening. Of a large message it is only the header, if that is looked at.
func (p *Program) Reads(x *message.Index) message.Range {
	switch {
	case p.bodies && x.Size <= wholeMax:
		return message.Range{Start: 0, End: x.Size}
	case p.fields || x.Cut:
		return x.Root.Header
	}
	return message.Range{}
}

// search reads the parts of a message in their order until the verdict is clear.
func (r *Reader) search(x *message.Index) (Verdict, error) {
	p := r.program
	r.contents.end = x.Size
	if !p.bodies || x.Size > wholeMax {
		r.contents.end = x.Root.Header.End
	}
	if p.fields || x.Cut {
		if err := r.fields(x.Root.Header, true); err != nil {
			return Open, err
		}
	}
	// No other header has the fields that HEADER means.
	for i := range p.needles {
		if p.needles[i].kind == needleHeader && r.verdicts[i] == Open {
			r.verdicts[i] = No
		}
	}
	if v := r.verdict(); v != Open {
		return v, nil
	}
	r.contents.end = x.Size
	for part := range x.Root.All() {
		if part != x.Root && p.texts {
			if err := r.fields(part.Header, false); err != nil {
				return Open, err
			}
		}
		if hasText(part) {
			if err := r.body(part); err != nil {
				return Open, err
			}
		}
		if v := r.verdict(); v != Open {
			return v, nil
		}
	}
	for i, v := range r.verdicts {
		if v == Open {
			r.verdicts[i] = No
		}
	}
	return r.verdict(), nil
}

// verdict is what follows from what was found so far.
func (r *Reader) verdict() Verdict { return r.program.root.verdict(&r.asked) }

// hasText reports whether BODY and TEXT look into the body of a part: it is text, or a report that is written as one.
func hasText(p *message.Part) bool {
	return p.IsText() || p.Type == "message" && len(p.Children) == 0
}

// body looks through the body of a part.
func (r *Reader) body(part *message.Part) error {
	raw, err := r.contents.section(part.Body)
	if err != nil {
		return err
	}
	if !isPlain(part.Charset()) {
		return r.through(part.Text(raw), needleBody)
	}
	// Folding reads UTF-8, and what pretends to be, as it is: that is faster.
	if decoded, err := part.Decode(raw); err == nil {
		raw = decoded // else: the octets as they are, as message.Part.Text has it
	}
	return r.through(raw, needleBody)
}

// through looks for all that may be in a text, chunk by chunk. Each chunk begins with as much of the one before as
// the longest needle can have there.
func (r *Reader) through(from io.Reader, kind needleKind) error {
	if cap(r.raw) < chunkSize {
		r.raw = make([]byte, chunkSize)
	}
	raw := r.raw[:chunkSize]
	r.window = r.window[:0]
	kept, rest := 0, 0
	for {
		if err := r.contents.ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(from, raw[rest:])
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return err
		}
		n += rest
		r.window, rest = r.fold.append(r.window, raw[:n], !last)
		copy(raw, raw[n-rest:n])
		if r.find(r.window, kind, kept) && r.verdict() != Open || last {
			return nil
		}
		kept = min(r.program.longest-1, len(r.window))
		r.window = append(r.window[:0], r.window[len(r.window)-kept:]...)
	}
}

// find looks for the needles of a kind in a folded text, of which the first octets were there before. It reports
// whether one was found.
func (r *Reader) find(text []byte, kind needleKind, before int) (found bool) {
	for i := range r.program.needles {
		n := &r.program.needles[i]
		if r.verdicts[i] != Open || !n.in(kind) {
			continue
		}
		pattern := n.body
		if kind != needleBody {
			pattern = n.header
		}
		if pattern.in(text[max(0, before-len(pattern.text)+1):]) {
			r.verdicts[i] = Yes
			found = true
		}
	}
	return found
}
