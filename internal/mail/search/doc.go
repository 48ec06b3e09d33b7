// Package search finds messages by the keys of IMAP's SEARCH (RFC 9051 §6.4.4, RFC 3501 §6.4.4 and their
// extensions), sorts them (RFC 5256, RFC 5957) and joins them to threads (RFC 5256 §3). It is pure: it starts no
// goroutine, knows no clock, and reads contents only through what it is given.
//
// A tree of keys is compiled once into a [Program]. What a message is asked costs little, some or much: its
// [mail.Summary] lies in memory, its [message.Index] beside the message, its contents on a disk, perhaps
// another node's. So a program is evaluated in three passes, each over what the one before left open:
//
//	verdict := program.BySummary(summary)            // flags, dates, sizes, UIDs, ids
//	verdict = program.ByStructure(summary, index)    // SENT..., THREADID, fields of the header
//	found, err := reader.ByContents(ctx, ...)        // BODY, TEXT, fields of large headers and traces
//
// Between the passes a verdict is one of three: yes, no, or open. NOT of open is open; AND with a no is no, whatever
// is open beside it. So no contents are read where a cheap key decides.
//
// A Program does not change after Compile: any number of goroutines may evaluate it at once. A [Reader] has buffers,
// and belongs to one goroutine. Who wants to use several cores brings several goroutines, each with a Reader.
//
// # What matches
//
// A string key matches if its text, folded, is a substring of the message's text, folded. Folding is that of
// i;unicode-casemap (RFC 5051): each character to its title case, then decomposed. So "STRASSE" does not match
// "Straße", but "cafe" matches "Café", as that collation wants. SORT and THREAD compare by the same folding
// (RFC 5256 §5, I18NLEVEL=1).
//
// The text of a header field is its value unfolded, its encoded words (RFC 2047) decoded, and runs of blanks
// taken as one, in the field and in the key. The text of a body is that of each part of type text, and of each part of
// type message that is not a whole message, with its transfer encoding and its charset undone. A text does
// not go on from one part or field to the next. CR is not seen, so that a line ends the same way everywhere. BODY looks at no header at all, TEXT at all,
// also those of parts and of messages within. Markup is text.
//
// Of FROM, TO, CC, BCC, SUBJECT, and of HEADER with the name of a field of the envelope, the structure decides: if a bad
// message has several such fields, of the one that ENVELOPE shows. Encoded words and charsets are decoded by package
// message: what is not of the charset that was promised does not make a search fail. Other fields are looked for in those that
// the structure keeps as they stand there, and in the contents if it does not keep them (message.Index.Fields).
package search
