// Package listener is the door that the mail front ends share: it accepts connections, counts
// them, refuses what is too much with one cheap line, does TLS, and gives every connection a
// goroutine of its own in which a panic harms nobody else.
//
// A front end makes a [Server] with [New] and calls [Server.Serve] once for each net.Listener
// that speaks the same service in the same way. For every connection that passes the [Gate]
// the Server calls the front end's [Handler]; when the Handler returns, the connection is
// closed. A front end does three things for the door in return:
//
//  1. Before it blocks for the client's next command it calls [Conn.AwaitInput], and after
//     bytes came, [Conn.Busy]. Only between the two may the door interrupt a read, so that a
//     Shutdown wakes idle sessions at once and lets busy ones finish their command.
//  2. When AwaitInput gives [ErrInterrupted], or a read fails and [Conn.Interrupted] is true,
//     it says goodbye in its protocol and returns.
//  3. It discards what it has buffered, and closes if that was anything, before it calls
//     [Conn.StartTLS] (attack 3, STARTTLS injection). Bytes that had not yet been read from the
//     socket end up in the TLS handshake, which fails on them.
//
// TLS is the same everywhere: version 1.2 or newer, forward secrecy and authenticated
// encryption only, one ALPN name a service with an alert for a client that offers others only
// (RFC 7301 §3.2; the ALPACA attack), and session tickets that only the listener that made
// them accepts, since every Server makes a tls.Config of its own.
//
// PROXY protocol is not spoken: the peer address is the TCP peer.
package listener
