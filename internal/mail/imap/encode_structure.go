package imap

// envelope appends an ENVELOPE (RFC 9051 §9, envelope).
func (e *Encoder) envelope(env *Envelope) *Encoder {
	if env == nil {
		env = &Envelope{}
	}
	e.Raw("(").NString(env.Date).Raw(" ").NString(env.Subject)
	for _, list := range [...][]EnvelopeAddress{env.From, env.Sender, env.ReplyTo, env.To, env.Cc, env.Bcc} {
		e.Raw(" ").addresses(list)
	}
	return e.Raw(" ").NString(env.InReplyTo).Raw(" ").NString(env.MessageID).Raw(")")
}

func (e *Encoder) addresses(list []EnvelopeAddress) {
	if len(list) == 0 {
		e.Raw("NIL")
		return
	}
	e.Raw("(")
	for _, a := range list {
		e.Raw("(").NString(a.Name).Raw(" ").NString(a.Route).Raw(" ").NString(a.Mailbox).Raw(" ").NString(a.Host).Raw(")")
	}
	e.Raw(")")
}

// structure appends a BODYSTRUCTURE, or without extension data a BODY (RFC 9051 §9, body).
func (e *Encoder) structure(b *BodyStructure, extended bool) *Encoder {
	if b == nil {
		b = &BodyStructure{Type: "TEXT", Subtype: "PLAIN"}
	}
	e.Raw("(")
	if len(b.Parts) > 0 {
		for _, p := range b.Parts {
			e.structure(p, extended)
		}
		e.Raw(" ").String([]byte(b.Subtype))
		if extended {
			e.Raw(" ").params(b.Params).dispositionAndBehind(b)
		}
		return e.Raw(")")
	}
	encoding := b.Encoding
	if encoding == "" {
		encoding = "7BIT"
	}
	e.String([]byte(b.Type)).Raw(" ").String([]byte(b.Subtype)).Raw(" ").params(b.Params)
	e.Raw(" ").NString(b.ID).Raw(" ").NString(b.Description).Raw(" ").String([]byte(encoding)).Raw(" ").Number(b.Size)
	switch {
	case b.isMessage(): // clients read an envelope and a body there, whatever the part holds
		e.Raw(" ").envelope(b.Envelope).Raw(" ").structure(b.Message, extended).Raw(" ").Number(b.Lines)
	case equalFold(b.Type, "TEXT"):
		e.Raw(" ").Number(b.Lines)
	}
	if extended {
		e.Raw(" ").NString(b.MD5).dispositionAndBehind(b)
	}
	return e.Raw(")")
}

// isMessage reports whether the part is one whose envelope and structure are told.
func (b *BodyStructure) isMessage() bool {
	return equalFold(b.Type, "MESSAGE") && (equalFold(b.Subtype, "RFC822") || equalFold(b.Subtype, "GLOBAL"))
}

// dispositionAndBehind appends what single parts and multiparts have at the end.
func (e *Encoder) dispositionAndBehind(b *BodyStructure) {
	e.Raw(" ")
	if d := b.Disposition; d != nil {
		e.Raw("(").String([]byte(d.Type)).Raw(" ").params(d.Params).Raw(")")
	} else {
		e.Raw("NIL")
	}
	e.Raw(" ")
	if len(b.Language) == 0 {
		e.Raw("NIL")
	} else {
		e.Raw("(")
		for i, l := range b.Language {
			if i > 0 {
				e.Raw(" ")
			}
			e.String([]byte(l))
		}
		e.Raw(")")
	}
	e.Raw(" ").NString(b.Location)
}

// params appends parameters (RFC 9051 §9, body-fld-param).
func (e *Encoder) params(params []Param) *Encoder {
	if len(params) == 0 {
		return e.Raw("NIL")
	}
	e.Raw("(")
	for i, p := range params {
		if i > 0 {
			e.Raw(" ")
		}
		e.String([]byte(p.Name)).Raw(" ").String([]byte(p.Value))
	}
	return e.Raw(")")
}
