// Package test runs whole nodes and clusters: real processes of the program as built from this tree,
// on loopback, with real clients, kill -9 and restarts. Everything it starts it ends, by process
// id. Nothing but Go is needed; what needs more (python3 and a corpus of messages, curl, root for a
// small disk) skips with a reason.
//
// Tests that measure or flood run one after the other: their cluster wants the machine for itself.
// The others mostly wait, and run beside each other, each on ports of its own. With -short only
// the first steps of a new user and what is quick are tested; with PORCUPINE_CLUSTER_TESTS set
// (make cluster) the loads are long and the samples many. What is measured is logged: run with -v.
package test
