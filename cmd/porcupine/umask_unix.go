//go:build unix

package main

import "syscall"

// restrictFiles keeps all that the process makes from other users of the machine: mail, keys,
// sockets.
func restrictFiles() { syscall.Umask(0o077) }
