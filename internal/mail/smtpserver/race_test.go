//go:build race

package smtpserver_test

// raceDetector: memory and stacks are of other sizes with it.
const raceDetector = true
