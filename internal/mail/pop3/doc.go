// Package pop3 is the grammar of POP3 (RFC 1939, RFC 2449, RFC 5034, RFC 2595): command lines to
// values, and values to replies. It does no I/O of its own, keeps nothing, and never panics on
// any input.
//
// [Parse] reads one command line. [DotWriter] writes the text of a message as the multi-line
// reply of RETR; [HeadWriter] in front of it makes that of TOP. The Append functions build the
// one-line pieces of replies without allocating.
package pop3
