package message

import (
	"encoding/binary"
	"slices"
)

// fitTextMax is the longest text in an index that would be larger than SizeMax.
const fitTextMax = 4 << 10

// partCostMax is what a part costs without its texts in the form of Append: four numbers, and five octets; and
// an octet for an envelope. PartsMax of them leave room for texts.
const partCostMax = 4*binary.MaxVarintLen64 + 6

// headCostMax is what an index costs without texts and parts.
const headCostMax = 1 + 3*binary.MaxVarintLen64 + 1 + 3*textLengthMax

// fieldsCostMax is what Index.Fields costs.
const fieldsCostMax = FieldsMax + textLengthMax

// textLengthMax is the most octets that a length or count takes that is not above SizeMax.
const textLengthMax = binary.MaxVarintLen16

// fit leaves texts out until Append gives at most SizeMax octets. What a reader needs most is given its room
// first. It is a function of the index alone: every replica leaves out the same.
func (x *Index) fit() {
	number := len(binary.AppendUvarint(nil, uint64(x.Size)))
	f := fitting{room: SizeMax - headCostMax}
	for range x.Root.All() {
		f.room -= 4*number + partCostMax - 4*binary.MaxVarintLen64
	}
	e := x.Root.Envelope
	for _, s := range []*string{&x.ID, &x.Preview} {
		*s = f.text(*s)
	}
	x.References = f.texts(x.References)
	f.lost = false
	f.fields(e)
	f.lists(&e.From, &e.Sender, &e.ReplyTo)

	lost := f.lost
	half := f.room / 2 // for what the parts are; the other half is for whom the message is to
	f.room -= half
	for p := range x.Root.All() {
		f.partType(p)
	}
	f.room += half
	f.lost = false
	f.lists(&e.To, &e.Cc, &e.Bcc)
	x.Cut = x.Cut || lost || f.lost
	for p := range x.Root.All() {
		if p.Envelope != nil && p != x.Root {
			f.fields(p.Envelope)
			f.lists(&p.Envelope.From, &p.Envelope.Sender, &p.Envelope.ReplyTo)
			f.lists(&p.Envelope.To, &p.Envelope.Cc, &p.Envelope.Bcc)
		}
	}
	for p := range x.Root.All() {
		for _, s := range []*NString{&p.ID, &p.Description, &p.MD5, &p.Location} {
			f.nstring(s)
		}
		p.Language = f.texts(p.Language)
	}
}

// fitting is the room that is left.
type fitting struct {
	room int
	lost bool // there was no room for something
}

func (f *fitting) take(n int) bool {
	if n > fitTextMax || n > f.room {
		f.lost = true
		return false
	}
	f.room -= n
	return true
}

func (f *fitting) text(s string) string {
	if s == "" || !f.take(len(s)+textLengthMax) {
		return ""
	}
	return s
}

func (f *fitting) texts(list []string) []string {
	if len(list) == 0 || !f.take(textLengthMax) {
		return nil
	}
	for i, s := range list {
		if !f.take(len(s) + textLengthMax) {
			return firsts(list, i)
		}
	}
	return list
}

func (f *fitting) nstring(s *NString) {
	if s.Set && !f.take(len(s.Text)+textLengthMax) {
		*s = NString{}
	}
}

func (f *fitting) params(list []Param) []Param {
	if len(list) == 0 || !f.take(textLengthMax) {
		return nil
	}
	for i, p := range list {
		if !f.take(len(p.Name) + len(p.Value) + 2*textLengthMax) {
			return firsts(list, i)
		}
	}
	return list
}

func (f *fitting) fields(e *Envelope) {
	for _, s := range []*NString{&e.Date, &e.Subject, &e.MessageID, &e.InReplyTo} {
		f.nstring(s)
	}
}

// lists cuts three lists of addresses. A list that is that of the first again is so afterwards: it costs
// nothing more.
func (f *fitting) lists(first, second, third *[]Address) {
	whole := *first
	for _, list := range []*[]Address{first, second, third} {
		if list != first && slices.Equal(*list, whole) {
			*list = *first
			continue
		}
		*list = f.addresses(*list)
	}
}

func (f *fitting) addresses(list []Address) []Address {
	if !f.take(textLengthMax) {
		return nil
	}
	for i, a := range list {
		cost := 1 + 4*textLengthMax + len(a.Name.Text) + len(a.Route.Text) + len(a.Mailbox.Text) + len(a.Host.Text)
		if a.IsGroupEnd() {
			cost = 0 // its beginning has paid for it
		} else if a.IsGroupStart() {
			cost++
		}
		if !f.take(cost) {
			return closeGroup(firsts(list, i))
		}
	}
	return list
}

// partType leaves the part what it is as long as there is room, and makes it opaque, or one of a more
// common kind, when there is none.
func (f *fitting) partType(p *Part) {
	if !isCoded(p.Type, p.Subtype) && !f.take(len(p.Type)+len(p.Subtype)+2*textLengthMax) {
		if p.IsMultipart() {
			p.Subtype = "mixed"
		} else {
			p.makeOpaque()
		}
	}
	if !slices.Contains(encodingCodes, p.Encoding) && !f.take(len(p.Encoding)+textLengthMax) {
		p.Encoding = unknownEncoding
	}
	p.Params = f.params(p.Params)
	if d := &p.Disposition; d.Type != "" {
		if !f.take(len(d.Type) + 2*textLengthMax) {
			*d = Disposition{}
		}
		d.Params = f.params(d.Params)
	}
}
