// Package placement decides where objects should lie that lie elsewhere (Porcupine §5; thesis ch. 7,
// "rebalancer"), as pure decisions over one bucket at a time: missing replicas of absent nodes,
// surplus ones, objects of a node on its way out, copies that share a machine, an uneven use of disks, too wide a spread.
//
// A [Planner] sees the objects of a node's own disk and the loads of the members ([World]), and
// gives [Move]s: an object's new replica set. The shell carries a move out as one or two updates
// with the same contents ([Move.Updates]), in order, the second only when the first is durable
// everywhere: so no object ever has fewer live replicas than it had, or than it should have
// (invariants R6, R7).
//
// # Who acts
//
// Every live holder of an object computes the same order of holders, from the hash of the object's
// id. The first acts at once, the second after TurnAfter if the need is still there, and so on. If
// two act all the same, the newer update wins, and no replica is lost by it.
//
// # Why a move cannot undo a change
//
// A move says nothing new about the contents. So its timestamp is not the time of day but a little
// (at most a millisecond) after that of the update it has read. It beats what it was made from,
// and loses to every change made since by anybody, whatever the order in which they arrive: a
// deleted message stays deleted, a new password stays the password.
package placement
