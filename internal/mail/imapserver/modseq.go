package imapserver

import (
	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
)

// A client that follows modification sequences takes the highest one that it was told for the point up to which it
// knows the folder, and asks from there when it comes back. But a command such as STORE tells the sequence of its own
// change, while what others did before, with lower sequences, waits for a moment when it may be told. A client that
// lost its connection then would never hear of it. So the server takes the point back: it says HIGHESTMODSEQ, which
// counts for more than what was seen (RFC 7162 §3.2, §6), and says the later one when all has been told.

// toldModSeq notes that the present command told the modification sequence of a message.
func (s *session) toldModSeq(m mail.ModSeq) { s.told = max(s.told, m) }

// holdBack takes the client's point back if the present command told it more than it knows. The answer
// carries it if there is room.
func (s *session) holdBack(r *imap.Reply) {
	f := s.folder
	if f == nil || !s.enabled.condstore || s.told <= f.view.Mark().HighestModSeq {
		return
	}
	f.heldBack = true
	code := imap.Code{Name: imap.CodeHighestModSeq, Number: uint64(f.view.Mark().HighestModSeq)}
	if r.Kind == imap.OK && r.Code.IsZero() {
		r.Code = code
		return
	}
	s.note(code, "all up to there is told")
}

// letGo says how far the client is, after all has been told, if it was held back.
func (s *session) letGo() {
	f := s.folder
	if !f.heldBack {
		return
	}
	f.heldBack = false
	s.note(imap.Code{Name: imap.CodeHighestModSeq, Number: uint64(f.view.Mark().HighestModSeq)}, "all up to there is told")
}

// useCondStore notes that the client knows modification sequences. If it does so with a folder
// selected, it is told where it stands (RFC 7162 §3.1).
func (s *session) useCondStore() {
	if s.enabled.condstore {
		return
	}
	s.enabled.condstore = true
	if s.folder != nil {
		s.note(imap.Code{Name: imap.CodeHighestModSeq, Number: uint64(s.folder.view.Mark().HighestModSeq)}, "modification sequences are told")
	}
}

// namesNumbers reports whether a search names messages by their sequence numbers: then none may be told to be
// gone with its answer, though it is a UID SEARCH (RFC 9051 §5.5, RFC 7162 §3.2.10.2).
func namesNumbers(k *imap.SearchKey) bool {
	if k.Op == imap.SearchNumbers {
		return len(k.Set.Ranges) > 0
	}
	for i := range k.Keys {
		if namesNumbers(&k.Keys[i]) {
			return true
		}
	}
	return false
}
