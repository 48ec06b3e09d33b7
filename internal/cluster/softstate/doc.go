// Package softstate is the mail map of the paper, for any type of object (Porcupine §3, §4.3).
//
// The manager of a bucket knows, in memory only, what every member of its view holds for every
// owner in the bucket. Nothing of it is ever written to disk: when a bucket gets a manager that
// does not know it, each member scans that bucket of its own hard state and pushes what it
// finds. Both halves of the protocol are here, each a value without goroutine, clock or lock:
//
//   - [Reporter], what this node owes: one a node. It turns a newly installed view into scans
//     and pushes, and a changed holding into a registration, and forgets a debt only when the
//     manager of the current view acknowledged it.
//   - [Manager], what this node knows of the buckets it manages: one a node.
//
// The manager also sees what no update record knows of: see [Manager.Divergences].
//
// A third, [Confirmation], settles whether a negative answer may be given for good.
//
// # The idea, and why it is not enough
//
// "Push each fresh bucket to its new manager" loses mail from sight in four ways, and each has
// a rule here.
//
//  1. A push is lost, or refused because one side has not installed the view yet. So a bucket
//     stays owed until it is acknowledged in the epoch in which it was sent ([Reporter]).
//  2. A bucket is pushed while the node takes new mail for it. So holdings are whole states with
//     a sequence number, the newest wins, and a change after the scan began is sent on its own.
//  3. A lookup arrives before all members have pushed. So each push of a bucket ends with a
//     marker; until the manager has one from every member, it says [cluster.Partial] (S2, V1).
//  4. A member leaves and returns, and what the manager remembers of its first stay is no longer
//     true. So references belong to one continuous stay (member and Since), not to a node id.
//
// # Duties of the shell
//
// Call Install on both BEFORE the node sends or accepts anything in the new epoch. Install on
// the manager comes BEFORE Install on the reporter, since a node pushes to itself too. Commit to
// disk BEFORE Register. Carry out every [Output]: scan what it asks and call Scanned, deliver
// each [Push] to the manager it names (to itself by a plain call) and report its end with
// Answered. Call Tick when Deadline says so.
package softstate
