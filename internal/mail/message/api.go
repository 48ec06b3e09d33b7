package message

import (
	"errors"
	"io"
)

// ErrEncoding is in the chain of Part.Decode's error for a Content-Transfer-Encoding that is not
// known: NO [UNKNOWN-CTE] (RFC 9051 §7.1).
var ErrEncoding = errors.New("unknown content transfer encoding")

var errSoon = errors.New("not written yet")

// Version is the version of what Build computes and Append writes, from 1 on.
const Version = 1

// Build reads the message of size octets once, in order, and finds out where everything is. It needs little
// memory, whatever the message. The only errors are those of r.
func Build(r io.ReaderAt, size int64) (*Index, error) { return nil, errSoon }

// Append writes the index after b: at most SizeMax octets, and always the same for the same message.
func (x *Index) Append(b []byte) []byte { return b }

// Parse reads what Append writes, and nothing else. The index does not share memory with b.
func Parse(b []byte) (*Index, error) { return nil, errSoon }

// Fields gives of a header the fields of these names, in any case, or (not) all others, as they stand
// there, and the empty line at the end if there is one (RFC 9051 §6.4.5, HEADER.FIELDS and
// HEADER.FIELDS.NOT). It streams; its memory does not depend on the header.
func Fields(header io.Reader, names []string, not bool) io.Reader { return header }

// Decode undoes the part's transfer encoding, of body, which are the octets of p.Body. What is broken is
// stepped over: reading fails only when body does. The error has ErrEncoding in its chain.
func (p *Part) Decode(body io.Reader) (io.Reader, error) { return body, nil }

// Text gives a part's text as valid UTF-8: its transfer encoding undone, if it is known, and its charset
// converted; octets that mean nothing become U+FFFD. Markup stays as it is. body are the octets of p.Body.
func (p *Part) Text(body io.Reader) io.Reader { return body }

// Param gives a parameter of the Content-Type by its name in lower case, decoded as RFC 2231 says (charset,
// continuations), as UTF-8.
func (p *Part) Param(name string) (string, bool) { return rawParam(p.Params, name) }

// Filename gives the name that the part's disposition or, if it has none, its type proposes; "" if there is none.
// It is only a text for people: it may have any characters.
func (p *Part) Filename() string { return "" }

// DecodeHeader makes UTF-8 of a text from a header: encoded words are decoded (RFC 2047), octets that
// are not UTF-8 are taken for windows-1252, control characters become blanks.
func DecodeHeader(s string) string { return s }
