package message

import (
	"encoding/binary"
	"slices"
	"strings"
)

// The form of an index on disk. uv is an unsigned varint of the shortest form, sv the same of a
// zigzag number, text a uv length and so many octets, list a uv count and so many of something.
//
//	index     octet Version; uv size; octet, a sum: 1 if there is a date, 2 if Cut, 4 if there are Fields; with a date:
//	          sv seconds since 1970, sv minutes the zone is before UTC; text ID; list of text References;
//	          text Preview; envelope; part; with Fields: text
//	part      uv octets between the end of what is before it (its parent's header, or the part
//	          before it) and its header; uv octets of the header; uv octets of the body; uv lines;
//	          octet of typeCodes, and if it is 0: text type, text subtype; octet of encodingCodes, and if it is 0:
//	          text; octet: what follows, a sum of the has... below, in that order; a multipart: a list of
//	          parts; a message: an envelope and a part
//	params    list of (text name, text value)
//	envelope  octet: what follows, a sum of the env... below, in that order
//	addresses list of (octet: what follows, a sum of the addr... below; that many texts)

const (
	indexDate = 1 << iota
	indexCut
	indexFields
	indexAll = indexDate | indexCut | indexFields
)

const (
	hasParams      = 1 << iota // params
	hasID                      // text
	hasDescription             // text
	hasMD5                     // text
	hasDisposition             // text type, params
	hasLanguage                // list of text
	hasLocation                // text
)

const (
	envDate      = 1 << iota // text
	envSubject               // text
	envInReplyTo             // text
	envMessageID             // text
	envFrom                  // addresses
	envSender                // addresses; without it: those of From
	envReplyTo               // addresses; without it: those of From
	envRest                  // addresses To, Cc and Bcc
)

const (
	addrName = 1 << iota
	addrRoute
	addrMailbox
	addrHost
	addrAll = addrName | addrRoute | addrMailbox | addrHost
)

// typeCodes are the media types that have a code, their index. They are for ever: new ones go to the end, and make
// a new Version.
var typeCodes = []string{"", "text/plain", "text/html", "multipart/mixed", "multipart/alternative", "multipart/related",
	"multipart/signed", "multipart/report", "multipart/digest", "message/rfc822", "message/delivery-status", "application/octet-stream",
	"application/pdf", "image/jpeg", "image/png", "image/gif", "text/calendar", "application/pgp-signature", "message/global"}

// encodingCodes are the same for transfer encodings.
var encodingCodes = []string{"", "7bit", "8bit", "binary", "quoted-printable", "base64", unknownEncoding}

// unknownEncoding stands for one that is not kept, and is none that is known.
const unknownEncoding = "x-unknown"

// Append writes the index after b: at most SizeMax octets, and always the same for the same message.
// The form is described above; a reader refuses any other Version.
func (x *Index) Append(b []byte) []byte {
	b = append(b, Version)
	b = binary.AppendUvarint(b, uint64(x.Size))
	has := byte(0)
	if !x.Sent.IsZero() {
		has |= indexDate
	}
	if x.Cut {
		has |= indexCut
	}
	if x.Fields.Set {
		has |= indexFields
	}
	b = append(b, has)
	if !x.Sent.IsZero() {
		_, zone := x.Sent.Zone()
		b = binary.AppendVarint(b, x.Sent.Unix())
		b = binary.AppendVarint(b, int64(zone/60))
	}
	b = appendText(b, x.ID)
	b = appendTexts(b, x.References)
	b = appendText(b, x.Preview)
	b = x.Root.Envelope.append(b)
	b = x.Root.append(b, 0)
	if x.Fields.Set {
		b = appendText(b, x.Fields.Text)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendTexts(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendText(b, s)
	}
	return b
}

func appendParams(b []byte, list []Param) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, p := range list {
		b = appendText(appendText(b, p.Name), p.Value)
	}
	return b
}

// appendCode writes the code of s, or 0.
func appendCode(b []byte, codes []string, s string) ([]byte, bool) {
	i := max(slices.Index(codes, s), 0)
	return append(b, byte(i)), i > 0
}

// append writes the part; from is the end of what stands before it.
func (p *Part) append(b []byte, from int64) []byte {
	for _, n := range []int64{p.Header.Start - from, p.Header.Len(), p.Body.Len(), p.Lines} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	b, known := appendCode(b, typeCodes, p.Type+"/"+p.Subtype)
	if !known {
		b = appendText(appendText(b, p.Type), p.Subtype)
	}
	if b, known = appendCode(b, encodingCodes, p.Encoding); !known {
		b = appendText(b, p.Encoding)
	}
	b = p.appendDetails(b)
	switch {
	case p.IsMultipart():
		b = binary.AppendUvarint(b, uint64(len(p.Children)))
		from = p.Body.Start
		for _, c := range p.Children {
			b = c.append(b, from)
			from = c.Body.End
		}
	case p.IsMessage():
		b = p.Children[0].Envelope.append(b)
		b = p.Children[0].append(b, p.Body.Start)
	}
	return b
}

func (p *Part) appendDetails(b []byte) []byte {
	at := len(b)
	b = append(b, 0)
	has := func(bit byte, is bool) bool {
		if is {
			b[at] |= bit
		}
		return is
	}
	if has(hasParams, len(p.Params) > 0) {
		b = appendParams(b, p.Params)
	}
	for i, s := range []NString{p.ID, p.Description, p.MD5} {
		if has(hasID<<i, s.Set) {
			b = appendText(b, s.Text)
		}
	}
	if has(hasDisposition, p.Disposition.Type != "") {
		b = appendParams(appendText(b, p.Disposition.Type), p.Disposition.Params)
	}
	if has(hasLanguage, len(p.Language) > 0) {
		b = appendTexts(b, p.Language)
	}
	if has(hasLocation, p.Location.Set) {
		b = appendText(b, p.Location.Text)
	}
	return b
}

func (e *Envelope) append(b []byte) []byte {
	at := len(b)
	b = append(b, 0)
	for i, s := range []NString{e.Date, e.Subject, e.InReplyTo, e.MessageID} {
		if s.Set {
			b[at] |= envDate << i
			b = appendText(b, s.Text)
		}
	}
	if len(e.From) > 0 {
		b[at] |= envFrom
		b = appendAddresses(b, e.From)
	}
	for i, list := range [][]Address{e.Sender, e.ReplyTo} {
		if !slices.Equal(list, e.From) {
			b[at] |= envSender << i
			b = appendAddresses(b, list)
		}
	}
	if len(e.To)+len(e.Cc)+len(e.Bcc) > 0 {
		b[at] |= envRest
		b = appendAddresses(appendAddresses(appendAddresses(b, e.To), e.Cc), e.Bcc)
	}
	return b
}

func appendAddresses(b []byte, list []Address) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, a := range list {
		at := len(b)
		b = append(b, 0)
		for i, s := range []NString{a.Name, a.Route, a.Mailbox, a.Host} {
			if s.Set {
				b[at] |= addrName << i
				b = appendText(b, s.Text)
			}
		}
	}
	return b
}

// isCoded reports whether a type has a code.
func isCoded(typ, subtype string) bool {
	return slices.Contains(typeCodes, strings.Join([]string{typ, subtype}, "/"))
}
