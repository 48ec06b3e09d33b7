package message

import (
	"iter"
	"strings"
	"time"
)

// Index says where everything in a message is, and what its header says of it. It is never changed
// after it was built, so it may be shared.
type Index struct {
	Size int64 // octets of the message
	// Sent is the time of the Date field in the zone that the field names; zero if there is none that can
	// be read (RFC 5322 §3.6.1).
	Sent time.Time
	// ID and References are for THREAD=REFERENCES (RFC 5256 §3): message ids in normal form, without
	// angle brackets, comments and quoting. ID is "" if there is none. References are those of the
	// References field, the oldest first; if it has none, the first one of In-Reply-To.
	ID         string
	References []string
	// Preview is up to PreviewLengthMax characters of UTF-8 from the message's text (RFC 8970 §3), without
	// line ends; "" if there is no text.
	Preview string
	// Cut says that Root.Envelope may not have all that the message's header says, because of a limit: what
	// is not found in it may be in the header.
	Cut bool
	// Fields is the fields of the message's header as they stand there, with the empty line, but for those of
	// IsTrace. NIL: they are more than FieldsMax. HeaderFields reads them.
	Fields NString
	Root   *Part // the message itself; never nil
}

// Range is octets of the stored message: from Start to before End.
type Range struct{ Start, End int64 }

// Len is the number of octets.
func (r Range) Len() int64 { return r.End - r.Start }

// NString is what the RFCs of IMAP call nstring: a text, or NIL. The zero value is NIL.
type NString struct {
	Text string
	Set  bool // false: NIL, and Text is ""
}

// Param is a parameter of a Content-Type or Content-Disposition field, as it stands there: values are
// without quotes, but not decoded. Part.Param decodes.
type Param struct {
	Name  string // in lower case
	Value string
}

// Disposition is a Content-Disposition field (RFC 2183).
type Disposition struct {
	Type   string // in lower case; "": there is no such field
	Params []Param
}

// Part is one part of a message: what BODYSTRUCTURE says of it (RFC 9051 §7.5.2), and where it is. A
// part is one of three:
//
//   - a multipart (IsMultipart): it has one child or more;
//   - a message (IsMessage, of type message/rfc822 or message/global): it has one child, the message in it,
//     whose Header is that message's header and which has an Envelope;
//   - a leaf: anything else. What is beyond a limit is a leaf of the type application/octet-stream.
//
// The texts are what stands in the header, unfolded: they may have octets that are not ASCII and not
// UTF-8, and encoded words, but never CR, LF or NUL.
type Part struct {
	// Header has the part's header fields and the empty line after them, if there is one; Body follows at
	// once. Either may be empty. The line end before a boundary belongs to the boundary.
	Header, Body Range
	Lines        int64 // line feeds in Body

	Type, Subtype string // in lower case, such as "text" and "plain"; never empty
	Params        []Param
	ID            NString // Content-ID, with its angle brackets
	Description   NString
	Encoding      string // Content-Transfer-Encoding in lower case; never empty
	MD5           NString
	Disposition   Disposition
	Language      []string
	Location      NString

	Envelope *Envelope // of the message itself and of a message in a message; else nil
	Children []*Part
}

// Envelope is the ENVELOPE of a message (RFC 9051 §7.5.2). Sender and ReplyTo are those of From where
// the message has none.
type Envelope struct {
	Date, Subject                      NString
	From, Sender, ReplyTo, To, Cc, Bcc []Address
	InReplyTo, MessageID               NString
}

// Address is one address of an envelope, or a mark of a group (RFC 5322 §3.4): a group begins with an
// address that has no Host and whose Mailbox is the group's name, and ends with one that has neither.
// An address that is no address (a name alone) has what stands there as its Mailbox and an empty Host that
// is not NIL.
type Address struct {
	Name    NString // the display name, without quotes, not decoded (DecodeHeader)
	Route   NString // the source route of RFC 822
	Mailbox NString // the local part, without quotes
	Host    NString
}

// IsMultipart reports whether the part has parts.
func (p *Part) IsMultipart() bool { return p.Type == "multipart" }

// IsMessage reports whether the part has a message in it, the only child.
func (p *Part) IsMessage() bool { return isMessageType(p.Type, p.Subtype) }

// IsText reports whether the part is a leaf of text.
func (p *Part) IsText() bool { return p.Type == "text" }

// IsAttachment reports whether the part's disposition says so.
func (p *Part) IsAttachment() bool { return p.Disposition.Type == "attachment" }

func isMessageType(typ, subtype string) bool {
	return typ == "message" && (subtype == "rfc822" || subtype == "global")
}

// All gives the part and all below it, each before its children, in the order of the octets.
func (p *Part) All() iter.Seq[*Part] {
	return func(yield func(*Part) bool) { p.walk(yield) }
}

// walk ends early when yield says so. It is as deep as the parts, at most DepthMax.
func (p *Part) walk(yield func(*Part) bool) bool {
	if !yield(p) {
		return false
	}
	for _, c := range p.Children {
		if !c.walk(yield) {
			return false
		}
	}
	return true
}

// IsGroupStart and IsGroupEnd report the marks of a group.
func (a Address) IsGroupStart() bool { return a.Mailbox.Set && !a.Host.Set }

// IsGroupEnd reports the mark after a group's last address.
func (a Address) IsGroupEnd() bool { return !a.Mailbox.Set && !a.Host.Set }

// String gives local part and host with an @ between them, both as they are; for a group's marks, and
// without a host, only the first.
func (a Address) String() string {
	if a.Host.Text == "" {
		return a.Mailbox.Text
	}
	return a.Mailbox.Text + "@" + a.Host.Text
}

// Charset gives the charset parameter in lower case; "" if there is none.
func (p *Part) Charset() string {
	c, _ := p.Param("charset")
	return strings.ToLower(strings.TrimSpace(c))
}
