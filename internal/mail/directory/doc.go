// Package directory knows who has a mailbox: domains, users, aliases and passwords.
//
// Each is one object of the substrate: a [Profile], an [Alias] or a [Domain], in versioned JSON,
// owned by its own canonical name. It lies on up to three nodes; the manager of the name keeps it
// in memory (the paper's user profile soft state), so every question is one call to one node.
//
// What the manager does not know may still exist, on a node that has not reported yet or is
// away. So there are three answers and not two: yes, no, and "cannot be known now". No is said
// only if the substrate proves it (cluster.Conclusive); this is invariant V1, and every method
// that can say KindNotFound, KindDenied or KindExists says when.
//
// Changes are made by the manager too, one at a time for each name. A change is sent to all replicas,
// members or not, and stands when one of them has it durable and the manager shows it: its update
// record brings it to the others, and nobody whom they ask hears the old version any more. What is
// new must be durable on two nodes, if two are known. A change is made against the version that its
// author saw; if another came between, it is made again. Two managers on two sides of a partition may
// both change one name: then the later change wins as a whole when the sides meet (Thomas write rule).
//
// Passwords are checked at the manager (package login), so a cluster spends one derivation on a
// user who logs in ten times at ten nodes.
//
// Caller's duties: New, then Register before the node starts, then all methods from any
// goroutine; Widen after each new view.
package directory
