// Package uidledger gives the messages of one folder their UIDs and modification sequences, so that two managers on two
// sides of a partition can both do it, and no number ever means two things (RFC 9051 §2.3.1.1, RFC 7162).
//
// It is pure: bytes, values and decisions. Three parts use one another in this order.
//
//   - The ledger of a folder: a [Head] and one [Chunk] for each [ChunkSlots] UIDs. They lie as objects on the ledger
//     replicas, the nodes of a [Set]. [Merge] joins any two versions of one.
//   - A replica's side: [Decide] answers one [Request] from the replica's own durable state. The caller holds a lock
//     from reading the state to writing it, and writes it durably BEFORE the reply goes out. A replica whose state is not found, and may
//     lie on a node that is away, goes on from what [Regain] gives.
//   - The manager's side: a [Manager] for one folder. It says what to ask and what to write, in an order that is
//     safety, and keeps the [View] that clients may be shown.
//
// # The rules
//
// The numbers are those of the design; a comment in the code cites them.
//
//   - L1: delivery knows nothing of UIDs. A message gets one when the folder is first shown to somebody.
//   - L2, L3: numbers come from leases. A dense lease is granted by all replicas of the set, a lane lease by one. A
//     replica's durable ceiling serialises what it grants, so all leases are disjoint, without clocks.
//     A dense one has what is needed, and more the longer a manager goes on; what is left is handed on (Config.Unused).
//   - L4: what is shown is durable before, on every replica that can be reached: first the chunks, then the head that
//     says what was shown.
//   - L5: the head knows, of each number below UIDNEXT, whether somebody was shown a view without it (Shown.Skipped).
//     A message that turns up late with such a number gets another one.
//   - L6: a manager writes only to replicas that it has read since it last failed to reach them, and brings them up to
//     all that it knows BEFORE it shows anything new.
//   - L7, L8: UIDNEXT is the largest that anybody was told, or one above the largest UID. UIDs stay below [UIDMax].
//   - L9: the set changes, and UIDVALIDITY grows, by a vote of the majority of the old set.
//   - L10: modification sequences are numbers of the same kind, with leases and a Shown of their own.
//   - L11: flags are registers, the last write of each stands. An expunged message stays expunged; one that nobody could delete
//     then is condemned: who finds it deletes it ([Manager.Condemn]). What was expunged long ago can be forgotten ([Manager.Forget]).
//   - L12, L13: see [Manager.Renew] and [View.Behind].
//
// # The caller's loop
//
//	m := New(config)
//	m.Read(snapshot)             // of every replica that can be reached, the head read BEFORE the chunks
//	m.Arrive(...), m.Depart(...) // all messages that lie in the folder; then each change
//	m.SetFlags(...), m.Expunge(...), m.Condemn(...)
//	for step, ok := m.Next(); ok; step, ok = m.Next() {
//		if len(step.Ask) > 0 { m.Answered(answers) } else { m.Written(durable) }
//	}
//	err := m.Waiting()           // why something that is wanted is not done
//	m.View()                     // what may be shown
//
// Between Next and Answered or Written only the view may be read and wishes be added (Arrive, Depart, SetFlags,
// Expunge, Condemn); Read and Lost wait. One owner, no lock.
package uidledger
