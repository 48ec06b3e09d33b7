// Package imap is the grammar of IMAP4rev1 (RFC 3501) and IMAP4rev2 (RFC 9051) with their extensions: commands
// and responses as values, to and from octets. It does no I/O, keeps nothing between commands, and never panics
// on any input. All work is linear in the input.
//
// A server reads a command so:
//
//  1. It reads a line, without its CR LF, and gives it to [Scanner.Line]. [Next] says that the command is
//     complete, or that a literal follows, and of which size.
//  2. Of a literal that is short it gives the octets to [Scanner.Literal]. Of a literal that is a message
//     (Next.Message) it may look at what was said so far with [Scanner.Partial], check state and quota BEFORE
//     it asks for the octets ("+ ", unless Next.NonSync), streams them to where it keeps them, and says
//     [Scanner.Streamed]. Then comes the next line.
//  3. When the command is complete, [Scanner.Parse] gives the [Command], or a [*SyntaxError] to be answered
//     with BAD. [Scanner.Reset] makes it ready for the next one.
//
// An error of Line or Literal ends the command as well. When its Close is set the octets that follow cannot be
// told from commands: answer BYE and close, never go on reading.
//
// Responses are written with an [Encoder]: it appends to memory, and for what is long says how many octets
// follow; the server writes them itself. [Scanner.Response] reads what an Encoder wrote; clients use it.
//
// What IMAP calls a mailbox is a folder here. Names of folders are UTF-8 in NFC inside, whatever the client
// speaks; a [Dialect] says what it speaks.
package imap
