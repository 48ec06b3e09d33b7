package identity

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"time"

	"porcupine/internal/cluster"
)

// Lives of certificates.
const (
	// CertLife is how long a node's certificate is good. It is renewed at two thirds of it.
	CertLife = 365 * 24 * time.Hour
	// backdating is how far before the moment of its making a certificate becomes valid, so that
	// a peer whose clock is behind accepts it.
	backdating = time.Hour
)

// uriScheme is that of the names in certificates.
const uriScheme = "porcupine"

// authority is the cluster's CA.
type authority struct {
	cluster cluster.ID
	cert    *x509.Certificate
	key     ed25519.PrivateKey
	roots   *x509.CertPool // cert alone
}

// newAuthority makes the CA of a new cluster.
func newAuthority(now time.Time) (*authority, error) {
	var id cluster.ID
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "porcupine cluster " + hex.EncodeToString(id[:])},
		URIs:                  []*url.URL{clusterURI(id)},
		NotBefore:             now.Add(-backdating),
		NotAfter:              time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280 §4.1.2.5: no end
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return nil, err
	}
	return parseAuthority(der, private)
}

// parseAuthority checks that the certificate is a CA's of ours and that the key is its.
func parseAuthority(der []byte, key ed25519.PrivateKey) (*authority, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse CA certificate: %w", err)
	}
	id, node, err := parseName(cert)
	if err != nil {
		return nil, fmt.Errorf("CA certificate: %w", err)
	}
	if !cert.IsCA || node != cluster.NoNode {
		return nil, fmt.Errorf("CA certificate: it is %q, not a CA's", cert.Subject.CommonName)
	}
	if key != nil {
		if public, ok := cert.PublicKey.(ed25519.PublicKey); !ok || !public.Equal(key.Public()) {
			return nil, fmt.Errorf("CA certificate and CA key do not belong together")
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return &authority{cluster: id, cert: cert, key: key, roots: roots}, nil
}

// issue certifies that public is the key of the node with that id.
func (a *authority) issue(node cluster.NodeID, public crypto.PublicKey, now time.Time) ([]byte, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "porcupine node " + node.String()},
		URIs:                  []*url.URL{nodeURI(a.cluster, node)},
		NotBefore:             now.Add(-backdating),
		NotAfter:              now.Add(CertLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	return x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
}

// verify checks a peer's certificate at that moment and gives the node it names.
func (a *authority) verify(cert *x509.Certificate, usage x509.ExtKeyUsage, now time.Time) (cluster.NodeID, error) {
	id, node, nameErr := parseName(cert)
	if nameErr == nil && id != a.cluster {
		// Said first because it explains most: the CA would be wrong too.
		return cluster.NoNode, denied("it is of cluster %x, this node is of cluster %x", id[:], a.cluster[:])
	}
	_, err := cert.Verify(x509.VerifyOptions{
		Roots: a.roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
	})
	switch {
	case err != nil:
		return cluster.NoNode, denied("%w", err)
	case nameErr != nil:
		return cluster.NoNode, denied("%w", nameErr)
	case node == cluster.NoNode || cert.IsCA:
		return cluster.NoNode, denied("it is not a node's")
	}
	return node, nil
}

func denied(format string, args ...any) error {
	return cluster.Errorf(cluster.KindDenied, "verify certificate of peer", format, args...)
}

// fingerprint is what a join token pins.
func (a *authority) fingerprint() [sha256.Size]byte { return sha256.Sum256(a.cert.Raw) }

func newSerial() (*big.Int, error) {
	// RFC 5280 §4.1.2.2: positive, at most 20 bytes.
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
}

func clusterURI(id cluster.ID) *url.URL {
	return &url.URL{Scheme: uriScheme, Host: hex.EncodeToString(id[:])}
}

func nodeURI(id cluster.ID, node cluster.NodeID) *url.URL {
	u := clusterURI(id)
	u.Path = "/node/" + node.String()
	return u
}

// parseName reads the one URI of a certificate: of the cluster (NoNode) or of a node.
func parseName(cert *x509.Certificate) (id cluster.ID, node cluster.NodeID, err error) {
	if len(cert.URIs) != 1 {
		return id, node, fmt.Errorf("certificate has %d URI names, want 1", len(cert.URIs))
	}
	u := cert.URIs[0]
	raw, err := hex.DecodeString(u.Host)
	if err != nil || len(raw) != len(id) || u.Scheme != uriScheme {
		return id, node, fmt.Errorf("certificate name %q is not of the form porcupine://CLUSTER/node/NODE", u)
	}
	copy(id[:], raw)
	if u.Path == "" {
		return id, cluster.NoNode, nil
	}
	digits, ok := strings.CutPrefix(u.Path, "/node/")
	if !ok {
		return id, node, fmt.Errorf("certificate name %q is not of the form porcupine://CLUSTER/node/NODE", u)
	}
	node, err = cluster.ParseNodeID(digits)
	return id, node, err
}
