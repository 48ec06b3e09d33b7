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

	// SCRAM gives the user that the login names and what is stored for SCRAM-SHA-256. KindNotFound
	// or KindDenied: no such user, or one without SCRAM keys; the exchange then goes on with
	// made-up keys and fails at its end. The user may be given beside such an error: it is the name
	// that the salt is made from, so that two ways to write a login have one salt whether the
	// user exists or not. Any other kind: it cannot be known now.
	SCRAM(ctx context.Context, c mail.Client, login string) (mail.User, mail.SCRAMKeys, error)
}
