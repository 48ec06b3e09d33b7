// Package pop3server serves mailboxes to POP3 clients: RFC 1939 without APOP, with CAPA and
// PIPELINING (RFC 2449), STLS (RFC 2595), AUTH (RFC 5034) and the response codes of RFC 2449 and
// RFC 3206.
//
// A [Server] is the Handler of a listener.Server, and lives on two things: a sasl.Authenticator
// that says who the client is, and a [Maildrops] that opens the user's mailbox. What a session
// sees is fixed when the mailbox is opened. DELE only marks; marked messages are deleted by QUIT
// alone (P2), and QUIT says +OK only if the deletions are durable (D4).
//
// The session is one goroutine. Answers are collected and written when no further command is in
// the input buffer, so a group of pipelined commands costs one write. An idle session holds no
// buffer but its 512 octets for a command line.
//
// Errors of the rooms beneath become replies here and nowhere else: the table is in reply.go. A
// message that cannot be read to its end closes the connection before the terminator, so that a
// client never takes a piece for the whole (D5).
package pop3server
