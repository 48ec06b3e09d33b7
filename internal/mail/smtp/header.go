package smtp

import "bytes"

// headerNameMax is longer than every name that is looked for. Blanks that follow a name do not count.
const headerNameMax = 16

// Header watches a message's header go by, in pieces of any size. It knows no more of it than
// that a line which starts with a space or a tab continues the field before it, and that the
// first empty line ends it, so that nothing that claims to be a header confuses it.
type Header struct {
	// FromMax is how many bytes of From fields are kept; zero: none are.
	FromMax int

	// Received counts the Received fields.
	Received int
	// FromFields counts the From fields.
	FromFields int
	// From holds the values of the From fields with their folding, at most FromMax bytes.
	From []byte
	// FromCut says that there was more.
	FromCut bool

	name  [headerNameMax]byte
	n     int  // bytes of name so far; over headerNameMax: none of those looked for
	blank bool // blanks followed them
	state headerState
}

type headerState uint8

const (
	atField   headerState = iota // at the start of a line
	inName                       // before the colon
	inValue                      // of a field that is of no interest
	inFrom                       // of a From field
	afterFrom                    // at the start of the line after one of From
	headerOver
)

// Write looks at the next bytes of the message.
func (h *Header) Write(p []byte) {
	for len(p) > 0 && h.state != headerOver {
		switch h.state {
		case atField, afterFrom:
			h.startLine(p[0])
		case inName:
			p = h.readName(p)
		case inValue, inFrom:
			p = h.skipLine(p)
		}
	}
}

// startLine decides by a line's first byte and leaves it to be read again.
func (h *Header) startLine(c byte) {
	switch {
	case c == '\r':
		h.state = headerOver
	case c != ' ' && c != '\t':
		h.state, h.n, h.blank = inName, 0, false
	case h.state == afterFrom:
		h.state = inFrom
	default:
		h.state = inValue
	}
}

func (h *Header) readName(p []byte) []byte {
	for i, c := range p {
		switch {
		case c == ':':
			h.endName()
			return p[i+1:]
		case c == '\n':
			h.state = atField // no colon in the line
			return p[i+1:]
		case c == ' ' || c == '\t':
			// Any number of them before the colon is obsolete and understood (RFC 5322 §4.5).
			h.blank = true
		case h.blank || h.n >= len(h.name):
			h.n = len(h.name) + 1
		default:
			h.name[h.n] = c
			h.n++
		}
	}
	return nil
}

func (h *Header) endName() {
	h.state = inValue
	if h.n > len(h.name) {
		return
	}
	switch name := h.name[:h.n]; {
	case bytes.EqualFold(name, []byte("received")):
		h.Received++
	case bytes.EqualFold(name, []byte("from")):
		h.FromFields++
		h.state = inFrom
	}
}

func (h *Header) skipLine(p []byte) []byte {
	end := bytes.IndexByte(p, '\n') + 1
	line := p
	if end > 0 {
		line = p[:end]
	}
	if h.state == inFrom {
		keep := min(len(line), h.FromMax-len(h.From))
		h.From = append(h.From, line[:keep]...)
		h.FromCut = h.FromCut || keep < len(line)
	}
	switch {
	case end == 0:
		return nil
	case h.state == inFrom:
		h.state = afterFrom
	default:
		h.state = atField
	}
	return p[end:]
}
