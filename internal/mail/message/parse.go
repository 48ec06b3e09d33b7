package message

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrVersion is in the chain of Parse's error for an index that another version of the program wrote:
// it is to be computed anew.
var ErrVersion = errors.New("index of another version")

var errForm = errors.New("not the form that Append writes")

// Parse reads what Append writes, and nothing else: an index that it gives has all that Part promises, its
// ranges lie within the message, and Append gives the same octets again. The index does not share memory
// with b.
func Parse(b []byte) (*Index, error) {
	if len(b) > SizeMax {
		return nil, fmt.Errorf("index of a message: %d octets, at most %d: %w", len(b), SizeMax, errForm)
	}
	if len(b) == 0 || b[0] != Version {
		return nil, fmt.Errorf("index of a message: %w", ErrVersion)
	}
	p := &parser{s: string(b), pos: 1}
	x := p.index()
	if p.failed || p.pos != len(p.s) {
		return nil, fmt.Errorf("index of a message, octet %d of %d: %w", p.pos, len(p.s), errForm)
	}
	return x, nil
}

// parser reads the octets of an index. After a failure it gives zero values.
type parser struct {
	s      string
	pos    int
	failed bool
	parts  int
}

// must fails unless ok.
func (p *parser) must(ok bool) bool {
	if !ok {
		p.failed, p.s = true, p.s[:p.pos]
	}
	return ok
}

func (p *parser) octet() byte {
	if !p.must(p.pos < len(p.s)) {
		return 0
	}
	p.pos++
	return p.s[p.pos-1]
}

// number reads a uv below limit; the longest has nine octets, as none is above 2^63.
func (p *parser) number(limit int64) int64 {
	var n uint64
	for shift := 0; shift < 63; shift += 7 {
		c := p.octet()
		n |= uint64(c&0x7f) << shift
		if c >= 0x80 {
			continue
		}
		if p.must((c != 0 || shift == 0) && n < uint64(limit)) { // one form only
			return int64(n)
		}
		return 0
	}
	p.must(false)
	return 0
}

// maxNumber is above every size and count.
const maxNumber = 1<<63 - 1

// secondsMax is above every date that is read: it is after the year 9999.
const secondsMax = 1 << 40

// signed reads a sv.
func (p *parser) signed() int64 {
	n := p.number(maxNumber)
	return n>>1 ^ -(n & 1)
}

// count reads the length of a list of things that have at least so many octets each.
func (p *parser) count(octets int) int {
	return int(p.number(int64((len(p.s)-p.pos)/octets) + 1))
}

func (p *parser) text() string {
	n := p.count(1)
	if p.failed || !p.must(n <= len(p.s)-p.pos) {
		return ""
	}
	p.pos += n
	return p.s[p.pos-n : p.pos]
}

// nonempty reads a text that is not empty.
func (p *parser) nonempty() string {
	s := p.text()
	p.must(s != "")
	return s
}

func (p *parser) nstring(is bool) NString {
	if !is {
		return NString{}
	}
	return NString{Text: p.text(), Set: true}
}

func (p *parser) texts() []string {
	n := p.count(1)
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = p.text()
	}
	return list
}

func (p *parser) params() []Param {
	n := p.count(2)
	if n == 0 {
		return nil
	}
	list := make([]Param, n)
	for i := range list {
		list[i] = Param{p.text(), p.text()}
	}
	return list
}

func (p *parser) index() *Index {
	x := &Index{Size: p.number(maxNumber)}
	has := p.octet()
	if !p.must(has <= indexAll) {
		return nil
	}
	if x.Cut = has&indexCut != 0; has&indexDate != 0 {
		seconds, zone := p.signed(), p.signed()
		if !p.must(zone >= -zoneMinutesMax && zone <= zoneMinutesMax && seconds > -secondsMax && seconds < secondsMax) {
			return nil
		}
		x.Sent = sentTime(seconds, int(zone))
		p.must(!x.Sent.IsZero())
	}
	x.ID, x.References, x.Preview = p.text(), p.texts(), p.text()
	e := p.envelope()
	x.Root = p.part(0, x.Size, 1)
	x.Fields = p.nstring(has&indexFields != 0)
	p.must(len(x.Fields.Text) <= FieldsMax)
	if p.failed {
		return nil
	}
	x.Root.Envelope = e
	p.must(x.Root.Header.Start == 0 && x.Root.Body.End == x.Size)
	return x
}

