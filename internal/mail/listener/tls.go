package listener

import "crypto/tls"

// serverTLS makes the TLS settings of one Server. It is made anew for every Server, so that
// each has its own session ticket keys (which crypto/tls draws at random and rotates daily): a
// ticket from one listener means nothing to another (attack 6).
func serverTLS(cfg Config) *tls.Config {
	if cfg.Certificate == nil {
		return nil
	}
	return &tls.Config{
		GetCertificate: cfg.Certificate,
		MinVersion:     tls.VersionTLS12,
		// RFC 9325 §4.2: ephemeral key exchange and AEAD only. TLS 1.3 suites are not listed
		// here, all of them are good.
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
			tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		// With one name here, crypto/tls answers a client that offers only other names with the
		// alert no_application_protocol (attack 5).
		NextProtos: []string{cfg.ALPN},
	}
}

// alertInternalError is a fatal TLS alert record, internal_error (RFC 8446 §6.2), as a server
// may send it before its hello: the cheapest way to turn a TLS client away.
var alertInternalError = [...]byte{21, 3, 3, 0, 2, 2, 80}
