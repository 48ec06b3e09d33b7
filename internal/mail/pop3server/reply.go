package pop3server

import (
	"errors"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/pop3"
	"porcupine/internal/mail/sasl"
)

// Texts that are used more than once.
const (
	textLost    = "mailbox lock was lost, nothing is deleted; log in again"
	textNoSuch  = "no such message"
	textTryOn   = "is not available now; try again later"
	textNotHere = "not valid in this state"
)

// loginReply turns the error of an authentication into a reply. The client hears the general
// case; the log has the rest.
func loginReply(err error) (pop3.Code, string) {
	if errors.Is(err, sasl.ErrAborted) {
		return pop3.NoCode, "authentication aborted"
	}
	switch cluster.KindOf(err) {
	case cluster.KindDenied:
		return pop3.AuthCode, "user name or password is wrong"
	case cluster.KindInvalid:
		return pop3.NoCode, "authentication is malformed or not offered"
	}
	return pop3.SysTemp, "cannot log in now; try again later"
}

// openReply turns the error of Maildrops.Open into a reply. Nothing of it may look like an empty
// mailbox (V2).
func openReply(err error) (pop3.Code, string) {
	kind := cluster.KindOf(err)
	switch {
	case errors.Is(err, mail.ErrInUse):
		return pop3.InUse, "mailbox is in use by another session"
	case kind == cluster.KindCorrupt:
		return pop3.SysPerm, "mailbox is damaged; ask your administrator"
	}
	return pop3.SysTemp, "mailbox " + textTryOn
}

// readReply turns the error of Maildrop.Read into a reply.
func readReply(err error) (pop3.Code, string) {
	switch cluster.KindOf(err) {
	case cluster.KindNotFound:
		return pop3.NoCode, textNoSuch
	case cluster.KindCorrupt:
		return pop3.SysPerm, "message is damaged; ask your administrator"
	}
	return pop3.SysTemp, "message " + textTryOn
}
