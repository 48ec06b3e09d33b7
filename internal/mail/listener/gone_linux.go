package listener

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// States of a TCP connection (linux/tcp_states.h) in which its other end will send no more.
const (
	tcpClose     = 7
	tcpCloseWait = 8
	tcpLastAck   = 9
	tcpClosing   = 11
)

// isGone looks at the state of the socket. Bytes that are there to be read do not hide the end, as they
// would from a read: under TLS there always are some.
func isGone(c net.Conn) bool {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return true // closed
	}
	gone := false
	err = rc.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return
		}
		switch info.State {
		case tcpClose, tcpCloseWait, tcpLastAck, tcpClosing:
			gone = true
		}
	})
	return err != nil || gone
}
