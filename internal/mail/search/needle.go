package search

// needleKind says where a needle is looked for.
type needleKind uint8

const (
	needleHeader needleKind = iota // in the message's own fields of one name
	needleBody                     // in the bodies of parts
	needleText                     // in all fields of all headers, and in bodies
)

// needleKey is what makes needles the same.
type needleKey struct {
	kind        needleKind
	field, text string
}

// needle is a text that is looked for in the contents.
type needle struct {
	kind   needleKind
	field  string   // of needleHeader: in lower case
	header *pattern // for fields, blanks taken together; nil: not looked for there
	body   *pattern // for bodies
}

// in reports whether a needle is looked for in bodies (needleBody) or in any field (needleText).
func (n *needle) in(kind needleKind) bool { return n.kind == kind || n.kind == needleText }

// needle gives the index of a needle, a new one if there was none like it.
func (p *Program) needle(k Key, known map[needleKey]int) int {
	id := needleKey{text: k.Text}
	n := needle{}
	switch k.Op {
	case OpHeader:
		id.kind, id.field = needleHeader, k.Field
		n.field = k.Field
		p.fields = p.fields || !inEnvelope(k.Field)
	case OpBody:
		id.kind = needleBody
		p.bodies = true
	default:
		id.kind = needleText
		p.fields, p.bodies, p.texts = true, true, true
	}
	if i, ok := known[id]; ok {
		return i
	}
	n.kind = id.kind
	if n.kind != needleBody {
		n.header = newPattern(foldField(k.Text))
	}
	if n.kind != needleHeader {
		n.body = newPattern(new(folder).fold(k.Text))
		p.longest = max(p.longest, len(n.body.text))
	}
	known[id] = len(p.needles)
	p.needles = append(p.needles, n)
	return known[id]
}
