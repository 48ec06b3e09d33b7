package imap

import "porcupine/internal/mail"

// appending reads APPEND (RFC 9051 §6.3.12, RFC 3502, RFC 4469, RFC 6855).
func (r *reader) appending() Args {
	r.sp()
	a := Append{Folder: r.folder()}
	for first := true; r.err == nil && !r.stopped && (first || r.more()); first = false {
		a.Messages = append(a.Messages, r.message())
		r.atMost(len(a.Messages), MessagesMax, "messages")
	}
	return a
}

// replace reads REPLACE (RFC 8508 §3).
func (r *reader) replace() Args {
	r.sp()
	var m Replace
	if !r.take('*') {
		m.Number = uint32(r.nzNumber(numberMax))
	}
	r.sp()
	m.Folder = r.folder()
	m.Message = r.message()
	return m
}

// message reads one append-message.
func (r *reader) message() (m AppendMessage) {
	r.sp()
	if r.peek() == '(' {
		m.Flags = r.flags()
		r.sp()
	}
	if r.peek() == '"' {
		t, err := ParseDateTime(string(r.quoted()))
		if err != nil && r.err == nil {
			r.fail("the date-time of a message is wrong")
		}
		m.Received = t
		r.sp()
	}
	switch {
	case r.isWord("CATENATE"):
		r.sp()
		r.list(MessagesMax, "parts of CATENATE", func() { m.Parts = append(m.Parts, r.catPart()) })
	case r.isWord("UTF8"):
		r.sp()
		r.want('(')
		if l := r.literal(); l != nil && !l.binary {
			r.fail("UTF8 needs a literal8: ~{...}")
		}
		m.UTF8 = true
		m.Data = r.data()
		if !r.stopped {
			r.want(')')
		}
	default:
		m.Data = r.data()
	}
	return m
}

// data reads a literal that is a message or a part of one.
func (r *reader) data() Literal {
	p := r.literal()
	if p == nil || !p.message {
		r.fail("expected a literal with a message" + r.seen())
		return Literal{}
	}
	l := Literal{Size: p.size, Binary: p.binary, Index: p.index, Octets: p.octets}
	if p.pending {
		if !r.partial {
			r.fail("the message has not come")
		}
		r.stopped = true
	}
	r.next()
	return l
}

// catPart reads one part of CATENATE (RFC 4469 §5).
func (r *reader) catPart() CatPart {
	switch r.word("TEXT or URL") {
	case "TEXT":
		r.sp()
		return CatPart{Text: r.data()}
	case "URL":
		r.sp()
		url := r.short(LineLengthMax, "a URL")
		if url == "" {
			r.fail("the URL is empty")
		}
		return CatPart{URL: url}
	}
	r.fail("expected TEXT or URL")
	return CatPart{}
}

// flags reads a list of flags to be set, in canonical form.
func (r *reader) flags() []mail.Flag {
	flags := []mail.Flag{}
	r.optionalList(FlagsMax, "flags", func() { flags = append(flags, r.flag()) })
	return canonicalFlags(flags)
}

// flag reads a flag that can be set.
func (r *reader) flag() mail.Flag {
	name := ""
	if r.take('\\') {
		name = `\`
	}
	f, err := ParseFlag(name + r.atom("a flag"))
	if err != nil {
		r.fail(err.Error())
	}
	return f
}
