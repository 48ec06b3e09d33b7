package imapserver_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/imapserver/imaptest"
)

// RFC 2180 §4.1: a message that is gone between two calls has no data. That is no error by UID, and EXPUNGEISSUED else.
func TestV2_FetchOfWhatGoesMeanwhile(t *testing.T) {
	for _, c := range []struct{ command, answer string }{
		{"UID FETCH 1 BODY.PEEK[]", "* 1 EXPUNGE\nS: 1 OK FETCH completed"},
		{"UID FETCH 1 BODY.PEEK[HEADER]", "* 1 EXPUNGE\nS: 1 OK FETCH completed"},
		{"FETCH 1 BODY.PEEK[]", "1 NO [EXPUNGEISSUED] a message is gone"},
	} {
		m := oneMessage()
		box := slow{m, func(context.Context) (io.ReadCloser, error) {
			m.Remove(alice, "INBOX", 1)
			return nil, nil
		}}
		newRig(t, m, options{mailboxes: box}).play(selectedOne + "C: 1 " + c.command + "\nS: " + c.answer)
	}
}

// noted is mail of which one knows what was to be read ahead.
type noted struct {
	*imaptest.Mail
	log *aheadLog
}

type aheadLog struct {
	mu    sync.Mutex
	calls [][]backend.Piece
}

func (n noted) Open(ctx context.Context, u mail.User, c mail.Client) (imapserver.Mailbox, error) {
	box, err := n.Mail.Open(ctx, u, c)
	return notedBox{box, n}, err
}

type notedBox struct {
	imapserver.Mailbox
	n noted
}

func (b notedBox) Select(ctx context.Context, name string, readOnly bool) (imapserver.Selected, error) {
	s, err := b.Mailbox.Select(ctx, name, readOnly)
	return notedFolder{s, b.n}, err
}

type notedFolder struct {
	imapserver.Selected
	n noted
}

func (f notedFolder) Ahead(ctx context.Context, pieces []backend.Piece) {
	f.n.log.mu.Lock()
	defer f.n.log.mu.Unlock()
	f.n.log.calls = append(f.n.log.calls, slices.Clone(pieces))
	f.Selected.Ahead(ctx, pieces)
}

// FETCH and SEARCH say what they will read before they do, never more than may be held, and let go of it at the end.
func TestReadAhead(t *testing.T) {
	const header, body = "Subject: s\r\n\r\n", 4000
	text := header + strings.Repeat("x", body-2) + "\r\n"
	const count = 300
	whole := int64(len(text))
	for _, c := range []struct {
		command string
		piece   backend.Piece
	}{
		{"UID FETCH 1:* BODY.PEEK[]", backend.Piece{Length: whole}},
		{"UID FETCH 1:* BODY.PEEK[]<10.20>", backend.Piece{Offset: 10, Length: 20}},
		{"UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)] ENVELOPE)", backend.Piece{}}, // the index has it
		{"UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT RECEIVED)] ENVELOPE)", backend.Piece{Length: int64(len(header))}},
		{"UID FETCH 1:* BODY.PEEK[TEXT]", backend.Piece{Offset: int64(len(header)), Length: body}},
		{"UID SEARCH BODY yes", backend.Piece{Length: whole}},
		{"UID SEARCH HEADER Subject yes HEADER X-Other yes", backend.Piece{}},
		{"UID SEARCH HEADER X-Other yes", backend.Piece{}},
		{"UID SEARCH HEADER Received yes", backend.Piece{Length: int64(len(header))}},
		{"UID FETCH 1:* FLAGS", backend.Piece{}},
	} {
		m := newMail()
		for range count {
			m.Deliver(alice, "INBOX", text, clock)
		}
		m.Deliver(alice, "INBOX", header+strings.Repeat("long ", backend.PieceSizeMax), clock) // by itself
		log := new(aheadLog)
		r := newRig(t, m, options{mailboxes: noted{m, log}})
		s := dialClient(t, r, m)
		for _, command := range []string{loginCommand, "SELECT INBOX", c.command} {
			got := s.command("a", command)
			if last := got[len(got)-1]; !strings.HasPrefix(last, "a OK") {
				t.Fatalf("%s = %s", command, last)
			}
			if strings.HasPrefix(command, "UID FETCH") && len(got) != count+2 {
				t.Errorf("%s: %d lines, want %d", command, len(got), count+2)
			}
		}
		log.mu.Lock()
		var all []backend.Piece
		for _, pieces := range log.calls {
			octets := int64(0)
			for _, p := range pieces {
				octets += p.Length
			}
			if len(pieces) > backend.AheadPiecesMax || octets > backend.AheadBytesMax {
				t.Errorf("%s: %d pieces of %d octets at once", c.command, len(pieces), octets)
			}
			all = append(all, pieces...)
		}
		var want []backend.Piece
		for i := range count {
			if p := c.piece; p.Length > 0 {
				p.UID = mail.UID(i + 1)
				want = append(want, p)
			}
		}
		if len(all) > len(want) && len(want) > 0 { // the long one's header
			all = all[:len(want)]
		}
		if !slices.Equal(all, want) {
			t.Errorf("%s: %d pieces are read ahead, want %d", c.command, len(all), len(want))
		}
		if n := len(log.calls); n > 0 && len(log.calls[n-1]) != 0 {
			t.Errorf("%s: pieces are held after it", c.command)
		}
		log.mu.Unlock()
	}
}
