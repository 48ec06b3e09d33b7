package message

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Version is the version of what Build computes and of what Append writes, from 1 on.
const Version = 2

// Build reads a message of size octets once, in order, and finds out where everything is. Then it reads
// the beginning of the text for the preview, and of the header what Index.Fields keeps. It needs little memory and little time, whatever the message.
// The only errors are those of r.
//
// An index that would be larger than SizeMax loses texts, always the same of the same message:
// first those at the end of what is least needed, which are the texts of parts, then envelopes
// of messages in messages, then the message's own addresses. Where everything is stays. One that is as large, or nearly, has no Fields.
func Build(r io.ReaderAt, size int64) (*Index, error) {
	if size < 0 {
		return nil, fmt.Errorf("index of a message: size %d is negative", size)
	}
	b := &builder{window: newWindow(r, size), left: TextMax}
	b.index = &Index{Size: size, Root: &Part{Envelope: &Envelope{}}}
	if err := b.run(); err != nil {
		return nil, fmt.Errorf("index of a message: %w", err)
	}
	b.finish()
	preview, err := b.preview(r)
	if err != nil {
		return nil, fmt.Errorf("preview of a message: %w", err)
	}
	b.index.Preview = preview
	size = int64(headCostMax + TextMax - b.left + b.parts*partCostMax + len(preview)) // of the index, at most
	if size > SizeMax {
		b.index.fit()
	}
	if size+fieldsCostMax > SizeMax {
		return b.index, nil
	}
	if b.index.Fields, err = usual(r, b.index.Root.Header.Len()); err != nil {
		return nil, fmt.Errorf("header of a message: %w", err)
	}
	return b.index, nil
}

// builder is one run over a message. Open parts are a stack: the message, in it a multipart, in it a
// part, and so on; it never calls itself, so that depth costs a place on the stack and no more.
type builder struct {
	*window
	index *Index
	stack []frame
	parts int  // made, or promised to a multipart or message that has no child yet
	blind bool // the rest of the message is one part
	left  int  // of TextMax
	work  int  // octets compared with boundaries and read in fields, for tests
	head  heading
	// inReplyTo is what the message answers, for References if it has none.
	inReplyTo []string
}

// frame is an open part.
type frame struct {
	part     *Part
	boundary string // of an open multipart; "" when it is closed, or has none
	feeds    int64  // line feeds before its body
}

// hit is what ended a stretch of octets: a boundary, or the end of the message.
type hit struct {
	frame   int   // the multipart in the stack; -1: the end of the message
	closing bool  // the boundary was the last of its multipart
	at      int64 // where its line begins
	end     int64 // octets of the line end before that, which belong to the boundary
	feeds   int64 // line feeds before at
}

func (b *builder) top() *frame { return &b.stack[len(b.stack)-1] }

// push opens a part at the present position. Its place among its parent's children is given BEFORE its
// header is read: parts are in the order of their octets.
func (b *builder) push(p *Part) {
	p.Header = Range{b.pos, b.pos}
	p.Body = p.Header
	if len(b.stack) > 0 {
		parent := b.top().part
		parent.Children = append(parent.Children, p)
	}
	b.stack = append(b.stack, frame{part: p, feeds: b.feeds})
}

// run goes through the message.
func (b *builder) run() error {
	b.parts = 1
	b.push(b.index.Root)
	for {
		h, found, err := b.readHeader()
		if err != nil {
			return err
		}
		p := b.top().part
		p.Header.End = b.pos
		if found {
			p.Header.End = h.at
		}
		p.Body = Range{p.Header.End, p.Header.End}
		b.top().feeds = b.feeds
		b.classify()
		if !found {
			if p.IsMessage() {
				b.push(&Part{Envelope: &Envelope{}})
				continue
			}
			if h, err = b.skip(); err != nil {
				return err
			}
		}
		more, err := b.follow(h)
		if err != nil || !more {
			return err
		}
	}
}

// follow does what a hit says, and all further ones until a part with a header begins. It is false at the end of
// the message.
func (b *builder) follow(h hit) (bool, error) {
	for {
		b.close(h)
		if h.frame < 0 {
			return false, nil
		}
		line, err := b.line()
		if err != nil {
			return false, err
		}
		b.pass(len(line))
		switch {
		case h.closing:
			b.top().boundary = ""
		case b.child():
			return true, nil
		}
		if h, err = b.skip(); err != nil {
			return false, err
		}
	}
}

