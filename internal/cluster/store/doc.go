// Package store keeps a node's hard state: the objects it holds, durable on disk, laid out so
// that one bucket's owners are read in one stretch.
//
// # What a caller may rely on
//
// Apply and Accept return after an fsync covers the updates. What becomes of one, replication.Decide
// decides, knowing the copy and the update record that are there: the newest timestamp wins (Thomas
// write rule), and an older or equal update is no error, but a verdict. Contents, object record,
// update record and the owner's header are one atomic commit. A crash at any moment, with any part
// of the un-synced data lost, leaves every acknowledged update byte for byte, its update record
// until it is retired, headers that equal a recount, and nothing that belongs to no object (D3).
//
// Contents of a cached or an inline type lie in the record itself. Holding and ScanBucket give those of
// cached types; of the others only counts. Contents gives a page of an inline type's.
//
// What a type derives from contents (cluster.TypeSpec.Derive) is computed by the caller's goroutine and
// committed with them, and Derived gives it for many objects at once. It is the one thing here that may
// be lost: whoever asks for what is not there, damaged, or of another version, has it computed again.
//
// An update of a type that merges may find a copy that has something it lacks. Then the store makes,
// commits and logs a third update, which has both (replication.Join), and answers that the one which
// came is older.
//
// The update records are the log of replication, one for an object at most. Records gives them all
// when a node starts, Update what to send to another target, Retire drops those that are over. That
// costs no fsync: a record that is back after a crash is offered once more, and that is all.
//
// After a failed write or fsync of the log the store is dead: nothing is acknowledged any more,
// every call says so, Config.OnFatal is called, and the process must end (D10). An fsync that is
// tried again after it failed proves nothing.
//
// Contents are checked against their checksum before they are given out (D5), a range of large ones
// (OpenRange) chunk by chunk, and Heal replaces
// damaged ones by those of another replica. Deleted objects whose type says so stay in the vault for
// a while; Collect, which somebody must call now and then, removes them, and all else that is kept for
// a time only. When the disk has
// less than Config.MinFree left, new objects are refused with KindFull while reads and deletions
// go on; that ends by itself when there is room again (Q3).
//
// # Layout
//
// The storage engine is Pebble, a log-structured merge tree; docs/format.md describes every key
// and value byte by byte, and package internal/layout codes them. Three decisions matter:
//
//   - One header an owner, under its bucket: the counts and bytes of each of its fragments, a
//     fragment being a type and a replica set. It changes in the same commit as the object, so a
//     bucket scan, which rebuilds a manager's soft state (Porcupine §4.3), reads headers and
//     cached objects and never a message.
//   - Contents lie apart from the records, under a number that only grows. New contents are thus
//     always the last keys of their range, and compactions move whole files of them down the
//     tree in place of merging them again and again: a message is written to the log, once to a
//     table, and about once more.
//   - A key that was written once is removed by a single deletion, which vanishes when it meets
//     what it removes. A message that is fetched and deleted while it is still in the memtable
//     (64 MiB, many seconds of mail) never reaches a table at all, nor does its deletion.
//
// # Group commit
//
// One goroutine, the committer, owns every write. It takes all updates that wait, reads the
// records and headers they touch, decides, builds one batch and commits it with one fsync, or with
// none if it only drops what is over; while that runs, the next updates gather. All work that needs no order (reading and hashing contents,
// coding keys and records) is done before, by the caller's own goroutine. No lock is held over
// I/O anywhere in this package.
//
// Contents above one chunk (64 KiB) do not go through the committer: the caller's goroutine
// writes them as un-synced batches of one chunk, after an intent record. The log is a sequence,
// so the committer's fsync of the final batch, which also removes the intent, covers them. A
// crash in between leaves the intent, and Open removes its chunks. Memory stays flat.
package store
