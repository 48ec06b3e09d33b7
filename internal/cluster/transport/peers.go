package transport

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
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
	// brokenIdleMax is how long one whose connections are broken is kept without a call: five attempts a second to reach a
	// node that is dead, by each of the others, are for those who want to call it. The next call dials anew, and waits
	// for that.
	brokenIdleMax = 5 * time.Second

	// A connection that broke is tried again within reconnectDelayMax, whoever calls or not: a
	// peer that was started again is reachable at once. Meanwhile calls fail without waiting.
	reconnectDelayMin = 20 * time.Millisecond
	reconnectDelayMax = 200 * time.Millisecond
	connectTimeout    = 2 * time.Second

	// keepaliveTime and keepaliveTimeout reap a peer that vanished (10 s is gRPC's least).
	keepaliveTime    = 10 * time.Second
	keepaliveTimeout = 5 * time.Second

	streamWindow = 256 << 10 // bytes under way in one stream: what a body that nobody reads may hold
	connWindow   = 2 << 20   // and in one connection

	headerListMax = 16 << 10 // bytes of HTTP/2 headers of a call: ours have some 200

	// readBuffer is what gRPC keeps for each connection, idle or not, to read frame headers with.
	// TLS reads from the socket in whole records, so a larger one saves nothing, and the parts of
	// large messages go past a small one straight into their place.
	readBuffer = 4 << 10
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

	closing sync.WaitGroup // connections that are watched, or being closed; Add only with mu held and not closed

	mu      sync.Mutex
	closed  bool
	swept   time.Time
	known   map[peerKey]*peerConns
	retired map[*peerConns]struct{} // not in known any more, but with calls under way
}

func newPeers(creds Credentials, dial func(ctx context.Context, addr string) (net.Conn, error), pool mem.BufferPool) *peers {
	return &peers{creds: creds, dial: dial, pool: pool, known: make(map[peerKey]*peerConns), retired: make(map[*peerConns]struct{})}
}

// peerKey is a node's id or, of a stranger, the address.
type peerKey struct {
	node cluster.NodeID
	addr string // empty if node is known
}

// peerConns are the connections to one peer at one address. Guarded by peers.mu.
type peerConns struct {
	addr   string
	lines  [lineCount]*grpc.ClientConn // nil: not called yet
	tracks [lineCount]tracks           // with a lock of their own
	calls  int                         // under way
	used   time.Time
}

// acquire gives the connection for a call to an endpoint. Release it afterwards.
func (p *peers) acquire(to cluster.Endpoint, line int) (*grpc.ClientConn, *peerConns, error) {
	now := time.Now()
	key := peerKey{node: to.ID}
	if to.ID == cluster.NoNode {
		key.addr = to.Addr
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, net.ErrClosed
	}
	if now.Sub(p.swept) >= sweepPeriod {
		p.swept = now
		p.sweep(now.Add(-peerIdleMax))
		p.giveUp(now.Add(-brokenIdleMax))
		p.trim(now.Add(-trackIdleAfter))
	}
	c := p.known[key]
	if c != nil && c.addr != to.Addr { // the node has moved
		p.retire(key, c)
		c = nil
	}
	if c == nil {
		if len(p.known) >= PeersMax {
			p.sweep(now)
		}
		if len(p.known) >= PeersMax {
			return nil, nil, fmt.Errorf("calls to %d nodes are under way, the most there may be", PeersMax)
		}
		c = &peerConns{addr: to.Addr}
		p.known[key] = c
	}
	if c.lines[line] == nil {
		cc, err := p.connect(to)
		if err != nil {
			return nil, nil, err
		}
		c.lines[line] = cc
		p.closing.Go(func() { c.tracks[line].watch(cc) }) // until hangUp
	}
	c.calls++
	c.used = now
	return c.lines[line], c, nil
}

// release ends a call.
func (p *peers) release(c *peerConns) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.calls--
	if _, retired := p.retired[c]; retired && c.calls == 0 {
		delete(p.retired, c)
		p.hangUp(c)
	}
}

// retire forgets a peer's connections; they are closed with the last call. Preconditions: p.mu is
// held.
func (p *peers) retire(key peerKey, c *peerConns) {
	delete(p.known, key)
	if c.calls > 0 {
		p.retired[c] = struct{}{}
		return
	}
	p.hangUp(c)
}

// sweep retires what was not used since. Preconditions: p.mu is held.
func (p *peers) sweep(since time.Time) {
	for key, c := range p.known {
		if c.calls == 0 && c.used.Before(since) {
			p.retire(key, c)
		}
	}
}

// giveUp retires what was not used since and cannot be reached. Preconditions: p.mu is held.
func (p *peers) giveUp(since time.Time) {
	for key, c := range p.known {
		if c.calls == 0 && c.used.Before(since) && c.isBroken() {
			p.retire(key, c)
		}
	}
}

// isBroken reports that no connection to the peer stands, and that one was tried in vain.
func (c *peerConns) isBroken() bool {
	broken := false
	for _, cc := range c.lines {
		if cc == nil {
			continue
		}
		switch cc.GetState() {
		case connectivity.TransientFailure:
			broken = true
		case connectivity.Ready, connectivity.Connecting:
			return false
		}
	}
	return broken
}

// trim gives up the tracks that were not used since. Preconditions: p.mu is held.
func (p *peers) trim(since time.Time) {
	for _, c := range p.known {
		for line := range c.tracks {
			c.tracks[line].trim(since)
		}
	}
}

// hangUp closes the connections to a peer, each by itself: a peer that takes nothing any more holds
// that up for seconds, and nobody else's call must wait for it. Preconditions: p.mu is held, p is
// not closed, or closes.
func (p *peers) hangUp(c *peerConns) {
	for _, cc := range c.lines {
		if cc != nil {
			p.closing.Go(func() { _ = cc.Close() }) // fails only if closed already
		}
	}
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
	if !p.closed {
		p.closed = true
		for _, c := range p.known {
			p.hangUp(c)
		}
		for c := range p.retired {
			p.hangUp(c)
		}
		p.known, p.retired = nil, nil
	}
	p.mu.Unlock()
	p.closing.Wait()
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
		grpc.WithReadBufferSize(readBuffer),
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
