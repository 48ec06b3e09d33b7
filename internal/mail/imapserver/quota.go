package imapserver

import "porcupine/internal/mail/imap"

// quotaRoot is the name of the one quota that there is: of all of a user's mail.
const quotaRoot = ""

// getQuota carries out GETQUOTA (RFC 9208 §4.1.1).
func (s *session) getQuota(c imap.GetQuota) imap.Reply {
	if c.Root != quotaRoot {
		return no(imap.CodeNonExistent, "no such quota root")
	}
	if r := s.sayQuota(); r.Kind != "" {
		return r
	}
	return done(imap.VerbGetQuota)
}

// getQuotaRoot carries out GETQUOTAROOT (RFC 9208 §4.1.2).
func (s *session) getQuotaRoot(name string) imap.Reply {
	ctx, cancel := s.service()
	defer cancel()
	if _, err := s.mailbox.Status(ctx, name); err != nil {
		return s.failure(err, onFolder)
	}
	s.say(imap.QuotaRootData{Folder: name, Roots: []string{quotaRoot}})
	if r := s.sayQuota(); r.Kind != "" {
		return r
	}
	return done(imap.VerbGetQuotaRoot)
}

// sayQuota tells use and limits of what is limited; or it gives the answer that says why not.
func (s *session) sayQuota() imap.Reply {
	ctx, cancel := s.service()
	defer cancel()
	q, err := s.mailbox.Quota(ctx)
	if err != nil {
		return s.failure(err, onOther)
	}
	data := imap.QuotaData{Root: quotaRoot}
	if q.BytesMax > 0 {
		data.Resources = append(data.Resources, imap.QuotaResource{Name: "STORAGE", Usage: kibibytes(q.Bytes), Limit: kibibytes(q.BytesMax)})
	}
	if q.MessagesMax > 0 {
		data.Resources = append(data.Resources, imap.QuotaResource{Name: "MESSAGE", Usage: q.Messages, Limit: q.MessagesMax})
	}
	s.say(data)
	return imap.Reply{}
}

// kibibytes is the unit of STORAGE: 1,024 octets, rounded up.
func kibibytes(octets int64) int64 { return (octets + 1023) / 1024 }
