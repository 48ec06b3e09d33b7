// Package mailbox keeps a maildrop to one session at a time across the cluster (RFC 1939 §4).
//
// The lock of a user's maildrop is soft state of the user's manager: an entry of a table in
// memory (type table), given for a lease and renewed by the node that runs the session. Nothing
// is written to a disk. What follows is what can be promised so.
//
// A lock is given under a term: the epoch in which the user's bucket was last assigned, and the
// epoch since which the session's node is a member. A session holds its lock at a moment if its
// own node's view still says the same term, and its lease has not run out by its own clock.
//
//  1. Of all sessions on nodes that have installed one epoch, at most one holds the lock. In one
//     epoch a bucket has one manager (M3), whose table has one entry for a user. The manager
//     drops an entry in four cases, and in each the session holds it no longer: the session
//     released it; the lease ran out, by the session's clock earlier; the session's node left the
//     view or came back, so that its Since is another one in this and every later epoch; or the
//     bucket was assigned anew. A new manager, or one that lost its memory, has a new bucket
//     epoch, so that no older term counts.
//  2. Nodes with different epochs may disagree: while a view spreads (well under a second), and
//     while the network is parted, each side may give the lock once. When the sides meet, at
//     most one session keeps it.
//  3. When the manager dies or the bucket moves, a running session asserts its lock again at the
//     new manager as soon as its node sees the new view. For Config.Grace after a bucket was
//     assigned the manager gives no lock to newcomers, so that running sessions come first. The
//     grace is a courtesy; 1 does not rest on it.
//  4. A session that cannot hold its lock any longer hears it: Lost is closed, at the latest when
//     the lease runs out.
//  5. Confirm makes sure of the lock before something that cannot be undone. What was begun after
//     it, such as deletions on their way, may overlap with the first moments of the next holder.
//
// Leases are measured, not dated: each side counts from its own monotonic clock, the session from
// before its question, the manager from after it. Clocks need not agree, only run about as
// fast: leaseMargin is what they may differ by.
package mailbox
