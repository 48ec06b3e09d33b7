package identity

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"time"

	"porcupine/internal/cluster"
)

// The names that ALPN (RFC 7301) tells the two uses of the cluster port apart by.
const (
	NodeProtocol = "h2"               // between nodes: mutual TLS, then gRPC
	JoinProtocol = "porcupine-join/1" // a new node's only exchange, without a certificate
)

// ServerTLS is the configuration of the cluster port. A peer that asks for JoinProtocol gets it
// if a token is open; every other must show a certificate of this cluster that is good now.
func (i *Identity) ServerTLS() *tls.Config {
	node := i.base(NodeProtocol)
	node.ClientAuth = tls.RequireAnyClientCert // verified below, with this cluster's rules
	node.VerifyConnection = func(cs tls.ConnectionState) error {
		// A client that offers no protocol at all is not refused by ALPN.
		if cs.NegotiatedProtocol != NodeProtocol {
			return denied("it asked for protocol %q, want %q", cs.NegotiatedProtocol, NodeProtocol)
		}
		_, err := i.verify(cs, x509.ExtKeyUsageClientAuth)
		return err
	}
	join := i.base(JoinProtocol)
	join.ClientAuth = tls.NoClientCert

	config := node.Clone()
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Contains(hello.SupportedProtos, JoinProtocol) && i.tokens.open(i.now()) {
			return join, nil
		}
		return node, nil
	}
	return config
}

// strangerLogPeriod is the least time between two log lines about servers that are none of this
// cluster's: an address that is wrong in a configuration is tried for ever.
const strangerLogPeriod = time.Minute

// ClientTLS is the configuration for a connection to the node with that id; NoNode: to any node of
// the cluster.
func (i *Identity) ClientTLS(to cluster.NodeID) *tls.Config {
	config := i.base(NodeProtocol)
	config.InsecureSkipVerify = true //nolint:gosec // names are node ids, not hosts: VerifyConnection checks the chain and the id
	config.VerifyConnection = func(cs tls.ConnectionState) error {
		node, err := i.verify(cs, x509.ExtKeyUsageServerAuth)
		if err != nil {
			if silent, ok := i.strangers.next(i.now(), strangerLogPeriod); ok {
				i.logger.Warn("a peer is no node of this cluster: correct cluster.peers, or join this node to that cluster from an empty directory",
					"node", i.node, "error", err, "others_not_logged", silent)
			}
			return err
		}
		if to != cluster.NoNode && node != to {
			return denied("it is of node %s, want node %s", node, to)
		}
		return nil
	}
	return config
}

// Peer names the node at the other end of a connection whose handshake is done.
func (i *Identity) Peer(cs tls.ConnectionState) (cluster.NodeID, error) {
	if len(cs.PeerCertificates) == 0 || !cs.HandshakeComplete {
		return cluster.NoNode, denied("there is none")
	}
	id, node, err := parseName(cs.PeerCertificates[0])
	if err == nil && (id != i.ca.cluster || node == cluster.NoNode) {
		err = denied("it is not a node's of this cluster")
	}
	return node, err
}

func (i *Identity) verify(cs tls.ConnectionState, usage x509.ExtKeyUsage) (cluster.NodeID, error) {
	if len(cs.PeerCertificates) == 0 {
		return cluster.NoNode, denied("there is none")
	}
	return i.ca.verify(cs.PeerCertificates[0], usage, i.now())
}

// base is what all configurations share. No session tickets: each connection is verified anew, and
// connections between nodes are few and long.
func (i *Identity) base(protocol string) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{protocol},
		SessionTicketsDisabled: true,
		Time:                   i.now,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return i.certificate(), nil
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return i.certificate(), nil
		},
	}
}
