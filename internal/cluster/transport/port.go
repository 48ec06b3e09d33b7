package transport

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"

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
	// Join serves one connection of a node that wants to join and so has no certificate yet; nil:
	// none is served. The port closes the connection when Join returns.
	Join func(ctx context.Context, c *tls.Conn)
	// Logger; nil: discard.
	Logger *slog.Logger
	// Dial opens connections to other nodes; nil: TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
}
