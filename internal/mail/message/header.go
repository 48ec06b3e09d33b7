package message

import (
	"bytes"
	"slices"
	"strings"
)

// heading is a header being read: the field that is being put together, and what was read already.
type heading struct {
	kind   fieldKind // of the field; fieldOther: it is only stepped over
	value  []byte    // of the field so far, with its line ends
	fields int
	octets int
	typed  bool // there was a Content-Type
}

// fieldKind is a header field that the index is made of.
type fieldKind uint8

const (
	fieldOther fieldKind = iota
	fieldType
	fieldEncoding
	fieldID
	fieldDescription
	fieldMD5
	fieldDisposition
	fieldLanguage
	fieldLocation
	fieldEnvelope // this and those that follow are read in headers of messages only
	fieldDate
	fieldSubject
	fieldFrom
	fieldSender
	fieldReplyTo
	fieldTo
	fieldCc
	fieldBcc
	fieldInReplyTo
	fieldMessageID
	fieldReferences
)

var fieldKinds = map[string]fieldKind{
	"content-type": fieldType, "content-transfer-encoding": fieldEncoding, "content-id": fieldID,
	"content-description": fieldDescription, "content-md5": fieldMD5, "content-disposition": fieldDisposition,
	"content-language": fieldLanguage, "content-location": fieldLocation,
	"date": fieldDate, "subject": fieldSubject, "from": fieldFrom, "sender": fieldSender,
	"reply-to": fieldReplyTo, "to": fieldTo, "cc": fieldCc, "bcc": fieldBcc,
	"in-reply-to": fieldInReplyTo, "message-id": fieldMessageID, "references": fieldReferences,
}

// fieldNameMax is longer than every name in fieldKinds.
const fieldNameMax = 32

// fieldName gives the name of the field that begins with this line; it is empty if none does. Blanks
// between the name and the colon are forgiven (RFC 5322 §4.5).
func fieldName(line []byte) []byte {
	i := bytes.IndexByte(line, ':')
	if i < 0 {
		return nil
	}
	name := bytes.TrimRight(line[:i], " \t")
	for _, c := range name {
		if c <= ' ' || c > '~' {
			return nil
		}
	}
	return name
}

func isContinuation(line []byte) bool {
	return len(line) > 0 && (line[0] == ' ' || line[0] == '\t')
}

func isEmptyLine(line []byte) bool {
	return string(line) == "\n" || string(line) == "\r\n"
}

// readHeader reads the header of the part on top, and passes the empty line at its end. A boundary
// or the end of the message may come first: then it is found.
func (b *builder) readHeader() (h hit, found bool, err error) {
	b.head = heading{value: b.head.value[:0]}
	for {
		line, err := b.line()
		if err != nil {
			return hit{}, false, err
		}
		if len(line) == 0 {
			b.endField()
			return b.here(-1, false), true, nil
		}
		if h, ok := b.boundary(); ok {
			b.endField()
			return h, true, nil
		}
		if isEmptyLine(line) {
			b.endField()
			b.pass(len(line))
			return hit{}, false, nil
		}
		if !isContinuation(line) {
			b.endField()
			b.beginField(line)
		}
		if err := b.readLine(line); err != nil {
			return hit{}, false, err
		}
	}
}

// readLine passes a line of a header, which may be longer than what was read of it, and keeps what
// belongs to a field.
func (b *builder) readLine(line []byte) (err error) {
	for {
		b.head.octets += len(line)
		if b.head.kind != fieldOther {
			n := min(len(line), FieldLengthMax-len(b.head.value))
			b.head.value = append(b.head.value, line[:n]...)
			b.lose(n < len(line))
		}
		ended := len(line) == 0 || line[len(line)-1] == '\n'
		b.pass(len(line))
		if ended {
			return nil
		}
		if line, err = b.line(); err != nil {
			return err
		}
	}
}

// beginField sees which field begins with a line.
func (b *builder) beginField(line []byte) {
	b.head.fields++
	if b.head.fields > HeaderFieldsMax || b.head.octets > HeaderReadMax {
		b.lose(true)
		return
	}
	name := fieldName(line[:min(len(line), fieldNameMax)])
	if len(name) == 0 {
		return
	}
	kind := fieldKinds[string(bytes.ToLower(name))]
	isMessage := b.top().part.Envelope != nil
	if kind > fieldEnvelope && !isMessage || kind == fieldReferences && len(b.stack) > 1 {
		return
	}
	b.head.kind = kind
}

