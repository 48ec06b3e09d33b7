package identity

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"porcupine/internal/cluster"
)

// JoinOptions are Options and the way to the other nodes.
type JoinOptions struct {
	Options
	// Dial opens a connection; nil: TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
}

// Join makes this node a member of the cluster that issued the token: it makes a key pair, proves
// the token at the first of the token's addresses that can be reached, and writes the identity.
// It gives the addresses of nodes to probe. It refuses with KindExists if there is an identity
// already. The token is used up as soon as the other node has accepted its secret.
func Join(ctx context.Context, files Files, token Token, o JoinOptions) (*Identity, []string, error) {
	o.Options = o.withDefaults()
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		}
	}
	if err := vacant(files, "join cluster"); err != nil {
		return nil, nil, err
	}
	var err error
	if o.Node, err = drawNode(o.Node); err != nil {
		return nil, nil, fmt.Errorf("join cluster: %w", err)
	}
	var failures []error
	for _, addr := range token.Addrs {
		j := joiner{token: token, options: o}
		err := j.at(ctx, addr)
		if err == nil {
			id, err := create(files, o.Options, j.ca, j.cert)
			return id, j.known, err
		}
		failures = append(failures, fmt.Errorf("at %s: %w", addr, err))
		if j.sent {
			break // the token is used up or refused: other addresses cannot help
		}
	}
	return nil, nil, cluster.Errorf(cluster.KindUnavailable, "join cluster", "%w", errors.Join(failures...))
}

// joiner is one try.
type joiner struct {
	token   Token
	options JoinOptions
	sent    bool // the secret has left this node

	ca    *authority
	cert  *tls.Certificate
	known []string
}

func (j *joiner) at(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	raw, err := j.options.Dial(ctx, addr)
	if err != nil {
		return err
	}
	defer raw.Close() // the exchange is over; nothing is lost by it
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	conn := tls.Client(raw, &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{JoinProtocol},
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection checks against the CA hash of the token
		Time:               j.options.Now,
		VerifyConnection:   j.verifyServer,
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		if strings.Contains(err.Error(), "no application protocol") { // crypto/tls does not export the alert
			return errors.New("the node has no open join token: it was used, has expired, or the node restarted since; issue another")
		}
		return err
	}
	return j.exchange(conn)
}

// verifyServer accepts a node of the cluster whose CA has the hash in the token. It runs BEFORE
// the secret is sent.
func (j *joiner) verifyServer(cs tls.ConnectionState) error {
	if cs.NegotiatedProtocol != JoinProtocol || len(cs.PeerCertificates) != 2 {
		return denied("the server is no node that one can join")
	}
	leaf, root := cs.PeerCertificates[0], cs.PeerCertificates[1]
	hash := sha256.Sum256(root.Raw)
	if subtle.ConstantTimeCompare(hash[:], j.token.Authority[:]) != 1 {
		return denied("the server belongs to another cluster than the token")
	}
	ca, err := parseAuthority(root.Raw, nil)
	if err != nil {
		return err
	}
	if _, err := ca.verify(leaf, x509.ExtKeyUsageServerAuth, j.options.Now()); err != nil {
		return err
	}
	j.ca = ca
	return nil
}

func (j *joiner) exchange(conn *tls.Conn) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, private)
	if err != nil {
		return fmt.Errorf("make certificate request: %w", err)
	}
	request := joinRequest{secret: j.token.secret, node: j.options.Node, csr: csr}
	j.sent = true
	if err := writeFrame(conn, request.encode()); err != nil {
		return fmt.Errorf("send join request: %w", err)
	}
	frame, err := readFrame(conn, joinAnswerMax)
	if err != nil {
		return fmt.Errorf("read join answer: %w", err)
	}
	answer, err := decodeJoinAnswer(frame)
	if err != nil {
		return err
	}
	if answer.refusal != "" {
		return fmt.Errorf("the node refused: %q", answer.refusal)
	}
	return j.accept(answer, public, private)
}

// accept checks all that was given before anything of it is kept.
func (j *joiner) accept(answer joinAnswer, public ed25519.PublicKey, private ed25519.PrivateKey) error {
	caKey, err := parseKey(answer.caKey)
	if err != nil {
		return fmt.Errorf("key of CA: %w", err)
	}
	ca, err := parseAuthority(j.ca.cert.Raw, caKey)
	if err != nil {
		return err
	}
	cert, err := bundle(ca, answer.cert, private)
	if err != nil {
		return err
	}
	node, err := ca.verify(cert.Leaf, x509.ExtKeyUsageClientAuth, j.options.Now())
	if err != nil {
		return err
	}
	if got, ok := cert.Leaf.PublicKey.(ed25519.PublicKey); node != j.options.Node || !ok || !got.Equal(public) {
		return denied("it is of node %s, asked for was %s", node, j.options.Node)
	}
	j.ca, j.cert, j.known = ca, cert, answer.addrs
	return nil
}
