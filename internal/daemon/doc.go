// Package daemon is one running node: it reads the configuration, opens every room, plugs them
// together, and stops them in reverse order. It is the one place that imports everything, and
// it decides nothing else.
//
// The order of life, each step standing on those before it:
//
//	identity, store           who the node is and what it holds
//	link, node                the other nodes; the view, the soft state
//	directory, delivery,      the mail service on this node; its methods are registered
//	retrieval, locks          BEFORE the node starts to answer
//	doors                     the admin socket and the monitoring listener
//	front ends                SMTP, LMTP, submission, POP3
//
// Stopping begins at the front: no new clients, running sessions finish within their grace, and
// meanwhile the doors tell how it goes. Then the node leaves the view on purpose, so that the
// others need not time out, and the disk is closed last. What can no longer keep a promise (a
// disk that failed, a listener that does not accept) ends the process with an error.
//
// A node that the others refuse for good ends its life in the same order, but not its process: its store
// is renamed, it takes a new identity, and a new life begins with an empty store (aside.go).
package daemon
