// Package sim plays whole clusters in one goroutine, from one seed.
//
// It runs the real cores (membership, the user map, soft state, the balancer) in a shell that is
// simulated: an event heap in place of time, a matrix of links in place of a network, a map in
// place of a disk. Nothing runs at the same moment, nothing reads a clock, and every part draws
// from its own random stream, so a seed is a bug report: the same seed gives the same run, event
// by event, which the trace hash proves.
//
// A run has two phases. In the first, faults are thrown at the cluster, and safety is checked at
// every event that could break it: nothing false may be said, at any time. In the second, all
// faults end, all nodes run, and the cluster must converge: what is true must be said again.
//
// Which faults a run has, how often and how hard, is drawn from the seed too (swarm testing): a
// run with everything at once hides what a run with one fault shows.
//
// The invariants have names: see invariant.go. docs/simulation.md says how to run it, what it
// found, and how many seeds each of the deliberately planted bugs takes to be found.
package sim
