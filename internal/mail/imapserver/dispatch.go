package imapserver

import (
	"time"

	"porcupine/internal/mail/imap"
)

// carryOut carries out a command and answers it: what it gives, then news of the selected folder if this is
// a moment for them, then the tagged answer.
func (s *session) carryOut(c imap.Command) {
	began := time.Now()
	s.after, s.told = nil, 0
	r := s.dispatch(c)
	s.upload.close()
	if s.ended == "" && s.folder != nil && mayTell(c) {
		s.tellNews(c.Verb)
	}
	s.holdBack(&r)
	if s.folder != nil && r.Kind == imap.OK && r.Code.IsZero() && s.enabled.condstore && (c.Verb == imap.VerbExpunge || c.Verb == imap.VerbMove) {
		// RFC 7162 §3.2.7: what vanished has been told, so the client is up to this one (U6).
		r.Code = imap.Code{Name: imap.CodeHighestModSeq, Number: uint64(s.folder.view.Mark().HighestModSeq)}
	}
	if s.ended == "" || s.ended == EndedLogout {
		s.reply(c, r)
	}
	if r.Kind == imap.OK && s.mailbox != nil {
		s.bad = 0 // a session of days may make some mistakes
	}
	s.srv.cfg.Observer.Command(c.Verb, string(r.Kind), time.Since(began))
	s.count()
	if after := s.after; after != nil && s.ended == "" {
		s.after = nil
		after()
	}
	s.limits()
}

// mayTell reports whether expunges may be told with a command (U7; RFC 9051 §7.5.1): not with those whose
// numbers, or whose answers' numbers, would then mean something else.
func mayTell(c imap.Command) bool {
	switch c.Verb {
	case imap.VerbFetch, imap.VerbStore, imap.VerbESearch:
		return c.UID
	case imap.VerbSearch:
		args, ok := c.Args.(imap.Search)
		return c.UID && ok && !namesNumbers(&args.Key)
	case imap.VerbSort:
		args, ok := c.Args.(imap.Sort)
		return c.UID && ok && !namesNumbers(&args.Key)
	case imap.VerbThread:
		args, ok := c.Args.(imap.Thread)
		return c.UID && ok && !namesNumbers(&args.Key)
	}
	return true
}

// count counts a command.
func (s *session) count() { s.commands++ }

// limits ends a session that costs more than it is worth.
func (s *session) limits() {
	switch {
	case s.ended != "":
	case s.bad >= s.srv.cfg.BadCommandsMax:
		s.bye(EndedAbuse, "", "too many commands that make no sense")
	case s.authFailures >= s.srv.cfg.AuthFailuresMax:
		s.bye(EndedAbuse, "", "too many failed logins")
	case s.mailbox == nil && s.commands >= s.srv.cfg.LoginCommandsMax:
		s.bye(EndedAbuse, "", "too many commands before login")
	}
}

// dispatch carries out a command of any state and gives its tagged answer.
func (s *session) dispatch(c imap.Command) imap.Reply {
	switch c.Verb {
	case imap.VerbCapability:
		s.say(imap.CapabilityData{Names: s.capabilities()})
		return done(c.Verb)
	case imap.VerbNoop:
		return done(c.Verb)
	case imap.VerbLogout:
		return s.logout()
	case imap.VerbID:
		return s.id(c.Args.(imap.ID))
	}
	if s.mailbox == nil {
		return s.beforeLogin(c)
	}
	if r, ok := s.onMailbox(c); ok {
		return r
	}
	if s.folder == nil {
		return s.wrong(textNotHere)
	}
	return s.onFolder(c)
}

// beforeLogin carries out a command of the not authenticated state (RFC 9051 §6.2).
func (s *session) beforeLogin(c imap.Command) imap.Reply {
	switch c.Verb {
	case imap.VerbStartTLS:
		return s.startTLS()
	case imap.VerbLogin:
		return s.login(c.Args.(imap.Login))
	case imap.VerbAuthenticate:
		return s.authenticate(c.Args.(imap.Authenticate))
	}
	return s.wrong(textNotHere)
}

