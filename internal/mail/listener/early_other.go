//go:build !(linux || darwin || freebsd || netbsd || openbsd)

package listener

import "net"

// pender is a connection that can tell whether a read would give bytes; test connections are.
type pender interface{ InputPending() bool }

// inputPending cannot look into a socket here.
func inputPending(c net.Conn) bool {
	p, ok := c.(pender)
	return ok && p.InputPending()
}
