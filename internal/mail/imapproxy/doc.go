// Package imapproxy gives IMAP sessions on any node the mail of any user: it implements the words that the
// front end asks for (internal/mail/imapserver/backend).
//
// What messages there are, with which UIDs and flags, it asks of the user's manager (package talk); it keeps no
// index. Contents and structures it reads from the nodes that hold the messages. What is stored (APPEND, COPY)
// goes the way of delivered mail, to nodes that are chosen by the same rules, BEFORE the manager is asked for
// numbers; if that fails it is removed again.
//
// Of a selected folder a session has the UIDs that its client knows, and a mark: how much of the folder's state
// the client has been shown. The mark goes along with each question. So when the manager changes nothing
// has to be set up again: the new manager goes on where the mark is, or says that it cannot, and then the session
// must end (C1).
//
// A user with sessions that watch is watched once for all of them, at the manager, for a while and again
// ([Proxy.Run]). When another manager takes the user over, the watch begins anew there, and all sessions look
// for themselves what has happened meanwhile.
//
// Duties of the caller: New, Register before the node starts, Run while it runs.
package imapproxy
