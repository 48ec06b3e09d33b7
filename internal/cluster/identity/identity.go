package identity

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"porcupine/internal/cluster"
)

// Options say what else an identity needs. The zero value will do.
type Options struct {
	// Node is the id of the node, if its data directory has one already; NoNode: draw one.
	Node cluster.NodeID
	// Now is the wall clock; nil: time.Now.
	Now func() time.Time
	// Logger; nil: discard. No key and no token is ever logged.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Identity is a node's proof of who it is, and its power to admit others. Safe for concurrent use.
type Identity struct {
	files  Files
	now    func() time.Time
	logger *slog.Logger
	node   cluster.NodeID
	ca     *authority
	tokens tokens

	strangers refusals // servers that proved to be none of this cluster's

	renewing sync.Mutex // one renewal at a time; held while the file is written, so only TryLock

	mu   sync.Mutex
	cert *tls.Certificate // the node's, with the CA's behind it; replaced, never changed
}

// Init makes a new cluster whose first node is this one, and writes its identity. It refuses with
// KindExists if there is an identity already.
func Init(files Files, o Options) (*Identity, error) {
	o = o.withDefaults()
	if err := vacant(files, "init cluster"); err != nil {
		return nil, err
	}
	ca, err := newAuthority(o.Now())
	if err != nil {
		return nil, fmt.Errorf("init cluster: make CA: %w", err)
	}
	if o.Node, err = drawNode(o.Node); err != nil {
		return nil, fmt.Errorf("init cluster: %w", err)
	}
	cert, err := selfIssue(ca, o.Node, o.Now())
	if err != nil {
		return nil, fmt.Errorf("init cluster: %w", err)
	}
	return create(files, o, ca, cert)
}

// Load reads the identity that Init or Join wrote. It refuses with KindNotFound if there is none,
// and renews the certificate if that is due. A renewal that fails, on a full disk for example, is an
// error only if the certificate has run out: Run tries again.
func Load(files Files, o Options) (*Identity, error) {
	o = o.withDefaults()
	data, err := files.ReadFile(FileName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cluster.Errorf(cluster.KindNotFound, "load identity",
			"this node belongs to no cluster yet: run `porcupine init` to make one, or `porcupine join TOKEN` with a token from a node of it: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("load identity: %w", err)
	}
	ca, cert, err := decodePEM(data)
	if err != nil {
		return nil, cluster.Errorf(cluster.KindCorrupt, "load identity", "%s: %w", FileName, err)
	}
	_, node, err := parseName(cert.Leaf)
	if err == nil && node == cluster.NoNode {
		err = errors.New("the certificate is not a node's")
	}
	if err != nil {
		return nil, cluster.Errorf(cluster.KindCorrupt, "load identity", "%s: %w", FileName, err)
	}
	if o.Node != cluster.NoNode && o.Node != node {
		return nil, cluster.Errorf(cluster.KindInvalid, "load identity",
			"%s is of node %s, the data beside it of node %s: one of the two was copied from another node; put back the right one", FileName, node, o.Node)
	}
	o.Node = node
	id := assemble(files, o, ca, cert)
	if _, err := id.Renew(); err != nil {
		if !o.Now().Before(cert.Leaf.NotAfter) {
			return nil, err
		}
		id.notRenewed(err)
	}
	return id, nil
}

// notRenewed logs a renewal that failed and will be tried again.
func (i *Identity) notRenewed(err error) {
	i.logger.Error("certificate not renewed", "node", i.node, "not_after", i.NotAfter(), "error", err)
}

// vacant refuses when an identity is there already: a second one would cut the node off its data.
func vacant(files Files, op string) error {
	_, err := files.ReadFile(FileName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", op, err)
	}
	return cluster.Errorf(cluster.KindExists, op,
		"this data directory belongs to a node already: start it with `porcupine serve`, or take an empty directory")
}

// create writes a fresh identity.
func create(files Files, o Options, ca *authority, cert *tls.Certificate) (*Identity, error) {
	data, err := encodePEM(ca, cert)
	if err != nil {
		return nil, err
	}
	if err := files.WriteFile(FileName, data); err != nil {
		return nil, fmt.Errorf("write %s: %w", FileName, err)
	}
	return assemble(files, o, ca, cert), nil
}

func assemble(files Files, o Options, ca *authority, cert *tls.Certificate) *Identity {
	return &Identity{files: files, now: o.Now, logger: o.Logger, node: o.Node, ca: ca, cert: cert}
}

// drawNode gives id, or a random one for NoNode.
func drawNode(id cluster.NodeID) (cluster.NodeID, error) {
	for id == cluster.NoNode {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return id, fmt.Errorf("draw node id: %w", err)
		}
		id = cluster.NodeID(binary.BigEndian.Uint64(b[:]))
	}
	return id, nil
}

// selfIssue makes a key pair and its certificate, by a node that holds the CA's key.
func selfIssue(ca *authority, node cluster.NodeID, now time.Time) (*tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key of node %s: %w", node, err)
	}
	der, err := ca.issue(node, public, now)
	if err != nil {
		return nil, fmt.Errorf("make certificate of node %s: %w", node, err)
	}
	return bundle(ca, der, private)
}

