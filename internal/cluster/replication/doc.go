// Package replication is optimistic replication (Porcupine §4.4, thesis ch. 5) as pure decisions:
// no goroutine, clock, lock or I/O. An object is updated anywhere, as a whole, without locks; of two
// updates the newer wins on every replica; a durable update record at each target makes sure
// that all targets hear of it, whoever dies.
//
// Three parts, in the order in which an update meets them:
//
//   - [Propagation], at its initiator: one update on its way to all targets at once. It says when
//     the initiator may promise durability, and what may be retired.
//   - [Decide], at each target, under the store's commit: what becomes of the copy and the record
//     (Thomas write rule, "add targets", guards against late copies).
//   - [Log], at each target: the records not retired. It says which other target must be offered
//     which of them, and when all have acknowledged.
//
// [AfterRetirement] and [Forget] say when a record may go.
//
// # The duties of the shell
//
// Commit copy and record together, durably, BEFORE answering. Call Log.Added AFTER the commit and
// BEFORE answering, for every record that Decide left to propagate. A retirement need not be durable: if it is lost, the
// record is offered once more, and everybody says that he has it.
package replication
