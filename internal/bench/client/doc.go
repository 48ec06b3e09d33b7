// Package client speaks SMTP (RFC 5321) and POP3 (RFC 1939) to a mail service, one session at a
// time, written by hand over the standard library's connections: it shares no code with any server.
//
// An [SMTP] or [POP3] session belongs to one goroutine. Every network step has a time limit; the end
// of the context given when dialling closes the connection, whatever the session is doing. A
// refusal by the service is a *[Refusal]; every other error means that the session is broken and
// can only be closed.
package client
