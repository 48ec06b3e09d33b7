// Package imapserver speaks IMAP4rev1 (RFC 3501) and IMAP4rev2 (RFC 9051) with clients, on any node and for
// any user.
//
// A [Server] is the Handler of a listener.Server. It lives on three things: a sasl.Authenticator that says
// who the client is, a [Mailboxes] that opens the user's mail, and a spool that holds what APPEND brings. What
// the client knows of its selected folder is a view.View: only there sequence numbers have a meaning, and it
// changes only where the client may be told (U7). A session that cannot go on without telling its client
// something else than before ends with BYE (C1).
//
// The session is one goroutine, which reads. Answers are collected and written when no further command is in
// the input buffer, so a group of pipelined commands costs one write. A session that waits holds no buffer
// but a small one for its next line. While it waits inside IDLE, what happens in its folder is told by one of a few
// workers of the Server; who has the session's turn speaks for it, and nobody else.
//
// Every command has a file, or shares one with its family. Errors of the rooms beneath become answers in
// reply.go and nowhere else. A message that cannot be read to its end closes the connection, so that a client
// never takes a piece for the whole (D5).
package imapserver
