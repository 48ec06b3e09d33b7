package daemon

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porcupine/internal/config"
)

// clock is a wall clock that a test moves.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func TestSelfSignedIsRenewed(t *testing.T) {
	c := &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	certs, err := newCertificates(config.TLS{}, "mail.example", slog.New(slog.DiscardHandler), c.Now)
	if err != nil {
		t.Fatal(err)
	}
	get := func() *x509.Certificate {
		t.Helper()
		cert, err := certs.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return cert.Leaf
	}
	first := get()
	if err := first.VerifyHostname("mail.example"); err != nil {
		t.Error(err)
	}
	if got := certs.notAfter(); !got.Equal(first.NotAfter) || !got.Equal(c.now.Add(selfSignedLife)) {
		t.Errorf("notAfter = %v", got)
	}
	c.now = first.NotAfter.Add(-selfSignedRenewAt - time.Second)
	if get() != first {
		t.Error("renewed before its time")
	}
	c.now = c.now.Add(2 * certCheckEvery)
	if second := get(); second == first || !second.NotAfter.Equal(c.now.Add(selfSignedLife)) {
		t.Errorf("not renewed %v before its end", selfSignedRenewAt)
	}
}

// write puts a pair of certificate and key into the files, with that modification time.
func write(t *testing.T, cfg config.TLS, host string, at time.Time, alsoKey bool) {
	t.Helper()
	cert, err := selfSigned(host, at)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{cfg.Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})}
	if alsoKey {
		files[cfg.Key] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	}
	for name, text := range files {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

// A certificate is read again when its file changes; what cannot be read, or does not fit its key,
// leaves the old one in use, and an expired one is reported.
func TestCertificateFileIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	cfg := config.TLS{Certificate: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key")}
	var logs bytes.Buffer
	c := &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	log := slog.New(slog.NewTextHandler(&logs, nil))
	if _, err := newCertificates(cfg, "x", log, c.Now); err == nil || !strings.Contains(err.Error(), "tls.certificate") {
		t.Errorf("newCertificates without the files = %v", err)
	}
	write(t, cfg, "one.example", c.now, true)
	certs, err := newCertificates(cfg, "x", log, c.Now)
	if err != nil {
		t.Fatal(err)
	}
	check := func(when, host string) {
		t.Helper()
		cert, err := certs.get(nil)
		if err != nil || cert.Leaf.DNSNames[0] != host {
			t.Errorf("%s: certificate of %v, %v; want %s", when, cert.Leaf.DNSNames, err, host)
		}
	}
	check("at first", "one.example")
	c.now = c.now.Add(certCheckEvery)
	write(t, cfg, "two.example", c.now, false)
	check("a new certificate, the old key", "one.example")
	c.now = c.now.Add(certCheckEvery / 2)
	write(t, cfg, "two.example", c.now, true)
	check("before the next look", "one.example")
	c.now = c.now.Add(certCheckEvery)
	check("both new", "two.example")
	if err := os.Remove(cfg.Certificate); err != nil {
		t.Fatal(err)
	}
	c.now = c.now.Add(certCheckEvery)
	check("the file is gone", "two.example")
	if !strings.Contains(logs.String(), "the old one stays in use") {
		t.Errorf("no word of a certificate that could not be read:\n%s", logs.String())
	}
	c.now = c.now.Add(selfSignedLife)
	check("expired", "two.example")
	if !strings.Contains(logs.String(), "has expired") {
		t.Errorf("no word of an expired certificate:\n%s", logs.String())
	}
}
