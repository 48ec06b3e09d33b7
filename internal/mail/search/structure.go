package search

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"porcupine/internal/mail"
	"porcupine/internal/mail/message"
)

// inEnvelope reports whether the structure has the text of a field, by its name in lower case: of several fields
// of one name it has the one that ENVELOPE shows. Sender and Reply-To are not among them: there the structure shows those of From.
func inEnvelope(field string) bool {
	switch field {
	case "date", "subject", "from", "to", "cc", "bcc", "message-id", "in-reply-to":
		return true
	}
	return false
}

// byStructure evaluates a key of the second pass. Open: the structure may not have all.
func (n *node) byStructure(a *asked) Verdict {
	x := a.structure
	switch n.key.Op {
	case OpSentBefore, OpSentOn, OpSentSince:
		return verdictOf(!x.Sent.IsZero() && compareDay(n.key.Op-OpSentBefore, DayOf(x.Sent), n.key.Day))
	case OpThreadID:
		return verdictOf(ThreadID(a.summary, x) == n.key.Text)
	}
	if !inEnvelope(n.key.Field) {
		if !x.Fields.Set {
			return Open
		}
		return verdictOf(n.inFields(a, x.Fields.Text))
	}
	text, there := envelopeField(a.text[:0], x.Root.Envelope, n.key.Field)
	a.text = text
	if there {
		a.folded, _ = a.fold.append(a.folded[:0], text, false)
	}
	switch {
	case there && n.field.in(a.folded):
		return Yes
	case x.Cut: // the structure may have left out something of the envelope
		return Open
	}
	return No
}

// inFields looks for a key's text in the fields of its name that the structure keeps as they stand in the header. It finds what
// Reader.field finds there.
func (n *node) inFields(a *asked, fields string) bool {
	for rest := fields; rest != ""; {
		end := wholeField(rest)
		name, value, isField := strings.Cut(rest[:end], ":")
		rest = rest[end:]
		if name = strings.TrimRight(name, " \t"); !isField || len(name) != len(n.key.Field) || !strings.EqualFold(name, n.key.Field) {
			continue
		}
		if value = strings.TrimSpace(value); strings.Contains(value, "=?") {
			value = message.DecodeHeader(value)
		}
		a.text = blanks(a.text[:0], value)
		a.folded, _ = a.fold.append(a.folded[:0], a.text, false)
		if n.field.in(a.folded) {
			return true
		}
	}
	return false
}

// wholeField gives the length of the field that text begins with, with its continued lines.
func wholeField(text string) int {
	for at := 0; ; {
		end := strings.IndexByte(text[at:], '\n')
		if end < 0 {
			return len(text)
		}
		if at += end + 1; at == len(text) || text[at] != ' ' && text[at] != '\t' {
			return at
		}
	}
}

// envelopeField gives the text of a field, decoded, with its runs of blanks as one.
func envelopeField(dst []byte, e *message.Envelope, field string) (text []byte, there bool) {
	switch field {
	case "date":
		return plainField(dst, e.Date)
	case "subject":
		return plainField(dst, e.Subject)
	case "message-id":
		return plainField(dst, e.MessageID)
	case "in-reply-to":
		return plainField(dst, e.InReplyTo)
	case "from":
		return addressField(dst, e.From)
	case "to":
		return addressField(dst, e.To)
	case "cc":
		return addressField(dst, e.Cc)
	default:
		return addressField(dst, e.Bcc)
	}
}

func plainField(dst []byte, s message.NString) ([]byte, bool) {
	return blanks(dst, []byte(message.DecodeHeader(s.Text))), s.Set
}

// addressField writes addresses as a header field would: "Name <local@host>, Group: local@host;".
func addressField(dst []byte, list []message.Address) ([]byte, bool) {
	var text []byte
	first := true
	for i := range list {
		a := &list[i]
		if a.IsGroupEnd() {
			text = append(text, ';')
			continue
		}
		if !first {
			text = append(text, ", "...)
		}
		first = false
		if a.IsGroupStart() {
			text = append(append(text, message.DecodeHeader(a.Mailbox.Text)...), ": "...)
			first = true
			continue
		}
		if a.Name.Text == "" {
			text = append(text, a.String()...)
			continue
		}
		text = append(append(text, message.DecodeHeader(a.Name.Text)...), " <"...)
		text = append(append(text, a.String()...), '>')
	}
	return blanks(dst, text), len(list) > 0
}

// ThreadID gives the THREADID of a message (RFC 8474 §5.2) in a form that is an objectid: the hash of the message id at which its
// conversation began, which every reply names first in References. It needs the message alone, so all
// nodes agree on it, for ever. A message without any message id is a thread of its own Email id.
func ThreadID(s *mail.Summary, x *message.Index) string {
	var sum [sha256.Size]byte
	switch {
	case len(x.References) > 0:
		sum = sha256.Sum256([]byte("id " + x.References[0]))
	case x.ID != "":
		sum = sha256.Sum256([]byte("id " + x.ID))
	default:
		sum = sha256.Sum256([]byte("email " + s.Email.String()))
	}
	return hex.EncodeToString(sum[:16])
}
