package imapserver_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/mail/listener/listenertest"
)

// TestMandatorySuite: with TLS 1.2 and an RSA certificate there is the suite that every IMAP server has (RFC 9051
// §11.1).
func TestMandatorySuite(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{listenertest.ServerName}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, newMail(), options{implicitTLS: true, certificate: &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}})
	cfg := r.clientTLS()
	cfg.RootCAs = x509.NewCertPool()
	cfg.RootCAs.AddCert(leaf)
	cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	cfg.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	c := tls.Client(r.dial(), cfg)
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	play(t, c, login)
	if suite := c.ConnectionState().CipherSuite; suite != tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 {
		t.Errorf("suite %s", tls.CipherSuiteName(suite))
	}
}

// TestSTARTTLSOnTheTLSPort shows that where TLS is there from the beginning, STARTTLS is neither offered nor
// taken (RFC 9051 §6.2.1).
func TestSTARTTLSOnTheTLSPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMail(), options{implicitTLS: true, clearRefused: true})
		play(t, tls.Client(r.dial(), r.clientTLS()), `
			S: * OK [CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL- ID SASL-IR ENABLE AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-256 AUTH=PLAIN AUTH=LOGIN] ...
			C: 1 STARTTLS
			S: 1 BAD STARTTLS is not available
			C: 2 AUTHENTICATE PLAIN AGFsaWNlQGV4YW1wbGUudGVzdAB3b25kZXIgbGFuZA==
			S: 2 OK [CAPABILITY ...
			C: 3 STARTTLS
			S: 3 BAD not valid in this state`)
	})
}

// TestSTARTTLSIsNoLogin shows that a client is not logged in by TLS alone, and can log in after it (RFC 9051 §6.2.1).
func TestSTARTTLSIsNoLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMail(), options{clearRefused: true})
		raw := r.play(greeting + `
			C: 1 STARTTLS
			S: 1 OK begin TLS`)
		play(t, tls.Client(raw, r.clientTLS()), `
			C: 2 SELECT INBOX
			S: 2 BAD not valid in this state
			C: 3 AUTHENTICATE PLAIN
			S: + 
			C: AGFsaWNlQGV4YW1wbGUudGVzdAB3b25kZXIgbGFuZA==
			S: 3 OK [CAPABILITY ...
			C: 4 UNSELECT
			S: 4 BAD not valid in this state`)
	})
}
