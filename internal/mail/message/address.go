package message

import "strings"

// parseAddresses reads the addresses of a field (RFC 5322 §3.4, and what is obsolete in §4.4), at most room
// of them with the marks of groups. What is no address is taken as well as it can be:
//
//	joe@example.org (Joe)          the comment is the name
//	joe@example.org <j@b.example>  the text before the angle is the name
//	Joe                            a local part without a host
//	joe@a.example; ann@b.example   semicolons outside groups are commas
//	Joe <joe@example.org           the angle ends at the comma, or at the end
//
// It goes over the text once, whatever it is.
func parseAddresses(s string, room int) []Address {
	p := addressList{lexer: lexer{s: s}}
	for p.pos < len(s) && len(p.list) < room-1 { // one place is for a group's end
		p.item()
	}
	if p.inGroup && len(p.list) < room {
		p.list = append(p.list, Address{})
	}
	return p.list
}

// addressList is a list of addresses being read.
type addressList struct {
	lexer
	list      []Address
	inGroup   bool
	noBracket bool // no domain literal that begins here or later has an end
	// The item being read, in two readings: as a display name, and as an address.
	phrase  []byte
	spec    []byte
	at      int    // the last @ in spec outside quotes; -1: none
	first   int    // the length of the first address if another word follows it; 0: none does
	comment string // the last one
	gap     bool   // blanks or a comment stand before what comes next
	angled  bool   // it follows an angle without a comma
}

func (p *addressList) begin() {
	p.phrase, p.spec, p.at, p.first, p.comment, p.gap = p.phrase[:0], p.spec[:0], -1, 0, "", false
}

// item reads up to the end of an address: a comma, a semicolon, the end of an angle or of the text; or up to
// the colon of a group.
func (p *addressList) item() {
	p.begin()
	for p.pos < len(p.s) {
		switch c := p.s[p.pos]; c {
		case ' ', '\t':
			p.pos++
			p.gap = true
		case '(':
			if text := strings.TrimSpace(p.lexer.comment()); text != "" {
				p.comment = text
			}
			p.gap = true
		case '"':
			if text, ok := p.quoted(); ok {
				p.word(text)
			}
		case ',', ';':
			p.pos++
			p.bare()
			p.angled = false
			if c == ';' && p.inGroup {
				p.inGroup = false
				p.list = append(p.list, Address{})
			}
			return
		case ':':
			p.pos++
			if !p.inGroup && p.at < 0 && !p.angled {
				p.inGroup = true
				p.list = append(p.list, Address{Mailbox: NString{string(p.phrase), true}})
				return
			}
			p.octets(":")
		case '<':
			p.pos++
			p.angle()
			return
		case '>':
			p.pos++
		case '@':
			p.pos++
			if p.first == 0 {
				p.at = len(p.spec)
			}
			p.octets("@")
		case '[':
			p.literal()
		default:
			p.atom()
		}
	}
	p.bare()
}

// word adds a word to both readings.
func (p *addressList) word(s string) {
	if n := len(p.spec); p.gap && p.at >= 0 && p.first == 0 && n > p.at+1 && p.spec[n-1] != '.' && !strings.HasPrefix(s, ".") {
		p.first = n
	}
	p.octets(s)
}

// octets adds to both readings.
func (p *addressList) octets(s string) {
	if p.gap && len(p.phrase) > 0 {
		p.phrase = append(p.phrase, ' ')
	}
	p.gap = false
	p.phrase = append(p.phrase, s...)
	p.spec = append(p.spec, s...)
}

// atom reads octets that mean nothing else.
func (p *addressList) atom() {
	start := p.pos
	for p.pos < len(p.s) && strings.IndexByte(" \t(\",;:<>@[", p.s[p.pos]) < 0 {
		p.pos++
	}
	p.word(p.s[start:p.pos])
}

// literal reads a domain literal (RFC 5322 §3.4.1): a colon in it begins no group.
func (p *addressList) literal() {
	end := -1
	if !p.noBracket {
		end = strings.IndexByte(p.s[p.pos:], ']')
		p.noBracket = end < 0
	}
	p.octets(p.s[p.pos : p.pos+max(end, 0)+1])
	p.pos += max(end, 0) + 1
}

// bare ends an item without an angle.
func (p *addressList) bare() {
	if len(p.spec) == 0 || p.angled && p.at < 0 {
		return
	}
	a := Address{Name: nameOf(p.comment)}
	switch {
	case p.at < 0:
		a.Mailbox, a.Host = NString{string(p.phrase), true}, NString{Set: true}
	case p.first > p.at:
		a.Mailbox, a.Host = p.split(p.spec[:p.first])
	default:
		a.Mailbox, a.Host = p.split(p.spec)
	}
	p.list = append(p.list, a)
}

// split parts an address at its @.
func (p *addressList) split(spec []byte) (local, host NString) {
	if p.at < 0 {
		return NString{string(spec), true}, NString{Set: true}
	}
	return NString{string(spec[:p.at]), true}, NString{string(spec[p.at+1:]), true}
}

// nameOf is a display name; an empty one is none.
func nameOf(s string) NString { return NString{s, s != ""} }

// angle reads what follows "<", up to and with ">". An angle without an end ends at a comma, a semicolon or
// another "<".
func (p *addressList) angle() {
	a := Address{Name: nameOf(string(p.phrase))}
	p.spec, p.at = p.spec[:0], -1
	closed := false
	for p.pos < len(p.s) && !closed {
		c := p.s[p.pos]
		if c == ',' || c == ';' || c == '<' && len(p.spec) > 0 {
			break
		}
		switch c {
		case ' ', '\t', '<':
			p.pos++
		case '(':
			p.lexer.comment()
		case '"':
			if text, ok := p.quoted(); ok {
				p.spec = append(p.spec, text...)
			}
		case '>':
			p.pos++
			closed = true
		case '@':
			if !a.Route.Set && len(p.spec) == 0 && p.route(&a) {
				continue
			}
			p.at = len(p.spec)
			fallthrough
		default:
			p.pos++
			p.spec = append(p.spec, c)
		}
	}
	a.Mailbox, a.Host = p.split(p.spec)
	for !a.Name.Set && p.pos < len(p.s) && strings.IndexByte(" \t(", p.s[p.pos]) >= 0 {
		if p.s[p.pos] != '(' {
			p.pos++
			continue
		}
		a.Name = nameOf(strings.TrimSpace(p.lexer.comment()))
	}
	if !a.Name.Set {
		a.Name = nameOf(p.comment)
	}
	p.list = append(p.list, a)
	p.angled = true
}

// route reads a source route (RFC 5322 §4.4), which ends with a colon.
func (p *addressList) route(a *Address) bool {
	n := strings.IndexAny(p.s[p.pos:], ":<>")
	if n < 0 || p.s[p.pos+n] != ':' {
		return false
	}
	a.Route = NString{strings.Map(dropBlank, p.s[p.pos:p.pos+n]), true}
	a.Route.Text = strings.Clone(a.Route.Text) // Map may give back a part of the field
	p.pos += n + 1
	return true
}

func dropBlank(r rune) rune {
	if r == ' ' || r == '\t' {
		return -1
	}
	return r
}