// child opens the next part of the multipart on top. It is false if that is the last part there may be:
// then it is opaque, and has the rest of the message.
func (b *builder) child() bool {
	if len(b.top().part.Children) > 0 { // the first one was promised
		b.parts++
	}
	b.push(&Part{})
	if b.parts < PartsMax {
		return true
	}
	b.blind = true
	b.top().part.makeOpaque()
	b.top().part.Encoding = "binary"
	return false
}

// close ends all open parts above the multipart of the hit.
func (b *builder) close(h hit) {
	for len(b.stack) > h.frame+1 {
		f := b.top()
		p := f.part
		p.Body.End = max(h.at-h.end, p.Body.Start)
		if n := len(p.Children); n > 0 {
			p.Body.End = max(p.Body.End, p.Children[n-1].Body.End)
		}
		p.Lines = h.feeds - f.feeds
		if p.Body.End < h.at {
			p.Lines-- // the line end is the boundary's
		}
		b.promised(p)
		b.stack = b.stack[:len(b.stack)-1]
	}
}

// promised gives a multipart and a message their child if the octets had none: BODYSTRUCTURE has no form
// for those without. A multipart without boundaries is a text, so that its reader sees it.
func (b *builder) promised(p *Part) {
	switch {
	case len(p.Children) > 0:
	case p.IsMultipart():
		c := &Part{Header: Range{p.Body.Start, p.Body.Start}, Body: p.Body, Lines: p.Lines, Encoding: p.Encoding}
		c.makePlain()
		p.Children = []*Part{c}
	case p.IsMessage():
		c := &Part{Header: Range{p.Body.Start, p.Body.Start}, Body: p.Body, Lines: p.Lines, Envelope: &Envelope{}}
		c.makePlain()
		p.Children = []*Part{c}
	}
}

// classify decides, after the header of the part on top, what it is.
func (b *builder) classify() {
	f := b.top()
	p := f.part
	if p.Encoding == "" {
		p.Encoding = "7bit"
	}
	if p.Type == "" {
		p.makePlain()
		if n := len(b.stack); n > 1 && !b.head.typed && b.stack[n-2].part.Subtype == "digest" {
			p.Type, p.Subtype, p.Params = "message", "rfc822", nil // RFC 2046 §5.1.5
		}
	}
	if !p.IsMultipart() && !p.IsMessage() {
		return
	}
	if len(b.stack) > DepthMax || b.parts+1 >= PartsMax || p.IsMessage() && !isIdentity(p.Encoding) {
		p.makeOpaque() // a message that is encoded has no octets of its own in the store
		return
	}
	b.parts++
	if p.IsMultipart() {
		boundary, _ := p.Param("boundary")
		boundary = strings.TrimRight(boundary, " \t\r")
		if len(boundary) <= BoundaryMax {
			f.boundary = boundary
		}
	}
}

// makePlain makes the part what it is without a Content-Type (RFC 2045 §5.2).
func (p *Part) makePlain() {
	p.Type, p.Subtype, p.Params = "text", "plain", []Param{{"charset", "us-ascii"}}
	if p.Encoding == "" {
		p.Encoding = "7bit"
	}
}

// makeOpaque makes the part one that nobody looks into.
func (p *Part) makeOpaque() {
	p.Type, p.Subtype, p.Params = "application", "octet-stream", nil
}

// finish fills in what envelopes lack.
func (b *builder) finish() {
	if len(b.index.References) == 0 && len(b.inReplyTo) > 0 {
		b.index.References = b.keepTexts(b.inReplyTo[:1])
	}
	for p := range b.index.Root.All() {
		if e := p.Envelope; e != nil {
			if len(e.Sender) == 0 {
				e.Sender = e.From
			}
			if len(e.ReplyTo) == 0 {
				e.ReplyTo = e.From
			}
		}
	}
}

func isIdentity(encoding string) bool {
	return slices.Contains([]string{"7bit", "8bit", "binary"}, encoding)
}
