package imap

import (
	"strconv"
	"time"

	"porcupine/internal/mail"
)

// BeginFetch begins a FETCH response. Then come the items, each by one of the methods below, and EndFetch.
// A long one goes out in pieces:
//
//	e.BeginFetch(7).FetchUID(4711).FetchSection(item, size) // send e.Bytes(), then size octets, then e.Reset()
//	e.EndFetch()                                            // and send that
func (e *Encoder) BeginFetch(number uint32) *Encoder {
	e.items = false
	return e.Raw("* ").Number(uint64(number)).Raw(" FETCH (")
}

// EndFetch ends a FETCH response.
func (e *Encoder) EndFetch() *Encoder { return e.Raw(")").CRLF() }

// item begins an item.
func (e *Encoder) item(name string) *Encoder {
	if e.items {
		e.Raw(" ")
	}
	e.items = true
	return e.Raw(name).Raw(" ")
}

// FetchUID appends UID.
func (e *Encoder) FetchUID(u mail.UID) *Encoder { return e.item("UID").Number(uint64(u)) }

// FetchFlags appends FLAGS.
func (e *Encoder) FetchFlags(flags []mail.Flag) *Encoder { return e.item("FLAGS").Flags(flags) }

// FetchInternalDate appends INTERNALDATE.
func (e *Encoder) FetchInternalDate(t time.Time) *Encoder { return e.item("INTERNALDATE").DateTime(t) }

// FetchSaveDate appends SAVEDATE (RFC 8514); NIL for the zero time.
func (e *Encoder) FetchSaveDate(t time.Time) *Encoder {
	e.item("SAVEDATE")
	if t.IsZero() {
		return e.Raw("NIL")
	}
	return e.DateTime(t)
}

// FetchSize appends RFC822.SIZE.
func (e *Encoder) FetchSize(octets int64) *Encoder {
	return e.item("RFC822.SIZE").Number(uint64(max(octets, 0)))
}

// FetchModSeq appends MODSEQ (RFC 7162).
func (e *Encoder) FetchModSeq(m mail.ModSeq) *Encoder {
	return e.item("MODSEQ").Raw("(").Number(uint64(m)).Raw(")")
}

// FetchEmailID appends EMAILID (RFC 8474 §5.1).
func (e *Encoder) FetchEmailID(id string) *Encoder { return e.item("EMAILID").Raw("(" + id + ")") }

// FetchThreadID appends THREADID (RFC 8474 §5.2); NIL if there is none.
func (e *Encoder) FetchThreadID(id string) *Encoder {
	e.item("THREADID")
	if id == "" {
		return e.Raw("NIL")
	}
	return e.Raw("(" + id + ")")
}

// FetchPreview appends PREVIEW (RFC 8970); nil: NIL, there is none at hand.
func (e *Encoder) FetchPreview(text []byte) *Encoder { return e.item("PREVIEW").NString(text) }

// FetchEnvelope appends ENVELOPE.
func (e *Encoder) FetchEnvelope(env *Envelope) *Encoder { return e.item("ENVELOPE").envelope(env) }

// FetchBodyStructure appends BODYSTRUCTURE, or BODY if not extended.
func (e *Encoder) FetchBodyStructure(b *BodyStructure, extended bool) *Encoder {
	if extended {
		return e.item("BODYSTRUCTURE").structure(b, true)
	}
	return e.item("BODY").structure(b, false)
}

// FetchBinarySize appends BINARY.SIZE[part] (RFC 3516 §4.3).
func (e *Encoder) FetchBinarySize(it FetchItem, octets int64) *Encoder {
	return e.item(it.responseName()).Number(uint64(max(octets, 0)))
}

// FetchSection appends the name of an item with contents, BODY[...], BINARY[...] or RFC822..., and says that a
// literal of so many octets follows, which the caller sends after Bytes. For BINARY that is a literal8, and NUL
// may be in it; for the others it may not (RFC 9051 §4.3).
func (e *Encoder) FetchSection(it FetchItem, octets int64) *Encoder {
	e.item(it.responseName())
	if it.Kind == FetchBinary {
		return e.Literal8(octets)
	}
	return e.Literal(octets)
}

