// Package test runs whole clusters: real node processes of the program as built from this tree,
// on loopback, with real clients, kill -9 and restarts. Everything it starts it ends, by process
// id. Nothing but Go is needed; what needs more skips with a reason.
//
// The tests run one after the other: each cluster wants the machine for itself. With -short only
// the first steps of a new user are tested.
package test
