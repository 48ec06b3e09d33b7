package transport

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"

	"porcupine/internal/cluster"
)

// Limits and times of the connections that a port makes.
const (
	// PeersMax is how many peers are kept connections for.
	PeersMax = 8192
	// peerIdleMax is how long a peer is kept without a call; then its connections are closed.
	peerIdleMax = 2 * time.Minute
	sweepPeriod = 10 * time.Second

	// A connection that broke is tried again within reconnectDelayMax, whoever calls or not: a
	// peer that was started again is reachable at once. Meanwhile calls fail without waiting.
	reconnectDelayMin = 20 * time.Millisecond
	reconnectDelayMax = 200 * time.Millisecond
	connectTimeout    = 2 * time.Second

	// keepaliveTime and keepaliveTimeout reap a peer that vanished (10 s is gRPC's least).
	keepaliveTime    = 10 * time.Second
	keepaliveTimeout = 5 * time.Second

	streamWindow = 512 << 10 // bytes under way in one stream
	connWindow   = 2 << 20   // and in one connection

	headerListMax = 16 << 10 // bytes of HTTP/2 headers of a call: ours have some 200
)

// The connections to one peer: control calls never wait behind bodies.
const (
	control = iota
	bulk
	lineCount
)

// peers are the nodes called, and the connections to them.
type peers struct {
	creds Credentials
	dial  func(ctx context.Context, addr string) (net.Conn, error)
	pool  mem.BufferPool

	mu     sync.Mutex
	closed bool
	swept  time.Time
	known  map[peerKey]*peerConns
}

// peerKey is a node's id or, of a stranger, the address.
type peerKey struct {
	node cluster.NodeID
	addr string // empty if node is known
}

// peerConns are the connections to one peer at one address. Guarded by peers.mu.
type peerConns struct {
	addr    string
	lines   [lineCount]*grpc.ClientConn // nil: not called yet
	calls   int                         // under way
	used    time.Time
	retired bool // not in known any more: closed with its last call
}

// acquire gives the connection for a call to an endpoint. Release it afterwards.
func (p *peers) acquire(to cluster.Endpoint, line int) (*grpc.ClientConn, *peerConns, error) {
	now := time.Now()
	key := peerKey{node: to.ID}
	if to.ID == cluster.NoNode {
		key.addr = to.Addr
	}
	p.mu.Lock()
	cc, c, dead, err := p.locked(key, to, line, now)
	p.mu.Unlock()
	closeAll(dead)
	return cc, c, err
}

// locked is acquire. Preconditions: p.mu is held. The connections it gives as dead are to be closed
// without it.
func (p *peers) locked(key peerKey, to cluster.Endpoint, line int, now time.Time) (*grpc.ClientConn, *peerConns, []*grpc.ClientConn, error) {
	if p.closed {
		return nil, nil, nil, net.ErrClosed
	}
	var dead []*grpc.ClientConn
	if now.Sub(p.swept) >= sweepPeriod {
		p.swept = now
		dead = p.sweep(now.Add(-peerIdleMax))
	}
	c := p.known[key]
	if c != nil && c.addr != to.Addr { // the node has moved
		dead = append(dead, p.retire(key, c)...)
		c = nil
	}
	if c == nil {
		if len(p.known) >= PeersMax {
			dead = append(dead, p.sweep(now)...)
		}
		if len(p.known) >= PeersMax {
			return nil, nil, dead, fmt.Errorf("calls to %d nodes are under way, the most there may be", PeersMax)
		}
		c = &peerConns{addr: to.Addr}
		p.known[key] = c
	}
	if c.lines[line] == nil {
		cc, err := p.connect(to)
		if err != nil {
			return nil, nil, dead, err
		}
		c.lines[line] = cc
	}
	c.calls++
	c.used = now
	return c.lines[line], c, dead, nil
}

// release ends a call.
func (p *peers) release(c *peerConns) {
	p.mu.Lock()
	c.calls--
	var dead []*grpc.ClientConn
	if c.retired && c.calls == 0 {
		dead = c.lines[:]
	}
	p.mu.Unlock()
	closeAll(dead)
}

// retire forgets a peer's connections. Preconditions: p.mu is held.
func (p *peers) retire(key peerKey, c *peerConns) (dead []*grpc.ClientConn) {
	delete(p.known, key)
	c.retired = true
	if c.calls > 0 {
		return nil
	}
	return c.lines[:]
}

// sweep retires what was not used since. Preconditions: p.mu is held.
func (p *peers) sweep(since time.Time) (dead []*grpc.ClientConn) {
	for key, c := range p.known {
		if c.calls == 0 && c.used.Before(since) {
			dead = append(dead, p.retire(key, c)...)
		}
	}
	return dead
}

// wake has a node's broken connections tried again at once: it has just called, so it is there.
func (p *peers) wake(node cluster.NodeID) {
	p.mu.Lock()
	var lines [lineCount]*grpc.ClientConn
	if c := p.known[peerKey{node: node}]; c != nil {
		lines = c.lines
	}
	p.mu.Unlock()
	for _, cc := range lines {
		if cc != nil {
			cc.ResetConnectBackoff()
		}
	}
}

// close cuts all connections, and with them the calls under way.
func (p *peers) close() {
	p.mu.Lock()
	p.closed = true
	var dead []*grpc.ClientConn
	for key, c := range p.known {
		delete(p.known, key)
		dead = append(dead, c.lines[:]...)
	}
	p.mu.Unlock()
	closeAll(dead)
}

func closeAll(conns []*grpc.ClientConn) {
	for _, cc := range conns {
		if cc != nil {
			_ = cc.Close() // fails only if closed already
		}
	}
}

// connect makes a connection that is dialled with its first call.
func (p *peers) connect(to cluster.Endpoint) (*grpc.ClientConn, error) {
	creds := clientCreds{creds: p.creds, tls: p.creds.ClientTLS(to.ID)}
	return grpc.NewClient("passthrough:///"+to.Addr,
		grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(p.dial),
		grpc.WithAuthority("porcupine"),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: reconnectDelayMin, Multiplier: 2, Jitter: 0.2, MaxDelay: reconnectDelayMax},
			MinConnectTimeout: connectTimeout,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout, PermitWithoutStream: true}),
		grpc.WithIdleTimeout(peerIdleMax),
		grpc.WithStaticStreamWindowSize(streamWindow),
		grpc.WithStaticConnWindowSize(connWindow),
		grpc.WithMaxHeaderListSize(headerListMax),
		grpc.WithSharedWriteBuffer(true),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		grpc.WithNoProxy(),
		experimental.WithBufferPool(p.pool),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(codec{p.pool}),
			grpc.MaxCallRecvMsgSize(messageSizeMax),
			grpc.MaxCallSendMsgSize(messageSizeMax),
		),
	)
}
