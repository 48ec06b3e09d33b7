// Package smtp is the grammar of SMTP as a server needs it: bytes to values and back, with no
// I/O, no clock and no state beyond the value at hand.
//
//   - [ParseCommand] takes a command line apart; [ParseHello], [ParseMail], [ParseRcpt],
//     [ParseBDAT] and [ParseAuth] read the arguments (RFC 5321 §4.1, and the extensions that
//     each names).
//   - [Reply] is what a server says: a constant such as "550 5.1.1 no such mailbox".
//   - [Dot] finds the end of DATA and takes the dots off (RFC 5321 §4.5.2); [Text] watches over
//     the chunks of BDAT (RFC 3030). Both refuse what two programs could read in two ways.
//   - [Header] watches a message's header go by: how many Received fields, and who it is from.
//   - [Received] and [AppendReturnPath] write trace fields (RFC 5321 §4.4).
//
// Whatever does not parse gives a [SyntaxError], which carries the reply to give. No reply ever
// repeats what the client sent.
package smtp
