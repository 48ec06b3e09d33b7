package transport

import (
	"errors"
	"net"
	"sync"
)

// Limits of the connections that a port takes. What is over is closed at once, unread.
const (
	// ConnsMax is how many connections may stand: two for each of 4,096 peers.
	ConnsMax = 8192
	// HandshakesMax is how many of them may be in the TLS handshake or in a join: what a stranger
	// can have at all.
	HandshakesMax = 256
	// HandshakesPerHostMax is how many of these may come from one address, so that one host
	// cannot lock out the others.
	HandshakesPerHostMax = 64
)

var errGateFull = errors.New("too many unfinished handshakes on the cluster port")

// gate counts connections.
type gate struct {
	mu         sync.Mutex
	conns      int
	handshakes int
	perHost    map[string]int
}

// enter counts an unfinished handshake from that address, and gives the function that ends it.
func (g *gate) enter(addr net.Addr) (leave func(), err error) {
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		host = addr.String() // no host:port, as on an in-memory network: still one counter
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.handshakes >= HandshakesMax || g.perHost[host] >= HandshakesPerHostMax {
		return nil, errGateFull
	}
	g.handshakes++
	g.perHost[host]++
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.handshakes--
		if g.perHost[host]--; g.perHost[host] == 0 {
			delete(g.perHost, host)
		}
	}), nil
}

func (g *gate) connect() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conns >= ConnsMax {
		return false
	}
	g.conns++
	return true
}

func (g *gate) disconnect() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conns--
}

// gatedListener counts the connections of a listener.
type gatedListener struct {
	net.Listener
	gate *gate
}

func (l gatedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.gate.connect() {
			return &gatedConn{Conn: c, leave: sync.OnceFunc(l.gate.disconnect)}, nil
		}
		_ = c.Close() // over the limit; nothing was said yet
	}
}

type gatedConn struct {
	net.Conn
	leave func()
}

func (c *gatedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
