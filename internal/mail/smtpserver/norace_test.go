//go:build !race

package smtpserver_test

const raceDetector = false
