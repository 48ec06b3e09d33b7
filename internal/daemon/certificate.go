package daemon

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"sync"
	"time"

	"porcupine/internal/config"
)

// The life of a self-signed certificate, and how often a certificate file is looked at again.
const (
	selfSignedLife    = 90 * 24 * time.Hour
	selfSignedRenewAt = 30 * 24 * time.Hour // before its end
	certCheckEvery    = time.Minute
)

// certificates gives the certificate shown to mail clients: the configured files, read again when
// they change, or a self-signed one made in memory and renewed.
type certificates struct {
	cfg      config.TLS
	hostname string
	log      *slog.Logger
	now      func() time.Time

	mu       sync.Mutex
	current  *tls.Certificate
	checked  time.Time
	modified time.Time // of the certificate file that current was read from
}

func newCertificates(cfg config.TLS, hostname string, log *slog.Logger, now func() time.Time) (*certificates, error) {
	c := &certificates{cfg: cfg, hostname: hostname, log: log, now: now}
	if _, err := c.get(nil); err != nil {
		return nil, err
	}
	if cfg.Certificate == "" {
		log.Warn("no certificate is configured: clients see a self-signed one", "hostname", hostname, "field", "tls.certificate")
	}
	return c, nil
}

// get is a tls.Config.GetCertificate.
func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if c.current != nil && now.Sub(c.checked) < certCheckEvery {
		return c.current, nil
	}
	c.checked = now
	fresh, modified, err := c.load(now)
	switch {
	case err != nil && c.current == nil:
		return nil, err
	case err != nil:
		c.log.Error("the certificate could not be read again; the old one stays in use", "err", err)
	case fresh != nil:
		c.current, c.modified = fresh, modified
		c.log.Info("certificate for mail clients", "hostname", c.hostname, "not_after", fresh.Leaf.NotAfter)
	}
	if end := c.current.Leaf.NotAfter; now.After(end) {
		c.log.Error("the certificate for mail clients has expired and they refuse it: put a new one in its place", "file", c.cfg.Certificate, "not_after", end)
	}
	return c.current, nil
}

// notAfter is when the certificate in use ends.
func (c *certificates) notAfter() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current.Leaf.NotAfter
}

// load gives a certificate to replace the current one; nil if that is still good.
func (c *certificates) load(now time.Time) (*tls.Certificate, time.Time, error) {
	if c.cfg.Certificate == "" {
		if c.current != nil && now.Before(c.current.Leaf.NotAfter.Add(-selfSignedRenewAt)) {
			return nil, time.Time{}, nil
		}
		cert, err := selfSigned(c.hostname, now)
		return cert, time.Time{}, err
	}
	info, err := os.Stat(c.cfg.Certificate)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("tls.certificate: %w", err)
	}
	// The key is read with the certificate: while only one of the two is new they do not match, and
	// the old pair stays in use until the next look.
	if c.current != nil && info.ModTime().Equal(c.modified) {
		return nil, time.Time{}, nil
	}
	cert, err := tls.LoadX509KeyPair(c.cfg.Certificate, c.cfg.Key)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("tls.certificate and tls.key: %w", err)
	}
	return &cert, info.ModTime(), nil
}

func selfSigned(hostname string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("self-signed certificate: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("self-signed certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: hostname},
		DNSNames:     []string{hostname, "localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(selfSignedLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("self-signed certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("self-signed certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
