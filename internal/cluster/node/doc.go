// Package node runs one node of the substrate: the one loop that drives the pure cores, the
// server side of the calls between nodes, and the client side that services build on.
//
// # What runs where
//
// One goroutine, the loop, owns the membership core and the reporter of the soft state. It takes
// events one at a time, feeds a core, and carries out what the core puts out, in this order:
// what must be durable is made durable BEFORE a message that depends on it is sent; a new view is
// installed in the manager of the soft state BEFORE requests of its epoch are admitted, and there
// BEFORE the reporter, since a node reports to itself too. Disk scans and calls run in goroutines
// of their own and come back to the loop as events. The loop never waits for one of them, and
// nothing it calls posts an event, so that a full queue only makes the outside wait. The log of the
// update records is the loop's too; what commits leave for it comes by a queue of its own (records.go).
//
// The manager of the soft state answers lookups from many goroutines: it stands behind a mutex
// that is never held across I/O. The view changes under the same mutex: no lookup sees one without
// the other.
//
// # How an update travels
//
// The node that a service asks is the initiator: it sends the update to the whole replica set at once,
// itself by a plain call (update.go). Each target commits the copy and, where there are several, an
// update record in one batch, tells its log AFTER that, and answers (target.go). When all have it
// the initiator retires the record, in batches that nobody answers (retirer.go). Nothing else happens
// while nothing fails: with R = 2 that is two commits side by side, at most two calls, and a share of
// a batch. If a target does not answer, or the initiator dies, the log of a target finds out: it
// offers the update, without contents, to those that may lack it, and brings the contents to those that
// want them (catchup.go, bring.go), within limits that leave the disks to the clients. At a start the
// records on the disk are in the log BEFORE the node serves. Three things a record cannot mend: a
// commit whose caller had gone, which is asked for again (doubt.go); a call that comes so late that
// a deletion may be forgotten, which is refused (target.go); and updates that know nothing of each
// other, which the soft state sees (reconcile.go).
//
// # What services see
//
// An object has an owner; the owner's manager knows what exists ([Node.Lookup]). Writing goes
// through [Node.Update]: nil when the object is durable on all of its replicas and the owner's manager
// has been told, a cluster.Shortfall when it is on some. Reading goes to a node that holds the object
// ([Node.List], [Node.Open]). A service's own calls go to the owner's manager ([Node.Ask],
// [Node.Serve]) or to one node ([Node.Tell]). All
// of them find the node concerned by the installed view, and try again over a change of view
// until their context ends: a caller sees KindUnavailable, never a stale answer. A call that is
// under way to a node that leaves the view ends at once.
//
// # What is never said
//
// That something does not exist, for good, while it may (V1). An entry is Conclusive only if every
// member has reported the bucket, so few nodes are absent that nothing can lie on them alone, and
// all members have said, AFTER the question was put, that they are still in the epoch of the
// answer (confirm.go): a process that was stopped for a while does not know what it has missed. A
// node that was told of others and has not met one yet proves nothing at all. And a cached object is not
// acknowledged before the owner's manager has it.
//
// # Order of life
//
// New, Serve for each method of a service, Start, and Stop, which leaves the view on purpose so
// that nobody has to time out. Then its owner closes the link, and then the store.
package node
