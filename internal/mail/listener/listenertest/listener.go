package listenertest

import (
	"net"
	"net/netip"
	"sync"
)

// ServerAddr is the address of every Listener.
var ServerAddr = netip.MustParseAddrPort("192.0.2.25:110")

// Listener is a net.Listener whose connections are Pipes. It is safe for concurrent use.
type Listener struct {
	events chan event
	once   sync.Once
	done   chan struct{}
}

type event struct {
	conn *Conn
	err  error
}

var _ net.Listener = (*Listener)(nil)

// NewListener makes a listener.
func NewListener() *Listener {
	return &Listener{events: make(chan event), done: make(chan struct{})}
}

// Dial connects from an address; it returns when the connection was accepted, and fails when the
// listener is closed. server is the other end, for a look at its counters.
func (l *Listener) Dial(from netip.Addr) (client, server *Conn, err error) {
	client, server = Pipe(netip.AddrPortFrom(from, 40000), ServerAddr)
	select {
	case l.events <- event{conn: server}:
		return client, server, nil
	case <-l.done:
		return nil, nil, net.ErrClosed
	}
}

// Fail makes the next Accept fail with err.
func (l *Listener) Fail(err error) {
	select {
	case l.events <- event{err: err}:
	case <-l.done:
	}
}

// Accept waits for a Dial or a Fail.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case e := <-l.events:
		if e.err != nil {
			return nil, e.err
		}
		return e.conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Dial.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr gives ServerAddr.
func (l *Listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(ServerAddr) }
