package message

// What says which octets of a part a section means (RFC 9051 §6.4.5).
type What uint8

const (
	Whole  What = iota // BODY[] of the message, BODY[n]: the part's body
	Header             // BODY[HEADER], BODY[n.HEADER]: of the message, or of the message in part n
	Text               // BODY[TEXT], BODY[n.TEXT]: what follows that header
	MIME               // BODY[n.MIME]: the part's own header
)

// Section gives the octets that a section means: path is the part numbers, none for the message itself. What
// a section means is one stretch of the stored octets. It is false when the message has no such
// part, or none of that kind: HEADER and TEXT are of messages only, MIME is of parts only.
func (x *Index) Section(path []int, what What) (Range, bool) {
	if len(path) == 0 {
		switch what {
		case Whole:
			return Range{0, x.Size}, true
		case Header:
			return x.Root.Header, true
		case Text:
			return x.Root.Body, true
		default:
			return Range{}, false
		}
	}
	p, ok := x.Part(path)
	if !ok {
		return Range{}, false
	}
	switch {
	case what == Whole:
		return p.Body, true
	case what == MIME:
		return p.Header, true
	case !p.IsMessage():
		return Range{}, false
	case what == Header:
		return p.Children[0].Header, true
	case what == Text:
		return p.Children[0].Body, true
	default:
		return Range{}, false
	}
}

// Part finds a part by its numbers. The parts of a message are those of its multipart; a message that
// is none has one part, its body, which is numbered 1 (RFC 9051 §6.4.5): its Part is the message's own.
// Without numbers it is the message itself.
func (x *Index) Part(path []int) (*Part, bool) {
	p, whole := x.Root, true // whole: p stands for a message, not for the body of it that has the number 1
	for _, n := range path {
		if !whole && p.IsMessage() {
			p, whole = p.Children[0], true
		}
		switch {
		case p.IsMultipart() && n >= 1 && n <= len(p.Children):
			p, whole = p.Children[n-1], false
		case !p.IsMultipart() && whole && n == 1:
			whole = false
		default:
			return nil, false
		}
	}
	return p, true
}
