// Package mbox reads and writes mail in one file (RFC 4155), as it comes out of other mail programs and goes into
// them.
//
// A message begins with a line "From sender date", at the beginning of the file or after an empty line, and ends
// before the next. Lines of a message that begin with "From ", after any number of ">", have one ">" more in the
// file (the variant called mboxrd), so that they are not taken for that; it is taken away in reading. A
// file that was written without the rule that quoted lines are quoted again (mboxo) reads almost as well: a line
// that had ">From " before loses its ">".
//
// Lines end in the file with LF, or CR LF. Read they end with CR LF, as messages do (RFC 5322 §2.1); written they
// end with LF. A CR that a line has before its end is lost: the format cannot tell it from the end. Flags stand in the header fields Status and X-Status, which many programs use; in reading
// they are told and stay where they are, in writing they are made anew.
package mbox
