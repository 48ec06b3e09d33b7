package imap

// Envelope is the ENVELOPE of a message (RFC 9051 §7.5.2). In it and in BodyStructure nil octets are NIL: the
// field is not there; empty ones are an empty string.
type Envelope struct {
	Date, Subject                      []byte
	From, Sender, ReplyTo, To, Cc, Bcc []EnvelopeAddress // nil: NIL
	InReplyTo, MessageID               []byte
}

// EnvelopeAddress is one address. A group begins with one that has no Host and its name as Mailbox, and ends with
// one that has neither.
type EnvelopeAddress struct {
	Name    []byte
	Route   []byte // RFC 822 source route; nil in our time
	Mailbox []byte
	Host    []byte
}

// BodyStructure is the MIME structure of a message or part (RFC 9051 §7.5.2, BODYSTRUCTURE). It is a multipart
// if Parts is not empty; Type, ID to MD5, Envelope and Message mean nothing then.
type BodyStructure struct {
	Type, Subtype string // as in the message; "text", "plain" where there is none
	Params        []Param
	ID            []byte // Content-ID
	Description   []byte
	Encoding      string // "7BIT" where there is none
	Size          uint64 // octets, in the encoding
	Lines         uint64 // of text/* and message/rfc822
	// Of message/rfc822 and message/global: the envelope and structure of the message in it. The grammar wants both:
	// nil is written as an envelope of NILs and as an empty text.
	Envelope *Envelope
	Message  *BodyStructure
	Parts    []*BodyStructure

	// Extension data: of BODYSTRUCTURE, not of BODY.
	MD5         []byte
	Disposition *Disposition
	Language    []string // nil: NIL
	Location    []byte
}

// Param is a parameter of Content-Type or Content-Disposition.
type Param struct{ Name, Value string }

// Disposition is Content-Disposition (RFC 2183).
type Disposition struct {
	Type   string
	Params []Param
}
