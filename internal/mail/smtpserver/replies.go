package smtpserver

import (
	"errors"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/smtp"
)

// What the server says beside the syntax errors of package smtp. RFC 3463 has the meaning of the
// enhanced codes.
const (
	replyOK          smtp.Reply = "250 2.0.0 ok"
	replySenderOK    smtp.Reply = "250 2.1.0 sender ok"
	replyRcptOK      smtp.Reply = "250 2.1.5 recipient ok"
	replyChunkOK     smtp.Reply = "250 2.0.0 chunk ok"
	replyStored      smtp.Reply = "250 2.0.0 message is stored"
	replyVerify      smtp.Reply = "252 2.1.5 cannot tell; send the mail and see"
	replyHelp        smtp.Reply = "214 2.0.0 see RFC 5321; your postmaster helps with the rest"
	replyBye         smtp.Reply = "221 2.0.0 bye"
	replyGoTLS       smtp.Reply = "220 2.0.0 ready for TLS"
	replyLoggedIn    smtp.Reply = "235 2.7.0 welcome"
	replyData        smtp.Reply = "354 send the message, end with a line that holds a dot alone"
	replyEarly       smtp.Reply = "554 5.5.0 you spoke before the greeting"
	replySync        smtp.Reply = "554 5.5.0 you did not wait for the answer to your command"
	replyHTTP        smtp.Reply = "500 5.5.1 this is a mail server"
	replyNotKnown    smtp.Reply = "500 5.5.1 command not known"
	replyNotOffered  smtp.Reply = "502 5.5.1 command not offered"
	replyHelloFirst  smtp.Reply = "503 5.5.1 say hello first"
	replyMailFirst   smtp.Reply = "503 5.5.1 MAIL first"
	replyNested      smtp.Reply = "503 5.5.1 a sender was given already; RSET starts anew"
	replyNoRcpt      smtp.Reply = "503 5.5.1 no recipient was accepted"
	replyInChunks    smtp.Reply = "503 5.5.1 the message is coming in chunks; go on with BDAT or RSET"
	replyNoChunks    smtp.Reply = "503 5.5.1 no message is under way; chunk discarded"
	replyInTLS       smtp.Reply = "503 5.5.1 TLS is on already"
	replyAuthAgain   smtp.Reply = "503 5.5.1 you are logged in already"
	replyAuthInMail  smtp.Reply = "503 5.5.1 not inside a message; RSET first"
	replyAuthNeeded  smtp.Reply = "530 5.7.0 log in first"
	replyTLSNeeded   smtp.Reply = "538 5.7.11 logins need TLS: STARTTLS first"
	replyMechanism   smtp.Reply = "504 5.5.4 mechanism not offered"
	replyAuthAborted smtp.Reply = "501 5.7.0 login given up"
	replyAuthSyntax  smtp.Reply = "501 5.5.2 bad authentication data"
	replyAuthWrong   smtp.Reply = "535 5.7.8 user name or password is wrong"
	replyAuthLater   smtp.Reply = "454 4.7.0 cannot check logins now; try again later"
	replyNotYours    smtp.Reply = "550 5.7.1 this sender address is not yours"
	replyFromNone    smtp.Reply = "550 5.6.0 the message has no From header: it needs one, with an address of yours"
	replyFromMany    smtp.Reply = "550 5.6.0 the message has more than one From header: it needs exactly one"
	replyFromSyntax  smtp.Reply = "550 5.6.0 the From header is not a list of addresses"
	replyFromNot     smtp.Reply = "550 5.7.1 an address in the From header is not yours"
	replyTooBig      smtp.Reply = "552 5.3.4 message too big"
	replyTooManyRcpt smtp.Reply = "452 4.5.3 too many recipients; send the message again for the others"
	replyLoop        smtp.Reply = "554 5.4.6 mail loop: too many Received headers"
	replyBytes       smtp.Reply = "554 5.6.0 bare CR, bare LF or NUL in the message; lines must end in CR LF"

	replyShutdown    smtp.Reply = "421 4.3.2 this node is shutting down; try again"
	replyBusy        smtp.Reply = "421 4.3.2 too busy for more mail now; try again later"
	replyTimeout     smtp.Reply = "421 4.4.2 waited too long"
	replyTooLong     smtp.Reply = "421 4.7.0 session too long; connect again"
	replyTooMuch     smtp.Reply = "421 4.7.0 too many commands; connect again"
	replyTooBad      smtp.Reply = "421 4.7.0 too many errors"
	replyRationed    smtp.Reply = "421 4.7.0 too many unknown recipients from your network; try again later"
	replyTooManyMail smtp.Reply = "421 4.7.0 too many messages on one connection; connect again"

	replyNoUser      smtp.Reply = "550 5.1.1 no such mailbox"
	replyNoRelay     smtp.Reply = "550 5.7.1 relaying denied: this domain is not ours"
	replyNoRelayYet  smtp.Reply = "550 5.7.1 mail to other domains cannot be sent from this server yet"
	replyBadMailbox  smtp.Reply = "550 5.1.3 mail cannot be delivered to this address"
	replyRefused     smtp.Reply = "554 5.6.0 message refused"
	replyOverQuota   smtp.Reply = "452 4.2.2 mailbox is full"
	replyFull        smtp.Reply = "452 4.3.1 no room at the moment; try again later"
	replyLimit       smtp.Reply = "452 4.3.2 too much at once; try again later"
	replyNoTurn      smtp.Reply = "452 4.3.2 too busy to store the message now; try again later"
	replyUnavailable smtp.Reply = "451 4.4.0 cannot be answered now; try again later"
	replyInternal    smtp.Reply = "451 4.3.0 an error of ours; try again later"
)

