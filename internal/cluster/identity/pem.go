package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// The identity file is four PEM blocks in this order: the node's certificate, the node's key, the
// CA's certificate, the CA's key; keys in PKCS #8. Text between blocks is ignored.
var pemOrder = [...]string{"CERTIFICATE", "PRIVATE KEY", "CERTIFICATE", "PRIVATE KEY"}

func encodePEM(ca *authority, cert *tls.Certificate) ([]byte, error) {
	nodeKey, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("encode key of node: %w", err)
	}
	caKey, err := x509.MarshalPKCS8PrivateKey(ca.key)
	if err != nil {
		return nil, fmt.Errorf("encode key of CA: %w", err)
	}
	var out bytes.Buffer
	for i, der := range [...][]byte{cert.Certificate[0], nodeKey, ca.cert.Raw, caKey} {
		if err := pem.Encode(&out, &pem.Block{Type: pemOrder[i], Bytes: der}); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

func decodePEM(data []byte) (*authority, *tls.Certificate, error) {
	var blocks [len(pemOrder)][]byte
	for i, want := range pemOrder {
		block, rest := pem.Decode(data)
		if block == nil || block.Type != want {
			return nil, nil, fmt.Errorf("part %d of %d, a %s, is missing or damaged: restore the file from a backup", i+1, len(pemOrder), want)
		}
		blocks[i], data = block.Bytes, rest
	}
	nodeKey, err := parseKey(blocks[1])
	if err != nil {
		return nil, nil, fmt.Errorf("key of node: %w", err)
	}
	caKey, err := parseKey(blocks[3])
	if err != nil {
		return nil, nil, fmt.Errorf("key of CA: %w", err)
	}
	ca, err := parseAuthority(blocks[2], caKey)
	if err != nil {
		return nil, nil, err
	}
	cert, err := bundle(ca, blocks[0], nodeKey)
	if err != nil {
		return nil, nil, err
	}
	if err := cert.Leaf.CheckSignatureFrom(ca.cert); err != nil {
		return nil, nil, fmt.Errorf("certificate of node is not this CA's: %w", err)
	}
	return ca, cert, nil
}

func parseKey(der []byte) (ed25519.PrivateKey, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("not a PKCS #8 key") // the cause might quote the key
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("not an Ed25519 key")
	}
	return private, nil
}
