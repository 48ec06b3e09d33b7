package imapserver

import (
	"strconv"
	"time"

	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
)

// capabilities lists what is offered, as of now (RFC 9051 §6.1.1). What is not built is not in it.
func (s *session) capabilities() []string {
	names := []string{"IMAP4rev1", "IMAP4rev2", "LITERAL-", "ID", "SASL-IR", "ENABLE"}
	if s.mailbox != nil {
		return s.loggedInCapabilities(names)
	}
	if s.conn.CanStartTLS() {
		names = append(names, "STARTTLS")
	}
	mechanisms := s.srv.cfg.Auth.Mechanisms(s.conn.Client())
	if len(mechanisms) == 0 {
		return append(names, "LOGINDISABLED")
	}
	for _, m := range mechanisms {
		names = append(names, "AUTH="+m)
	}
	return names
}

// loggedInCapabilities adds what only a user can use. QUOTA=RES-STORAGE is not among it: it would promise
// DELETED-STORAGE (RFC 9208), which nobody counts.
func (s *session) loggedInCapabilities(names []string) []string {
	names = append(names,
		"IDLE", "NAMESPACE", "UNSELECT", "UIDPLUS", "CONDSTORE", "QRESYNC", "MOVE", "CHILDREN", "LIST-EXTENDED", "LIST-STATUS",
		"SPECIAL-USE", "CREATE-SPECIAL-USE", "STATUS=SIZE", "BINARY", "MULTIAPPEND", "REPLACE", "OBJECTID", "SAVEDATE", "PREVIEW",
		"ESEARCH", "SEARCHRES", "WITHIN", "SORT", "SORT=DISPLAY", "THREAD=ORDEREDSUBJECT", "THREAD=REFERENCES", "I18NLEVEL=1",
		"UTF8=ACCEPT", "UNAUTHENTICATE", "METADATA", "QUOTA", "QUOTA=RES-MESSAGE",
		"APPENDLIMIT="+strconv.FormatInt(s.srv.cfg.AppendLimit, 10))
	if s.srv.cfg.Compress && s.read == nil {
		names = append(names, "COMPRESS=DEFLATE")
	}
	return names
}

// enable carries out ENABLE (RFC 5161, RFC 9051 §6.3.1). What is not known is passed over in silence.
func (s *session) enable(c imap.Enable) imap.Reply {
	var enabled []string
	before := s.enabled
	for _, name := range c.Capabilities {
		on := false
		switch name {
		case "IMAP4REV2":
			on, s.enabled.rev2 = !s.enabled.rev2, true
			name = "IMAP4rev2"
		case "UTF8=ACCEPT":
			on, s.enabled.utf8 = !s.enabled.utf8, true
		case "CONDSTORE":
			on = !before.condstore
			s.useCondStore()
		case "QRESYNC": // which contains CONDSTORE (RFC 7162 §3.2.3)
			on, s.enabled.qresync = !s.enabled.qresync, true
			s.useCondStore()
		}
		if on {
			enabled = append(enabled, name)
		}
	}
	s.say(imap.EnabledData{Names: enabled})
	return done(imap.VerbEnable)
}

// id carries out ID (RFC 2971). What clients say of themselves goes to the log, at most.
func (s *session) id(c imap.ID) imap.Reply {
	fields := make([]any, 0, 2*len(c.Fields)+4)
	fields = append(fields, "remote", s.conn.Client().Remote, "user", string(s.user))
	for _, f := range c.Fields {
		fields = append(fields, "client_"+f.Name, string(f.Value))
	}
	s.srv.cfg.Logger.Debug("imap client", fields...)
	s.say(imap.IDData{Fields: []imap.IDField{{Name: "name", Value: []byte("Porcupine")}}})
	return done(imap.VerbID)
}

// logout carries out LOGOUT (RFC 9051 §6.1.3).
func (s *session) logout() imap.Reply {
	s.bye(EndedLogout, "", "see you")
	return done(imap.VerbLogout)
}

// unauthenticate goes back to the state before the login (RFC 8437). Compression stays.
func (s *session) unauthenticate() imap.Reply {
	s.closeFolder()
	s.closeMailbox()
	s.user, s.enabled = mail.User(""), enabled{}
	s.began, s.commands = time.Now(), 0
	return done(imap.VerbUnauthenticate)
}
