package imapserver

import (
	"slices"

	"porcupine/internal/mail/imap"
	"porcupine/internal/mail/message"
)

// inIndex reports whether an item is a choice of fields of the message's own header.
func inIndex(it imap.FetchItem) bool {
	return it.Kind == imap.FetchBodySection && it.Section.Text == imap.SectionHeaderFields && len(it.Section.Part) == 0
}

// fromIndex tells of header fields that the index has: nothing is opened. It is false if something must be.
func (x *fetching) fromIndex(e *imap.Encoder, it imap.FetchItem, index *message.Index, began *bool) bool {
	if !inIndex(it) {
		return false
	}
	fields, ok := index.HeaderFields(x.fields[:0], it.Section.Fields)
	if !ok {
		return false
	}
	x.fields = fields
	if p := it.Partial; p != nil {
		first := min(p.Offset, int64(len(fields)))
		fields = fields[first : first+min(p.Count, int64(len(fields))-first)]
	}
	withoutNUL(fields)
	e.FetchSection(it, int64(len(fields)))
	x.octets += int64(len(fields))
	if len(fields) > 0 {
		x.send(e)
		*began = true
		_, _ = x.s.out.Buffer().Write(fields) // out.failed has the error
	}
	return true
}

// hasFields reports whether the index has the header fields that are asked for, so that nothing is read.
func (x *fetching) hasFields(it imap.FetchItem, index *message.Index) bool {
	return inIndex(it) && index.Fields.Set && !slices.ContainsFunc(it.Section.Fields, message.IsTrace)
}
