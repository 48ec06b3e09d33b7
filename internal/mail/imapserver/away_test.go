package imapserver_test

import (
	"context"
	"testing"

	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver"
	"porcupine/internal/mail/imapserver/imaptest"
	"porcupine/internal/mail/message"
)

// partly is mail of which the message with UID 2 lies on nodes that are away.
type partly struct{ *imaptest.Mail }

func (p partly) Open(ctx context.Context, u mail.User, c mail.Client) (imapserver.Mailbox, error) {
	box, err := p.Mail.Open(ctx, u, c)
	return partlyBox{box}, err
}

type partlyBox struct{ imapserver.Mailbox }

func (p partlyBox) Select(ctx context.Context, name string, readOnly bool) (imapserver.Selected, error) {
	sel, err := p.Mailbox.Select(ctx, name, readOnly)
	return partlyFolder{sel}, err
}

type partlyFolder struct{ imapserver.Selected }

func (p partlyFolder) Summaries(ctx context.Context, uids mail.UIDSet, yield func(*mail.Summary) error) error {
	return p.Selected.Summaries(ctx, uids, func(s *mail.Summary) error {
		if s.UID == 2 {
			s = &mail.Summary{UID: s.UID, ID: s.ID, Flags: s.Flags, ModSeq: s.ModSeq, Saved: s.Saved, Size: -1}
		}
		return yield(s)
	})
}

func (p partlyFolder) Structures(ctx context.Context, uids mail.UIDSet, yield func(mail.UID, *message.Index) error) error {
	return p.Selected.Structures(ctx, uids.Without(mail.NewUIDSet(2)), yield)
}

// V2: a message that is away is told with its flags: a client takes what is missing for deleted. What needs the message
// itself is told of the others, and the answer is that not all could be. A search that does not need it is answered.
func TestV2_AwayMessages(t *testing.T) {
	m := newMail()
	for range 3 {
		m.Deliver(alice, "INBOX", plain, clock, mail.FlagSeen)
	}
	newRig(t, m, options{mailboxes: partly{m}}).play(login + `
		C: S EXAMINE INBOX
		S: ...
		S: ...
		S: ...
		S: ...
		S: ...
		S: ...
		S: ...
		S: ...
		S: S OK ...
		C: 1 UID FETCH 1:* FLAGS
		S: * 1 FETCH (UID 1 FLAGS (\Seen))
		S: * 2 FETCH (UID 2 FLAGS (\Seen))
		S: * 3 FETCH (UID 3 FLAGS (\Seen))
		S: 1 OK ...
		C: 2 UID FETCH 1:* (FLAGS RFC822.SIZE)
		S: * 1 FETCH (UID 1 FLAGS (\Seen) RFC822.SIZE ...)
		S: * 3 FETCH (UID 3 FLAGS (\Seen) RFC822.SIZE ...)
		S: 2 NO [UNAVAILABLE] ...
		C: 3 FETCH 1:* BODY.PEEK[HEADER.FIELDS (X)]
		S: * 1 FETCH (BODY[HEADER.FIELDS (X)] {2}
		S: 
		S: )
		S: * 3 FETCH (BODY[HEADER.FIELDS (X)] {2}
		S: 
		S: )
		S: 3 NO [UNAVAILABLE] ...
		C: 4 UID SEARCH SEEN
		S: * SEARCH 1 2 3
		S: 4 OK ...
		C: 5 UID SEARCH SMALLER 5
		S: 5 NO [UNAVAILABLE] ...
		C: 6 UID SEARCH BODY hello
		S: 6 NO [UNAVAILABLE] ...
		C: 7 UID SORT (ARRIVAL) UTF-8 ALL
		S: 7 NO [UNAVAILABLE] ...
		C: 8 UID THREAD REFERENCES UTF-8 ALL
		S: 8 NO [UNAVAILABLE] ...
		C: 9 UID FETCH 2 BODY.PEEK[]
		S: 9 NO [UNAVAILABLE] ...
		`)
}