// bundle puts together what the node shows in a handshake: its certificate and the CA's, which a
// joiner compares with its token.
func bundle(ca *authority, der []byte, key ed25519.PrivateKey) (*tls.Certificate, error) {
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse certificate of node: %w", err)
	}
	if public, ok := leaf.PublicKey.(ed25519.PublicKey); !ok || !public.Equal(key.Public()) {
		return nil, errors.New("certificate and key of the node do not belong together")
	}
	return &tls.Certificate{Certificate: [][]byte{der, ca.cert.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// Node is the node's id.
func (i *Identity) Node() cluster.NodeID { return i.node }

// Cluster is the id of the cluster.
func (i *Identity) Cluster() cluster.ID { return i.ca.cluster }

// String names the node and its cluster, and none of the keys.
func (i *Identity) String() string {
	return fmt.Sprintf("node %s of cluster %x", i.node, i.ca.cluster[:])
}

// GoString is String: no verb prints the keys.
func (i *Identity) GoString() string { return i.String() }

// LogValue is String: no log prints the keys.
func (i *Identity) LogValue() slog.Value { return slog.StringValue(i.String()) }

// NotAfter is when the node's certificate runs out, unless it is renewed before.
func (i *Identity) NotAfter() time.Time { return i.certificate().Leaf.NotAfter }

func (i *Identity) certificate() *tls.Certificate {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.cert
}

// renewalDue is when a certificate should be replaced: after two thirds of its life.
func renewalDue(c *x509.Certificate) time.Time {
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) * 2 / 3)
}

// Renew replaces the node's key and certificate if two thirds of its life are over, durably, and
// reports whether it did. Connections that stand keep the old one; new ones show the new.
func (i *Identity) Renew() (bool, error) {
	if !i.renewing.TryLock() {
		return false, nil // another goroutine is at it
	}
	defer i.renewing.Unlock()
	old, now := i.certificate(), i.now()
	if now.Before(renewalDue(old.Leaf)) {
		return false, nil
	}
	cert, err := selfIssue(i.ca, i.node, now)
	if err != nil {
		return false, fmt.Errorf("renew certificate: %w", err)
	}
	data, err := encodePEM(i.ca, cert)
	if err != nil {
		return false, fmt.Errorf("renew certificate: %w", err)
	}
	if err := i.files.WriteFile(FileName, data); err != nil {
		return false, fmt.Errorf("renew certificate: write %s: %w", FileName, err)
	}
	i.mu.Lock()
	i.cert = cert
	i.mu.Unlock()
	i.logger.Info("certificate renewed", "node", i.node, "old_not_after", old.Leaf.NotAfter, "not_after", cert.Leaf.NotAfter)
	return true, nil
}

// renewalPeriod is how often Run looks. Short against a third of CertLife, long against its cost.
const renewalPeriod = time.Hour

// Run renews the certificate whenever it is due, until the context ends. A renewal that fails is
// logged and tried again an hour later: a third of the certificate's life is left for that.
func (i *Identity) Run(ctx context.Context) {
	ticker := time.NewTicker(renewalPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if _, err := i.Renew(); err != nil {
				i.notRenewed(err)
			}
		}
	}
}
