package imapserver

import (
	"porcupine/internal/mail/imap"
	"porcupine/internal/mail/message"
)

// envelope makes an ENVELOPE of what the index has.
func envelope(env *message.Envelope) *imap.Envelope {
	if env == nil {
		return nil
	}
	return &imap.Envelope{
		Date: nstring(env.Date), Subject: nstring(env.Subject),
		From: addresses(env.From), Sender: addresses(env.Sender), ReplyTo: addresses(env.ReplyTo),
		To: addresses(env.To), Cc: addresses(env.Cc), Bcc: addresses(env.Bcc),
		InReplyTo: nstring(env.InReplyTo), MessageID: nstring(env.MessageID),
	}
}

// nstring gives the octets of a text, nil for NIL.
func nstring(s message.NString) []byte {
	if !s.Set {
		return nil
	}
	return append([]byte{}, s.Text...)
}

func addresses(list []message.Address) []imap.EnvelopeAddress {
	out := make([]imap.EnvelopeAddress, len(list))
	for i, a := range list {
		out[i] = imap.EnvelopeAddress{Name: nstring(a.Name), Route: nstring(a.Route), Mailbox: nstring(a.Mailbox), Host: nstring(a.Host)}
	}
	return out
}

// structure makes a BODYSTRUCTURE of a part. It is as deep as the parts: message.DepthMax at most.
func structure(p *message.Part) *imap.BodyStructure {
	b := &imap.BodyStructure{
		Type: p.Type, Subtype: p.Subtype, Params: params(p.Params),
		ID: nstring(p.ID), Description: nstring(p.Description), Encoding: p.Encoding,
		Size: uint64(p.Body.Len()), Lines: uint64(p.Lines),
		MD5: nstring(p.MD5), Language: p.Language, Location: nstring(p.Location),
	}
	if p.Disposition.Type != "" {
		b.Disposition = &imap.Disposition{Type: p.Disposition.Type, Params: params(p.Disposition.Params)}
	}
	switch {
	case p.IsMultipart():
		for _, c := range p.Children {
			b.Parts = append(b.Parts, structure(c))
		}
	case p.IsMessage() && len(p.Children) == 1:
		inner := p.Children[0]
		b.Envelope, b.Message = envelope(inner.Envelope), structure(inner)
		if b.Envelope == nil {
			b.Envelope = &imap.Envelope{}
		}
	}
	return b
}

func params(list []message.Param) []imap.Param {
	out := make([]imap.Param, len(list))
	for i, p := range list {
		out[i] = imap.Param{Name: p.Name, Value: p.Value}
	}
	return out
}
