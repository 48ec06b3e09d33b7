// Package mail holds the words of the mail service: addresses, users, envelopes, message ids.
// It does no I/O. The service is built on the substrate of internal/cluster; nothing there knows
// of it.
package mail
