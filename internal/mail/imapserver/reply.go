package imapserver

import (
	"context"
	"errors"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
	"porcupine/internal/mail/sasl"
)

// Texts that are used more than once.
const (
	textNotHere  = "not valid in this state"
	textReadOnly = "folder is open for reading only"
	textLater    = "not possible now; try again later"
)

// done is the tagged OK of a command.
func done(verb imap.Verb) imap.Reply {
	return imap.Reply{Kind: imap.OK, Text: string(verb) + " completed"}
}

// no is a tagged NO. An empty code is none.
func no(code imap.CodeName, text string) imap.Reply {
	return imap.Reply{Kind: imap.NO, Code: imap.Code{Name: code}, Text: text}
}

// wrong is a tagged BAD: the client is told a mistake of its own, and it is counted.
func (s *session) wrong(text string) imap.Reply {
	s.bad++
	return imap.Reply{Kind: imap.BAD, Text: text}
}

// place says what was asked, where that changes the meaning of an error.
type place uint8

const (
	onOther  place = iota
	onFolder       // the error is about the folder that a command names
	onAppend       // the folder is where messages go: APPEND, REPLACE, COPY, MOVE
)

// failure turns the error of a room beneath into a NO. Everything that is not proven becomes a
// temporary answer (V1). What the client hears is the general case, the log has the rest: an answer
// must not show names or states that are not the client's (attack 35).
func (s *session) failure(err error, at place) imap.Reply {
	kind := cluster.KindOf(err)
	switch kind {
	case cluster.KindNotFound, cluster.KindExists, cluster.KindDenied, cluster.KindInvalid, cluster.KindLimit, cluster.KindFull:
		s.srv.cfg.Logger.Debug("imap command refused", "user", string(s.user), "err", err)
	default:
		s.srv.cfg.Logger.Warn("imap command failed", "user", string(s.user), "err", err)
	}
	switch {
	case errors.Is(err, mail.ErrOverQuota):
		return no(imap.CodeOverQuota, mail.ErrOverQuota.Error())
	case errors.Is(err, errNotSelected):
		return s.wrong(textNotHere)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return no(imap.CodeUnavailable, textLater)
	}
	switch kind {
	case cluster.KindNotFound:
		switch at {
		case onAppend:
			return no(imap.CodeTryCreate, "no such folder")
		case onFolder:
			return no(imap.CodeNonExistent, "no such folder")
		case onOther:
		}
		return no(imap.CodeExpungeIssued, "a message is gone")
	case cluster.KindExists:
		return no(imap.CodeAlreadyExists, "folder exists")
	case cluster.KindDenied:
		return no(imap.CodeCannot, "this folder does not allow it")
	case cluster.KindInvalid:
		return no(imap.CodeCannot, "this cannot be done")
	case cluster.KindLimit:
		return no(imap.CodeLimit, "a limit is reached")
	case cluster.KindCorrupt:
		return no(imap.CodeCorruption, "message is damaged; ask your administrator")
	case cluster.KindInternal:
		return no(imap.CodeServerBug, "internal error; "+textLater)
	}
	return no(imap.CodeUnavailable, textLater)
}

// loginFailure turns the error of an authentication into an answer: one and the same for unknown users
// and wrong passwords (attack 10).
func loginFailure(err error) imap.Reply {
	if errors.Is(err, sasl.ErrAborted) {
		return imap.Reply{Kind: imap.BAD, Text: "authentication aborted"}
	}
	switch cluster.KindOf(err) {
	case cluster.KindDenied:
		return no(imap.CodeAuthenticationFailed, "user name or password is wrong")
	case cluster.KindInvalid:
		return imap.Reply{Kind: imap.BAD, Text: "authentication is malformed or not offered"}
	}
	return no(imap.CodeUnavailable, "cannot log in now; try again later")
}