// FetchSectionNil appends such an item with NIL: there is no such part.
func (e *Encoder) FetchSectionNil(it FetchItem) *Encoder { return e.item(it.responseName()).Raw("NIL") }

// FetchSectionShort appends such an item with contents that are at hand.
func (e *Encoder) FetchSectionShort(it FetchItem, octets []byte) *Encoder {
	e.FetchSection(it, int64(len(octets)))
	e.buf = append(e.buf, octets...)
	return e
}

// fetchValue appends one item of a FetchData.
func (e *Encoder) fetchValue(v FetchValue) {
	switch v.Item.Kind {
	case FetchFlags:
		e.FetchFlags(v.Flags)
	case FetchInternalDate:
		e.FetchInternalDate(v.Time)
	case FetchSaveDate:
		e.FetchSaveDate(v.Time)
	case FetchRFC822Size, FetchUID, FetchBinarySize:
		e.item(v.Item.responseName()).Number(v.Number)
	case FetchModSeq:
		e.FetchModSeq(mail.ModSeq(v.Number))
	case FetchEmailID:
		e.FetchEmailID(v.ID)
	case FetchThreadID:
		e.FetchThreadID(v.ID)
	case FetchPreview:
		e.FetchPreview(v.Octets)
	case FetchEnvelope:
		e.FetchEnvelope(v.Envelope)
	case FetchBody, FetchBodyStructure:
		e.FetchBodyStructure(v.Structure, v.Item.Kind == FetchBodyStructure)
	default:
		if v.Octets == nil {
			e.FetchSectionNil(v.Item)
			return
		}
		e.FetchSectionShort(v.Item, v.Octets)
	}
}

// responseName is the name of an item in a FETCH response: without PEEK, and of a partial only where it begins
// (RFC 9051 §7.5.2).
func (it FetchItem) responseName() string {
	return string(it.appendName(nil, Dialect{}, literalSync, true))
}

// appendName writes an item as commands have it, or responses.
func (it FetchItem) appendName(dst []byte, d Dialect, form literalForm, response bool) []byte {
	switch it.Kind {
	case FetchBodySection, FetchBinary, FetchBinarySize:
	default:
		dst = append(dst, it.Kind...)
		if it.Lazy && !response {
			dst = append(dst, " (LAZY)"...)
		}
		return dst
	}
	dst = append(dst, it.Kind[:len(it.Kind)-1]...)
	if it.Peek && !response {
		dst = append(dst, ".PEEK"...)
	}
	dst = it.Section.appendTo(dst, d, form)
	if it.Partial == nil {
		return dst
	}
	dst = append(dst, '<')
	dst = strconv.AppendInt(dst, it.Partial.Offset, 10)
	if !response {
		dst = append(dst, '.')
		dst = strconv.AppendInt(dst, it.Partial.Count, 10)
	}
	return append(dst, '>')
}

// appendTo writes a section with its brackets (RFC 9051 §9, section).
func (s Section) appendTo(dst []byte, d Dialect, form literalForm) []byte {
	dst = append(dst, '[')
	for i, n := range s.Part {
		if i > 0 {
			dst = append(dst, '.')
		}
		dst = strconv.AppendUint(dst, uint64(n), 10)
	}
	if s.Text != SectionAll {
		if len(s.Part) > 0 {
			dst = append(dst, '.')
		}
		dst = append(dst, s.Text...)
	}
	if s.Text == SectionHeaderFields || s.Text == SectionHeaderFieldsNot {
		dst = append(dst, " ("...)
		for i, f := range s.Fields {
			if i > 0 {
				dst = append(dst, ' ')
			}
			dst = appendAString(dst, f, d, form)
		}
		dst = append(dst, ')')
	}
	return append(dst, ']')
}
