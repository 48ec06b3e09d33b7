// Package smtpserver runs the server side of one SMTP connection: mail from other servers (RFC
// 5321), LMTP from a server beside us (RFC 2033) and submission from users (RFC 6409).
//
// A [Server] is made once for each role with New and takes accepted connections with ServeConn.
// What it decides is protocol alone. Whether a recipient exists, and what it takes to make a
// message durable, it asks a [Delivery]; who a user is, an [Authenticator]. Only here the kinds
// of their errors become replies, by one rule: what is proven is a 5xx, what is merely unknown
// or broken at the moment is a 4xx (invariant V1), and 250 means durable (D1, D2).
//
// Bytes that could be read in two ways end the connection. A message ends only at CR LF "." CR
// LF; a bare CR, a bare LF or a NUL anywhere, bytes that come before the greeting, and bytes
// that follow a command which must end its group (EHLO, DATA, STARTTLS, AUTH) are refused and
// the connection is closed, for every client alike. A connection that fails inside a message is
// closed without a reply.
//
// A session costs little while it waits: a read buffer of half a KiB and no write buffer. All
// larger buffers come from pools while a command needs them. Message data lies in pooled
// memory up to a limit and in an unlinked temporary file beyond it (package spool), of which one
// network has a share only.
package smtpserver
