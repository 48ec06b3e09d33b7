package transport

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/keepalive"

	"porcupine/internal/cluster"
)

// Credentials prove who this node is and who its peers are. The identity room implements them.
type Credentials interface {
	// Node is this node's id.
	Node() cluster.NodeID
	// ServerTLS is the configuration of the cluster port's listener. It negotiates ALPN "h2" only
	// with a peer whose certificate was verified.
	ServerTLS() *tls.Config
	// ClientTLS is the configuration for calling the node with that id; NoNode: any node of the
	// cluster.
	ClientTLS(to cluster.NodeID) *tls.Config
	// Peer names the node at the other end of a finished handshake.
	Peer(tls.ConnectionState) (cluster.NodeID, error)
}

// Config is what a Port needs.
type Config struct {
	Credentials Credentials
	// Listen is the address of the cluster port, host:port; port 0 takes any free one.
	Listen string
	// Listener takes the connections instead of Listen, if it is not nil. The port closes it.
	Listener net.Listener
	// Join serves one connection of a node that wants to join and so has no certificate yet; nil:
	// none is served. The context ends after JoinTimeout; then, and when Join returns, the port closes
	// the connection.
	Join func(ctx context.Context, c *tls.Conn)
	// HandshakeTimeout is how long a connection may take to prove itself; 0: HandshakeTimeoutDefault.
	HandshakeTimeout time.Duration
	// Logger; nil: discard.
	Logger *slog.Logger
	// Dial opens connections to other nodes; nil: TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
}

// StreamsMax is how many calls one connection may have under way at its receiver; more wait at the
// caller, within their deadlines.
const StreamsMax = 1024

// connAgeMax is how old a connection may get before it is made anew, with the certificates of that
// day. Calls under way are not cut.
const connAgeMax = 6 * time.Hour

// Port is a node's cluster port: it answers other nodes, and calls them.
type Port struct {
	creds     Credentials
	serverTLS *tls.Config
	join      func(ctx context.Context, c *tls.Conn)
	// joinTimeout is JoinTimeout, but in tests.
	joinTimeout time.Duration
	log         *slog.Logger
	pool        *pool
	peers       *peers
	gate        *gate
	refusals    refusals
	listener    net.Listener
	server      *grpc.Server
	host        atomic.Pointer[Host]
	meter       meter
	expired     atomic.Int64

	life       context.Context // of handshakes and joins
	end        context.CancelFunc
	background sync.WaitGroup // the accept loop and joins
	closing    sync.Once
}

var _ Link = (*Port)(nil)

// Open binds the cluster port. It answers nobody before Serve.
func Open(cfg Config) (*Port, error) {
	if cfg.Credentials == nil {
		return nil, cluster.Errorf(cluster.KindInvalid, "open cluster port", "it has no credentials")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Dial == nil {
		cfg.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		}
	}
	if cfg.Listener == nil {
		var err error
		if cfg.Listener, err = net.Listen("tcp", cfg.Listen); err != nil {
			return nil, fmt.Errorf("open cluster port %s: %w", cfg.Listen, err)
		}
	}
	p := &Port{
		creds: cfg.Credentials, serverTLS: cfg.Credentials.ServerTLS(), join: cfg.Join, joinTimeout: JoinTimeout, log: cfg.Logger,
		pool: new(pool), gate: &gate{perHost: make(map[string]int)}, listener: cfg.Listener,
		meter: meter{methods: map[string]*Traffic{}},
	}
	p.life, p.end = context.WithCancel(context.Background())
	p.peers = newPeers(cfg.Credentials, cfg.Dial, p.pool)
	p.server = p.newServer(cmp.Or(cfg.HandshakeTimeout, HandshakeTimeoutDefault))
	return p, nil
}

func (p *Port) newServer(handshakeTimeout time.Duration) *grpc.Server {
	server := grpc.NewServer(
		grpc.Creds(serverCreds{p}),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.ForceServerCodecV2(codec{p.pool}),
		grpc.MaxRecvMsgSize(messageSizeMax),
		grpc.MaxSendMsgSize(messageSizeMax),
		grpc.MaxConcurrentStreams(StreamsMax),
		grpc.MaxHeaderListSize(headerListMax),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connWindow),
		grpc.ReadBufferSize(readBuffer),
		grpc.NumStreamWorkers(uint32(4*runtime.GOMAXPROCS(0))), // their stacks have grown already
		grpc.WaitForHandlers(true),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: keepaliveTime, Timeout: keepaliveTimeout, MaxConnectionAge: connAgeMax,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveTime / 2, PermitWithoutStream: true}),
		experimental.BufferPool(p.pool),
	)
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: serviceName,
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: unaryName, Handler: p.serveUnary}},
		Streams: []grpc.StreamDesc{
			{StreamName: streamName, Handler: p.serveStream, ServerStreams: true, ClientStreams: true},
			{StreamName: trackName, Handler: p.serveTrack, ServerStreams: true, ClientStreams: true},
		},
	}, p)
	return server
}

// Serve begins to answer.
func (p *Port) Serve(h Host) {
	p.host.Store(&h)
	p.background.Go(func() {
		if err := p.server.Serve(gatedListener{p.listener, p.gate}); err != nil && p.life.Err() == nil {
			p.log.Error("cluster port stopped", "addr", p.Addr(), "error", err)
		}
	})
}

// Addr is the address that the port listens on.
func (p *Port) Addr() string { return p.listener.Addr().String() }

// Close ends the port. See Link.
func (p *Port) Close(ctx context.Context) error {
	p.closing.Do(func() {
		p.end() // handshakes and joins; calls go on
		stopped := make(chan struct{})
		go func() { // ends with Stop at the latest
			p.server.GracefulStop()
			close(stopped)
		}()
		select {
		case <-stopped:
		case <-ctx.Done():
		}
		p.server.Stop()
		<-stopped
		_ = p.listener.Close() // closed already, if Serve was ever called
		p.peers.close()
		p.background.Wait()
	})
	return nil
}
