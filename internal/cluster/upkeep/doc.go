// Package upkeep does what a node does all the time beside serving: it restores replicas that are
// missing, evens out disks, empties a node that shall leave, looks for divergences that no update
// record remembers, and reads its contents for damage.
//
// It knows objects and replica sets, not what they mean. What shall move where is decided by
// package placement; this package carries it out with ordinary updates, at a bounded rate. Its
// state is the hard state itself: a task that is interrupted begins again and finds what is left.
//
// # Tasks
//
//   - repair: after each change of view, when an absent node's time is up, and from time to time. It
//     reads owners' headers to find the buckets that may need something, and lists only those.
//   - apart: when nothing needs repair, at the rate of rebalancing and at any time of day: of two copies on one machine
//     one is moved to another machine.
//   - rebalance: the same pass, in its window, with permission for moves that nobody needs.
//   - drain: a flag that outlives the process. The node takes no new objects, moves off what it
//     has, and calls Config.OnDrained when nothing is left.
//   - compare: a digest for each bucket and each replica set that two nodes share. Where they differ, the
//     two exchange lists, look again, and send the newest version to all holders (R7). That something is
//     absent elsewhere is never a reason to delete it here.
//   - scrub: reads all contents. What is damaged is fetched from another copy, of whoever has one. If
//     nobody has it, it is reported and left alone (D5); while one who may have it does not answer,
//     he is asked again.
//   - collect: what the store keeps for a time only.
//
// # Duties of the caller
//
// New, then Register before the node starts, then Run, which returns when its context has ended and
// all that it began has. Report what node and store find damaged with Damaged.
package upkeep