// temporary maps the kinds that say nothing for good. Ignorance, an I/O error and whatever is new
// to us are temporary: a client is never told no for good unless that is proven (V1).
func temporary(err error) smtp.Reply {
	switch cluster.KindOf(err) {
	case cluster.KindFull:
		if errors.Is(err, mail.ErrOverQuota) {
			return replyOverQuota
		}
		return replyFull
	case cluster.KindLimit:
		if errors.Is(err, mail.ErrOverQuota) {
			return replyOverQuota
		}
		return replyLimit
	case cluster.KindUnavailable, cluster.KindStale, cluster.KindBehind:
		return replyUnavailable
	}
	return replyInternal
}

// rcptReply answers RCPT when Verify failed.
func rcptReply(role Role, err error) smtp.Reply {
	switch cluster.KindOf(err) {
	case cluster.KindNotFound:
		return replyNoUser
	case cluster.KindDenied:
		if role == Submission {
			return replyNoRelayYet
		}
		return replyNoRelay
	case cluster.KindInvalid:
		return replyBadMailbox
	}
	return temporary(err)
}

// deliveryReply answers for one recipient after Deliver.
func deliveryReply(err error) smtp.Reply {
	switch {
	case err == nil:
		return replyStored
	case cluster.IsKind(err, cluster.KindNotFound):
		return replyNoUser
	case cluster.IsKind(err, cluster.KindInvalid):
		return replyRefused
	}
	return temporary(err)
}

// messageReply answers for all recipients at once: 250 only if the message is durable for all.
// If it failed for some of several the answer is temporary even where one of them can never
// succeed; when the client comes again, that one is refused at RCPT. So is one that had no room.
func messageReply(errs []error) smtp.Reply {
	reply := replyStored
	for _, err := range errs {
		r := deliveryReply(err)
		switch {
		case r == replyStored:
		case r.Code()/100 == 5 && len(errs) > 1:
			return replyUnavailable
		case reply == replyStored:
			reply = r
		}
	}
	return reply
}

// Refusal is the line for a client that the door turns away before it has a session.
func Refusal(reason string) string {
	if reason == string(listener.ReasonBusy) {
		return string(replyBusy.Append(nil))
	}
	return string(smtp.Reply("421 4.7.0 " + reason + "; try again later").Append(nil))
}
