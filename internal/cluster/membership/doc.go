// Package membership is the Three Round Membership protocol (Porcupine §4.2, after Cristian and
// Schmuck) as a pure state machine: it has no goroutine, clock, socket, disk or randomness of its
// own. See [Core].
package membership
