//go:build linux || darwin || freebsd || netbsd || openbsd

package listener

import (
	"net"
	"syscall"
)

// pender is a connection that can tell whether a read would give bytes; test connections are.
type pender interface{ InputPending() bool }

// inputPending looks whether bytes wait in the socket, without taking them.
func inputPending(c net.Conn) bool {
	if p, ok := c.(pender); ok {
		return p.InputPending()
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	pending := false
	err = rc.Read(func(fd uintptr) bool {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		pending = err == nil && n > 0
		return true // never wait
	})
	return err == nil && pending
}