// part reads a part that begins at from or later and ends at end or before. It calls itself, at most
// DepthMax times.
func (p *parser) part(from, end int64, depth int) *Part {
	p.parts++
	if !p.must(p.parts <= PartsMax && depth <= DepthMax+1) {
		return nil
	}
	// Each number is below what is left, so that no sum is too large.
	start := from + p.number(end-from+1)
	body := start + p.number(end-start+1)
	stop := body + p.number(end-body+1)
	part := &Part{Header: Range{start, body}, Body: Range{body, stop}, Lines: p.number(stop - body + 1)}
	p.mediaType(part)
	p.encoding(part)
	p.details(part)
	switch {
	case p.failed:
	case part.IsMultipart():
		p.children(part, depth)
	case part.IsMessage():
		e := p.envelope()
		if c := p.part(body, stop, depth+1); c != nil {
			c.Envelope = e
			part.Children = []*Part{c}
			p.must(c.Header.Start == body && c.Body.End == stop)
		}
	}
	return part
}

// partCostMin is the shortest part: four numbers and three octets.
const partCostMin = 7

func (p *parser) children(part *Part, depth int) {
	n := p.count(partCostMin)
	if !p.must(n > 0) {
		return
	}
	part.Children = make([]*Part, 0, n)
	from := part.Body.Start
	for range n {
		c := p.part(from, part.Body.End, depth+1)
		if p.failed {
			return
		}
		part.Children = append(part.Children, c)
		from = c.Body.End
	}
}

func (p *parser) mediaType(part *Part) {
	code := int(p.octet())
	if code == 0 {
		part.Type, part.Subtype = p.nonempty(), p.nonempty()
		p.must(!isCoded(part.Type, part.Subtype))
		return
	}
	if p.must(code < len(typeCodes)) {
		part.Type, part.Subtype, _ = strings.Cut(typeCodes[code], "/")
	}
}

func (p *parser) encoding(part *Part) {
	code := int(p.octet())
	if code == 0 {
		part.Encoding = p.nonempty()
		p.must(!slices.Contains(encodingCodes, part.Encoding))
		return
	}
	if p.must(code < len(encodingCodes)) {
		part.Encoding = encodingCodes[code]
	}
}

func (p *parser) details(part *Part) {
	has := p.octet()
	if !p.must(has < hasLocation<<1) {
		return
	}
	if has&hasParams != 0 {
		part.Params = p.params()
		p.must(len(part.Params) > 0)
	}
	part.ID = p.nstring(has&hasID != 0)
	part.Description = p.nstring(has&hasDescription != 0)
	part.MD5 = p.nstring(has&hasMD5 != 0)
	if has&hasDisposition != 0 {
		part.Disposition = Disposition{Type: p.nonempty(), Params: p.params()}
	}
	if has&hasLanguage != 0 {
		part.Language = p.texts()
		p.must(len(part.Language) > 0)
	}
	part.Location = p.nstring(has&hasLocation != 0)
}

func (p *parser) envelope() *Envelope {
	has := p.octet()
	e := &Envelope{Date: p.nstring(has&envDate != 0), Subject: p.nstring(has&envSubject != 0),
		InReplyTo: p.nstring(has&envInReplyTo != 0), MessageID: p.nstring(has&envMessageID != 0)}
	if has&envFrom != 0 {
		e.From = p.addresses()
		p.must(len(e.From) > 0)
	}
	e.Sender, e.ReplyTo = e.From, e.From
	if has&envSender != 0 {
		e.Sender = p.addresses()
		p.must(!slices.Equal(e.Sender, e.From))
	}
	if has&envReplyTo != 0 {
		e.ReplyTo = p.addresses()
		p.must(!slices.Equal(e.ReplyTo, e.From))
	}
	if has&envRest != 0 {
		e.To, e.Cc, e.Bcc = p.addresses(), p.addresses(), p.addresses()
		p.must(len(e.To)+len(e.Cc)+len(e.Bcc) > 0)
	}
	return e
}

func (p *parser) addresses() []Address {
	n := p.count(1)
	if n == 0 {
		return nil
	}
	list := make([]Address, n)
	for i := range list {
		has := p.octet()
		if !p.must(has <= addrAll) {
			return nil
		}
		list[i] = Address{p.nstring(has&addrName != 0), p.nstring(has&addrRoute != 0), p.nstring(has&addrMailbox != 0), p.nstring(has&addrHost != 0)}
	}
	return list
}
