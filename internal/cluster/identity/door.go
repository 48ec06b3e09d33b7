package identity

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"porcupine/internal/cluster"
)

// joinTimeout bounds the exchange, on both sides.
const joinTimeout = 15 * time.Second

// Door lets new nodes in: it serves the join exchange.
type Door struct {
	Identity *Identity
	// Known lists addresses at which nodes of the cluster can be found, this node's included; at
	// most KnownAddrsMax of them are told to the joiner.
	Known func() []string
	// Admit refuses, with an error, the id of a node that is known already: a joiner must not
	// become another node's double. nil: only this node's own id is refused.
	Admit func(cluster.NodeID) error

	refusals refusals
}

// refusalLogPeriod is the least time between two log lines about refused joiners: strangers must
// not fill the log while a token is open.
const refusalLogPeriod = time.Second

// refusals counts what was refused since the last was logged.
type refusals struct {
	mu     sync.Mutex
	logged time.Time
	silent int
}

// next reports whether one more is to be logged, and how many were not since the last.
func (r *refusals) next(now time.Time, period time.Duration) (silent int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if since := now.Sub(r.logged); since >= 0 && since < period {
		r.silent++
		return 0, false
	}
	silent = r.silent
	r.logged, r.silent = now, 0
	return silent, true
}

// Serve answers the one join request of a connection that negotiated JoinProtocol. The caller
// closes the connection afterwards.
func (d *Door) Serve(ctx context.Context, c *tls.Conn) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) }) // wakes what waits; the connection ends anyway
	defer stop()
	log := d.Identity.logger.With("peer", c.RemoteAddr().String())
	node, answer, err := d.receive(c)
	if err != nil {
		if silent, ok := d.refusals.next(d.Identity.now(), refusalLogPeriod); ok {
			log.Warn("join refused", "node", node, "error", err, "others_not_logged", silent)
		}
	}
	if answer == nil {
		return
	}
	if err := writeFrame(c, answer.encode()); err != nil {
		log.Warn("join answer not sent: the token is used up, issue another", "node", node, "error", err)
		return
	}
	if answer.refusal == "" {
		log.Info("node joined", "node", node)
	}
}

// receive reads the request and decides. A nil answer: there is nobody to answer.
func (d *Door) receive(c *tls.Conn) (cluster.NodeID, *joinAnswer, error) {
	if c.ConnectionState().NegotiatedProtocol != JoinProtocol {
		return cluster.NoNode, nil, errors.New("connection is not for joining")
	}
	frame, err := readFrame(c, joinRequestMax)
	if err != nil {
		return cluster.NoNode, nil, fmt.Errorf("read join request: %w", err)
	}
	request, err := decodeJoinRequest(frame)
	if err != nil {
		return cluster.NoNode, nil, err
	}
	// The secret first: nothing else of the request is looked at without it.
	if !d.Identity.tokens.redeem(request.secret[:], d.Identity.now()) {
		return cluster.NoNode, &joinAnswer{refusal: "the token is not open on this node: it was used, has expired, " +
			"or the node restarted since; issue another"}, errors.New("token is wrong, used or expired")
	}
	answer, err := d.admit(request)
	if err != nil {
		return request.node, &joinAnswer{refusal: err.Error()}, err
	}
	return request.node, answer, nil
}

// admit certifies a joiner that has shown a good token.
func (d *Door) admit(request joinRequest) (*joinAnswer, error) {
	switch {
	case request.node == cluster.NoNode:
		return nil, errors.New("the new node has no id")
	case request.node == d.Identity.node:
		return nil, fmt.Errorf("node id %s is this node's own: its data directory was copied; join with an empty one", request.node)
	case d.Admit != nil:
		if err := d.Admit(request.node); err != nil {
			return nil, err
		}
	}
	csr, err := x509.ParseCertificateRequest(request.csr)
	if err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	public, ok := csr.PublicKey.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("certificate request: its key is a %v one, want Ed25519", csr.PublicKeyAlgorithm)
	}
	cert, err := d.Identity.ca.issue(request.node, public, d.Identity.now())
	if err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	caKey, err := x509.MarshalPKCS8PrivateKey(d.Identity.ca.key)
	if err != nil {
		return nil, fmt.Errorf("encode CA key: %w", err)
	}
	answer := &joinAnswer{cert: cert, caKey: caKey}
	if d.Known != nil {
		answer.addrs = d.Known()
	}
	return answer, nil
}
