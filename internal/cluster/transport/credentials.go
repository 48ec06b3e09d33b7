package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"

	"porcupine/internal/cluster"
)

// HandshakeTimeoutDefault bounds the handshake, from the accepted connection to the first RPC byte.
const HandshakeTimeoutDefault = 5 * time.Second

// rpcProtocol is the ALPN name under which gRPC runs.
const rpcProtocol = "h2"

// authInfo is what gRPC keeps of a connection's handshake: the peer's id.
type authInfo struct{ node cluster.NodeID }

// AuthType names the kind of proof.
func (authInfo) AuthType() string { return "porcupine" }

// serverCreds guard the listener: gRPC gets a connection only after its peer has proven to be a
// node of this cluster (A3). The connection of a joiner never gets there.
type serverCreds struct{ port *Port }

var _ credentials.TransportCredentials = serverCreds{}

func (s serverCreds) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	p := s.port
	leave, err := p.gate.enter(raw.RemoteAddr())
	if err != nil {
		p.logRefusal(raw.RemoteAddr(), err)
		return nil, nil, err // gRPC closes raw
	}
	conn := tls.Server(raw, p.serverTLS)
	if err := conn.HandshakeContext(p.life); err != nil { // raw has a deadline, set by gRPC
		leave()
		p.logRefusal(raw.RemoteAddr(), err)
		return nil, nil, err
	}
	state := conn.ConnectionState()
	if state.NegotiatedProtocol != rpcProtocol {
		p.background.Go(func() {
			defer leave()
			p.serveJoin(conn, raw)
		})
		return nil, nil, credentials.ErrConnDispatched
	}
	leave()
	node, err := p.creds.Peer(state)
	if err != nil {
		return nil, nil, err
	}
	p.peers.wake(node)
	return conn, authInfo{node}, nil
}

func (serverCreds) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, credentials.ErrConnDispatched // not reached: these serve the listener alone
}

func (serverCreds) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}
func (s serverCreds) Clone() credentials.TransportCredentials { return s }

// OverrideServerName is not used by gRPC any more.
func (serverCreds) OverrideServerName(string) error { return nil }

// clientCreds guard connections to one node.
type clientCreds struct {
	creds Credentials
	tls   *tls.Config
}

var _ credentials.TransportCredentials = clientCreds{}

func (c clientCreds) ClientHandshake(ctx context.Context, _ string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn := tls.Client(raw, c.tls)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, nil, err
	}
	node, err := c.creds.Peer(conn.ConnectionState())
	if err != nil {
		return nil, nil, err
	}
	return conn, authInfo{node}, nil
}

func (clientCreds) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, credentials.ErrConnDispatched // not reached: these serve callers alone
}

func (clientCreds) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}
func (c clientCreds) Clone() credentials.TransportCredentials { return c }

// OverrideServerName is not used by gRPC any more.
func (clientCreds) OverrideServerName(string) error { return nil }

// serveJoin hands a joiner's connection to the door, and cuts it when its time is over. A deadline
// would not do: gRPC takes the one it has set off again at some moment after the handshake.
func (p *Port) serveJoin(conn *tls.Conn, raw net.Conn) {
	defer conn.Close() // the exchange is over
	if p.join == nil {
		return
	}
	ctx, cancel := context.WithTimeout(p.life, p.joinTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() }) // wakes whoever reads or writes
	defer stop()
	p.join(ctx, conn)
}

// JoinTimeout bounds a joiner's stay.
const JoinTimeout = 15 * time.Second

// refusalLogPeriod is the least time between two log lines about refused connections: strangers
// must not fill the log.
const refusalLogPeriod = time.Second

// refusals are the connections refused since the last was logged.
type refusals struct {
	mu     sync.Mutex
	logged time.Time
	silent int
}

// logRefusal logs that a connection was refused. One that says nothing at all, as monitors make them
// to see whether the port is open, is not worth a line, nor is the end of the port.
func (p *Port) logRefusal(peer net.Addr, err error) {
	if errors.Is(err, io.EOF) || p.life.Err() != nil {
		p.log.Debug("connection ended before its handshake", "peer", peer.String(), "error", err)
		return
	}
	r, now := &p.refusals, time.Now()
	r.mu.Lock()
	if now.Sub(r.logged) < refusalLogPeriod {
		r.silent++
		r.mu.Unlock()
		return
	}
	silent := r.silent
	r.logged, r.silent = now, 0
	r.mu.Unlock()
	p.log.Warn("connection refused on the cluster port", "peer", peer.String(), "error", err, "others_not_logged", silent)
}
