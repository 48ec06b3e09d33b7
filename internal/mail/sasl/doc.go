// Package sasl is the server side of logging in, for every front end: PLAIN (RFC 4616), LOGIN
// (an expired draft that clients still use) and SCRAM-SHA-256 (RFC 5802, RFC 7677), and the
// plain user name and password of POP3's USER and PASS.
//
// A front end has one [Authenticator]. It offers [Authenticator.Mechanisms], and for the
// client's AUTH it makes an [Exchange] with [Authenticator.Start] and gives every line of the
// client to [Exchange.Next] as it came, without its line end, until that says done or fails.
//
//	x, err := auth.Start(client, mechanism)
//	challenge, done, err := x.Next(ctx, initialResponse) // nil: the client sent none
//	for err == nil && !done {
//		// send challenge (base64 already) after "+ " or "334 ", read a line of at most
//		// LineLengthMax octets
//		challenge, done, err = x.Next(ctx, line)
//	}
//	user := x.User()
//
// Every error is one of these, and the front end alone turns it into a reply:
//
//   - [ErrAborted]: the client sent "*".
//   - cluster.KindInvalid: the mechanism is not offered, the line is not base64, the message is
//     malformed, the authorization identity is not the authentication identity.
//   - cluster.KindDenied: no such user, or wrong password. One and the same error for both,
//     after the same work (attack 10).
//   - any other kind: it cannot be known now. The front end must give a temporary failure and
//     never say "wrong password" (V1). [Guard]'s refusals are of this sort (KindLimit).
//
// Guessing is slowed by a [Guard], which makes the attempts from one network and the attempts
// on one account wait, before the password is looked at.
package sasl
