// Package index keeps the merged index of a user's mail at the user's manager: which messages there are,
// in which folders, with which UIDs and flags. Sessions on any node ask it (package talk), and show what
// it says.
//
// # Where it comes from
//
// The index is soft state. It is built when somebody first asks, of four things on disks: the messages
// where they lie (package survey), the tree of folders (package folders, one object), and for each
// folder its ledger of UIDs, flags and modification sequences (package uidledger), read at every ledger
// replica that can be reached. A message is in the folder of its newest stay; without one, in that which
// its attributes name, and for delivered mail that is INBOX. Nothing of the index is ever written as such: what a client is
// told is durable in the tree or in a ledger BEFORE it is told (L4, D4).
//
// It is thrown away and built anew when the view changes, and when it has been idle or memory is short: AFTER the ledgers say what it
// knows to be gone (part.go). Between that,
// the change feed tells what comes and goes at the holders; after a gap, or when a fragment is new, the
// messages are listed again.
//
// # Who may use it
//
// One question of a user is answered at a time, in turn: the turn is a token that is held across calls, no mutex, and
// no goroutine waits for a user who is idle. An index belongs to a term: the epoch in which the user's bucket was assigned
// to this node. It is not used, and nothing is answered from it, when this node's view says another term,
// before the work or after it.
//
// # What is believed to be gone
//
// A message that is in no listing is gone only if all nodes that hold mail of the user have been asked, twice, and none has it, while
// no fragment came meanwhile; and if among them are all nodes that may have it, or one that had it. A message that only a
// ledger knows is gone if besides no node at all is away. Otherwise it stays what it was: what is marked as expunged never
// comes back. What a node says that has just come back proves nothing, and what it alone has is not shown; in a moment it counts, and the
// messages are listed again.
//
// # What lies on nodes that are away
//
// A message whose nodes are all away is shown as the ledger has it, can be moved, which is the ledgers' business alone, and
// expunged: the mark in the ledger is durable, and says that the message is condemned. Whoever finds it later deletes it. POP3
// asks which messages are in INBOX (within.go), and does not show it either.
//
// A folder whose ledger is found nowhere, while a node is away that could have it, is closed: who asks for it gets KindUnavailable, and
// the user's other folders are open. A message that has left one of these, and is in no other, is shown nowhere until then
// (away.go). If it is INBOX's ledger, all folders wait. A ledger that is damaged at a node is, for its folder, one of a node that is
// away: others have it, or the folder is closed. After a minute it is looked at again, whether it is healed.
// So are the ledgers of a member that did not answer when they were read, first after CompleteWait.
//
// # How a ledger begins
//
// The first head of a folder says which nodes are its ledger replicas; only votes of these change them. Whoever makes folders, one that
// was asked for and those above it that were missing,
// writes their heads BEFORE the tree has them. The default folders of a new user any manager may begin, and two
// that do not know of each other, after the profile has moved, begin with different nodes. So these nodes go into the
// UIDVALIDITY that they begin under: no UID means two messages, and when the two meet the greater one stands.
//
// # Grants
//
// Beside this, every node is a ledger replica for some users: it raises its durable ceilings when a manager asks
// for numbers ([Indexes.Register], grant.go). What it has granted lies on it alone. If it is not there, since the node was drained and the drain was
// taken back, it is looked for on all members; while nodes are away that may have it, the node goes on above all that it can have granted, or
// gives no numbers.
//
// Duties of the caller: New, Register before the node starts, Run while it runs.
package index
