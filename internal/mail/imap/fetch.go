package imap

import "porcupine/internal/mail"

// Fetch is FETCH (RFC 9051 §6.4.5).
type Fetch struct {
	Set          NumSet
	Items        []FetchItem // macros are written out: ALL, FAST and FULL do not occur
	ChangedSince mail.ModSeq // RFC 7162 §3.1.4.1; 0: not given
	Vanished     bool        // RFC 7162 §3.2.6
}

// FetchItem is one thing to be told of a message, and the name of what is told.
type FetchItem struct {
	Kind    FetchKind
	Section Section  // of FetchBodySection, FetchBinary, FetchBinarySize
	Peek    bool     // of FetchBodySection and FetchBinary: does not set \Seen
	Partial *Partial // of the same; nil: all of it. In a response Count is 0: only where it begins is told
	Lazy    bool     // of FetchPreview (RFC 8970 §3.1): only if it is at hand
}

// FetchKind is the name of an item, in capitals.
type FetchKind string

// The items of RFC 9051 §6.4.5, RFC 3501 §6.4.5, RFC 7162, RFC 8474, RFC 8514 and RFC 8970.
const (
	FetchFlags         FetchKind = "FLAGS"
	FetchInternalDate  FetchKind = "INTERNALDATE"
	FetchRFC822        FetchKind = "RFC822"        // like BODY[], under this name
	FetchRFC822Header  FetchKind = "RFC822.HEADER" // like BODY.PEEK[HEADER], under this name
	FetchRFC822Text    FetchKind = "RFC822.TEXT"   // like BODY[TEXT], under this name
	FetchRFC822Size    FetchKind = "RFC822.SIZE"
	FetchEnvelope      FetchKind = "ENVELOPE"
	FetchBody          FetchKind = "BODY" // BODYSTRUCTURE without its extension data
	FetchBodyStructure FetchKind = "BODYSTRUCTURE"
	FetchUID           FetchKind = "UID"
	FetchModSeq        FetchKind = "MODSEQ"
	FetchEmailID       FetchKind = "EMAILID"
	FetchThreadID      FetchKind = "THREADID"
	FetchSaveDate      FetchKind = "SAVEDATE"
	FetchPreview       FetchKind = "PREVIEW"
	FetchBodySection   FetchKind = "BODY["   // BODY[section]<partial>
	FetchBinary        FetchKind = "BINARY[" // BINARY[section]<partial> (RFC 3516)
	FetchBinarySize    FetchKind = "BINARY.SIZE["
)

// SetsSeen reports whether fetching it sets \Seen (RFC 9051 §6.4.5).
func (it FetchItem) SetsSeen() bool {
	switch it.Kind {
	case FetchRFC822, FetchRFC822Text:
		return true
	case FetchBodySection, FetchBinary:
		return !it.Peek
	}
	return false
}

// Section is what stands between the brackets of BODY[...] (RFC 9051 §6.4.5.1).
type Section struct {
	Part   []uint32 // part numbers, each at least 1; empty: the message itself
	Text   SectionText
	Fields []string // of HEADER.FIELDS and HEADER.FIELDS.NOT, as the client wrote them
}

// SectionText says what of a part is meant.
type SectionText string

// The forms of section-text. SectionAll is the whole message, or the contents of the part.
const (
	SectionAll             SectionText = ""
	SectionHeader          SectionText = "HEADER"
	SectionHeaderFields    SectionText = "HEADER.FIELDS"
	SectionHeaderFieldsNot SectionText = "HEADER.FIELDS.NOT"
	SectionBody            SectionText = "TEXT"
	SectionMIME            SectionText = "MIME" // only of a part
)

// Partial is a range of octets: Count of them, from Offset on. Both are at most 63 bits, and so is their sum.
type Partial struct{ Offset, Count int64 }
