package identity

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

// secretLength is the length of a Secret, in bytes.
const secretLength = 32

// Secret derives a secret for one purpose from the CA's key (HKDF-SHA-256, RFC 5869): every node
// of the cluster gets the same, across restarts, and nobody else can compute it.
func (i *Identity) Secret(purpose string) ([]byte, error) {
	seed := i.ca.key.Seed()
	secret, err := hkdf.Key(sha256.New, seed, nil, "porcupine "+purpose, secretLength)
	if err != nil {
		return nil, fmt.Errorf("cluster secret: %w", err)
	}
	return secret, nil
}
