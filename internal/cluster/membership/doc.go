// Package membership is the Three Round Membership protocol of Porcupine (§4.2, after Cristian
// and Schmuck) as a pure state machine: who is in the cluster, in which epoch, and who manages
// which bucket. It has no goroutine, clock, socket, disk or randomness of its own; what it needs
// comes in with a call of [Core], what it wants done goes out in an [Output].
//
// # The protocol
//
// Any node that notices a change makes itself coordinator; nobody is elected beforehand.
//
//	round 1  coordinator -> all   NewGroup  proposed epoch, from its Lamport clock
//	round 2  all -> coordinator   Reply     a promise to install nothing smaller; the epoch
//	                                        installed now; absent nodes it knows
//	round 3  coordinator -> all   View      epoch, members, user map; acknowledged by ViewAck
//
// Who does not answer round 1 is not a member. Who does not acknowledge round 3 is left out of the
// next round, which starts at once. Of two coordinators the larger proposal wins: a node that
// has promised the larger one rejects the smaller and says so, and the loser yields, or goes above
// a promise whose coordinator has died.
//
// The new view continues the largest view among the answers (decide.go), so that a
// fresh node that happens to coordinate reshuffles nothing. A member keeps its Since iff it had
// that view installed and is in it. This stands on the promise: between a node's reply and the new
// view it cannot have been anywhere else. Hence the promise is durable before it is sent, and
// a restarted node begins above it.
//
// # How changes are noticed
//
//   - A member that dies: its predecessor on the ring of ids pings it, others may Suspect it
//     (watch.go). Only a round trip proves life.
//   - A node that starts, another group after a partition: probes of the acting coordinator
//     (probe.go). Only a round trip between the two coordinators starts a merger.
//   - A node that lags behind, was voted out while it stood still, or has restarted: every message
//     tells the sender's epoch, and answers to pings are compared (compareViews).
//   - A node that leaves: it coordinates the round that takes it out ([Core.Leave]).
//
// One-way links follow from that: nothing that a deaf or mute node sends can cause more than its own
// exclusion, since nobody takes it in again before a message has gone to it and back. When
// links are not transitive every node still ends in exactly one group, around a coordinator that
// reaches all its members; where two members that can both reach the coordinator cannot reach each other
// and are neighbours on the ring, one of them is taken in and lost again, at growing
// intervals (penalty.go).
//
// # Who is refused
//
// A node that was struck, by an administrator or after the grace period (absence.go), is never
// admitted again under its id. Nor is a process on an old copy of a data directory, nor the second of two
// processes on two copies (life.go). Whoever is refused is told so, by name of its process, and ends its part
// in the cluster ([Output].Refused). Striking is gossip, as all that is known of nodes: it travels with
// the replies of round 2 and with the views, and whoever makes a view leaves out those of whom a
// reply said just now that they are struck.
//
// # Cost
//
// In a quiet cluster of N nodes, whatever N: one ping and one pong per node and PingPeriod, and one
// probe per absent known node and ProbePeriodMax, from the acting coordinator alone; and while a
// node is absent, one durable write a minute. A change
// costs 5 N messages (new-group, reply, view, view-ack, and at most N repeats on a lossy network),
// two round trips and the gather delay. The user map is sent N times, from the coordinator, and
// fetched at most once, when the coordinator does not have the base view itself. The lists of
// known nodes carry absent nodes only, and replies carry them only if the coordinator's list differs.
//
// # The caller's duties
//
// They are listed, in order, at [Output]. Everything the core decides can be replayed from the
// calls made and the seed of its random numbers.
package membership