// endField reads the field that was put together.
func (b *builder) endField() {
	if b.head.kind == fieldOther {
		return
	}
	b.work += len(b.head.value)
	_, value, _ := bytes.Cut(b.head.value, []byte{':'})
	text := unfold(value)
	if b.head.kind < fieldEnvelope {
		b.contentField(text)
	} else {
		b.messageField(text)
	}
	b.head.kind = fieldOther
	b.head.value = b.head.value[:0]
}

// unfold takes the line ends out of a field's value (RFC 5322 §2.2.3), and the blanks around it.
// Other CRs, and NULs, become blanks: no text of an index has them (attack 19).
func unfold(value []byte) string {
	value = bytes.Trim(value, " \t\r\n\x00")
	if bytes.IndexByte(value, '\n') < 0 && bytes.IndexByte(value, '\r') < 0 && bytes.IndexByte(value, 0) < 0 {
		return string(value)
	}
	var s strings.Builder
	s.Grow(len(value))
	for i, c := range value {
		switch {
		case c == '\n', c == '\r' && i+1 < len(value) && value[i+1] == '\n':
		case c == '\r', c == 0:
			s.WriteByte(' ')
		default:
			s.WriteByte(c)
		}
	}
	return s.String()
}

// contentField reads a field of MIME. The first one of a name counts.
func (b *builder) contentField(text string) {
	p := b.top().part
	switch b.head.kind {
	case fieldType:
		if b.head.typed {
			return
		}
		b.head.typed = true
		typ, subtype, params := parseType(text)
		if typ == "" {
			return // as if there were none (RFC 2045 §5.2)
		}
		p.Type, p.Subtype, p.Params = b.keepText(typ), b.keepText(subtype), b.keepParams(params)
		if p.Type == "" || p.Subtype == "" {
			p.makeOpaque()
		}
	case fieldEncoding:
		if p.Encoding == "" {
			encoding := parseToken(text)
			if p.Encoding = b.keepText(encoding); p.Encoding != encoding {
				p.Encoding = unknownEncoding
			}
		}
	case fieldID:
		b.keepOnce(&p.ID, text)
	case fieldDescription:
		b.keepOnce(&p.Description, text)
	case fieldMD5:
		b.keepOnce(&p.MD5, text)
	case fieldLocation:
		b.keepOnce(&p.Location, strings.ReplaceAll(strings.ReplaceAll(text, " ", ""), "\t", ""))
	case fieldDisposition:
		if p.Disposition.Type == "" {
			typ, params := parseDisposition(text)
			if typ = b.keepText(typ); typ != "" {
				p.Disposition = Disposition{Type: typ, Params: b.keepParams(params)}
			}
		}
	case fieldLanguage:
		if len(p.Language) == 0 {
			p.Language = b.keepTexts(parseLanguages(text))
		}
	}
}

// messageField reads a field of a message's header. Of fields that may stand there once, the first one
// counts; addresses of all fields of a name are taken together.
func (b *builder) messageField(text string) {
	e := b.top().part.Envelope
	isRoot := len(b.stack) == 1
	switch b.head.kind {
	case fieldDate:
		if !e.Date.Set && isRoot {
			b.index.Sent = parseDate(text)
		}
		b.keepOnce(&e.Date, text)
	case fieldSubject:
		b.keepOnce(&e.Subject, text)
	case fieldFrom:
		b.keepAddresses(&e.From, text)
	case fieldSender:
		b.keepAddresses(&e.Sender, text)
	case fieldReplyTo:
		b.keepAddresses(&e.ReplyTo, text)
	case fieldTo:
		b.keepAddresses(&e.To, text)
	case fieldCc:
		b.keepAddresses(&e.Cc, text)
	case fieldBcc:
		b.keepAddresses(&e.Bcc, text)
	case fieldInReplyTo:
		if isRoot && !e.InReplyTo.Set {
			b.inReplyTo = parseMessageIDs(text)
		}
		b.keepOnce(&e.InReplyTo, text)
	case fieldMessageID:
		if ids := parseMessageIDs(text); isRoot && !e.MessageID.Set && len(ids) > 0 {
			b.index.ID = b.keepText(ids[0])
		}
		b.keepOnce(&e.MessageID, text)
	case fieldReferences:
		if len(b.index.References) == 0 {
			b.index.References = b.keepTexts(cutReferences(parseMessageIDs(text)))
		}
	}
}

// cutReferences leaves out what is in the middle of too many.
func cutReferences(ids []string) []string {
	if len(ids) <= ReferencesMax {
		return ids
	}
	return slices.Concat(ids[:1], ids[len(ids)-ReferencesMax+1:])
}
