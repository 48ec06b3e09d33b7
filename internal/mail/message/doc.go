// Package message finds out, in one pass over its octets, where everything in a message is, and what its
// headers say: an Index, of which IMAP's BODY, BODYSTRUCTURE, ENVELOPE, BINARY and PREVIEW are made
// (RFC 9051, RFC 8970), and searching, sorting and threading.
//
// A message stays as it came. All ranges count the stored octets, so that what is given out is a slice of
// them, whatever is wrong with the message: line ends that are bare line feeds, headers without an end,
// boundaries that never come. There is no message without an index: what cannot be understood, and what
// is beyond a limit (limits.go), is a part that nobody looks into. Only reading may fail.
//
// An Index is a pure function of the contents. It is computed once, where a message is stored, and kept
// beside it as Append writes it: one form only, with a version, of at most SizeMax octets. Whoever needs
// it reads it with Parse, finds a section with Index.Section or a part with Index.Part, and opens that range
// of the contents. Then, on these octets:
//
//	Fields       HEADER.FIELDS and HEADER.FIELDS.NOT; of usual headers Index.HeaderFields says it without opening anything
//	Part.Decode  BINARY and BINARY.SIZE: base64 and quoted-printable undone
//	Part.Text    the same, and its charset made UTF-8, for searching
//	DecodeHeader encoded words made UTF-8 (RFC 2047), for searching and sorting
//
// These stream, need little memory, and forgive what mail programs forgive.
//
// Lines end with LF, and a CR before it belongs to the end; a CR alone is text. A header ends with an
// empty line, with a boundary, or with the message; lines in it that are no fields are stepped over. A
// line is a boundary if nothing but blanks follow it; the innermost multipart that knows it has it.
package message