// onMailbox carries out a command of the authenticated state (RFC 9051 §6.3). false: it is none.
func (s *session) onMailbox(c imap.Command) (imap.Reply, bool) {
	switch c.Verb {
	case imap.VerbEnable:
		return s.enable(c.Args.(imap.Enable)), true
	case imap.VerbSelect, imap.VerbExamine:
		return s.selectFolder(c.Args.(imap.Select), c.Verb == imap.VerbExamine), true
	case imap.VerbCreate:
		return s.create(c.Args.(imap.Create)), true
	case imap.VerbDelete:
		return s.deleteFolder(c.Args.(imap.Name).Folder), true
	case imap.VerbRename:
		return s.rename(c.Args.(imap.Rename)), true
	case imap.VerbSubscribe, imap.VerbUnsubscribe:
		return s.subscribe(c.Verb, c.Args.(imap.Name).Folder), true
	case imap.VerbList, imap.VerbLsub:
		return s.list(c.Args.(imap.List), c.Verb == imap.VerbLsub), true
	case imap.VerbNamespace:
		s.say(imap.NamespaceData{Personal: []imap.Namespace{{Delimiter: imap.Delimiter}}})
		return done(c.Verb), true
	case imap.VerbStatus:
		return s.status(c.Args.(imap.Status)), true
	case imap.VerbAppend:
		return s.append(c.Args.(imap.Append)), true
	case imap.VerbIdle:
		return s.idling(), true
	case imap.VerbGetQuota:
		return s.getQuota(c.Args.(imap.GetQuota)), true
	case imap.VerbGetQuotaRoot:
		return s.getQuotaRoot(c.Args.(imap.Name).Folder), true
	case imap.VerbSetQuota:
		return no(imap.CodeNoPerm, "only the administrator sets quotas"), true
	case imap.VerbGetMetadata:
		return s.getMetadata(c.Args.(imap.GetMetadata)), true
	case imap.VerbSetMetadata:
		return s.setMetadata(c.Args.(imap.SetMetadata)), true
	case imap.VerbUnauthenticate:
		return s.unauthenticate(), true
	case imap.VerbCompress:
		return s.compress(c.Args.(imap.Compress)), true
	}
	return imap.Reply{}, false
}

// onFolder carries out a command of the selected state (RFC 9051 §6.4).
func (s *session) onFolder(c imap.Command) imap.Reply {
	switch c.Verb {
	case imap.VerbCheck:
		return done(c.Verb)
	case imap.VerbClose:
		return s.closeCommand()
	case imap.VerbUnselect:
		s.closeFolder()
		return done(c.Verb)
	case imap.VerbExpunge:
		return s.expunge(c)
	case imap.VerbSearch:
		return s.search(c)
	case imap.VerbSort:
		return s.sort(c)
	case imap.VerbThread:
		return s.thread(c)
	case imap.VerbFetch:
		return s.fetch(c)
	case imap.VerbStore:
		return s.store(c)
	case imap.VerbCopy, imap.VerbMove:
		return s.copy(c)
	case imap.VerbReplace:
		return s.replace(c)
	}
	return s.wrong(textNotHere)
}

// reply gives the tagged answer of a command.
func (s *session) reply(c imap.Command, r imap.Reply) {
	r.Tag = c.Tag
	s.say(r)
}

// say sends a response, as soon as nothing more is to come.
func (s *session) say(r imap.Response) {
	s.write(func(e *imap.Encoder) { e.Response(r) })
}

// write sends what is written with an encoder.
func (s *session) write(f func(*imap.Encoder)) {
	e := s.srv.encoders.Get().(*imap.Encoder)
	e.Dialect = s.dialect()
	f(e)
	// A write error is kept by the buffer and comes out at flush.
	_, _ = s.out.Buffer().Write(e.Bytes())
	e.Reset()
	s.srv.encoders.Put(e)
}
