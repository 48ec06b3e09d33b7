package sasl

import (
	"context"

	"porcupine/internal/mail"
)

// Backend knows the users. It is called from many goroutines, and bounds its own costly work
// (password hashing) itself.
type Backend interface {
	// Authenticate checks a password and gives the user it belongs to. Three things may happen:
	//
	//  1. The login names a user and the password is right: the user.
	//  2. cluster.KindDenied (or KindNotFound): no such user, or wrong password. Both must cost
	//     the same time.
	//  3. Any other kind: it cannot be known now (V1).
	//
	// login and password are valid UTF-8 without control characters, not empty, at most
	// LoginLengthMax and PasswordLengthMax octets. The login has not been normalized.
	Authenticate(ctx context.Context, c mail.Client, login, password string) (mail.User, error)

	// Scram gives what is stored for a user's SCRAM-SHA-256. KindNotFound or KindDenied: no such
	// user, or one without SCRAM keys; the exchange then goes on with made-up credentials and
	// fails at its end. Any other kind: it cannot be known now.
	Scram(ctx context.Context, c mail.Client, login string) (StoredCredentials, error)
}

// StoredCredentials is what a server stores of a password for SCRAM-SHA-256 (RFC 5802 §3).
type StoredCredentials struct {
	User       mail.User // whom a right proof lets in
	Salt       []byte    // decoded
	Iterations int       // of PBKDF2
	StoredKey  []byte    // 32 bytes
	ServerKey  []byte    // 32 bytes
}
