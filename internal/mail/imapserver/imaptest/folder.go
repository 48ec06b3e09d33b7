package imaptest

import (
	"slices"
	"sort"
	"time"

	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
)

// message is one message in one folder.
type message struct {
	uid             mail.UID
	id, email       mail.MessageID
	flags           []mail.Flag
	modseq          mail.ModSeq
	received, saved time.Time
	body            []byte
}

// folder is a folder's messages, ascending, and what is gone from it.
type folder struct {
	name, use   string
	id          mail.FolderID
	uidValidity uint32
	uidNext     mail.UID
	modseq      mail.ModSeq
	messages    []*message
	gone        []gone
	annotations map[string]string
}

// gone is a message that was.
type gone struct {
	uid    mail.UID
	modseq mail.ModSeq
}

// find gives the index of a message.
func (f *folder) find(uid mail.UID) (int, bool) {
	i := sort.Search(len(f.messages), func(i int) bool { return f.messages[i].uid >= uid })
	return i, i < len(f.messages) && f.messages[i].uid == uid
}

// uids gives the UIDs of all messages.
func (f *folder) uids() mail.UIDSet {
	var s mail.UIDSet
	for _, m := range f.messages {
		s.Append(m.uid)
	}
	return s
}

// remove expunges messages.
func (f *folder) remove(uids mail.UIDSet) {
	f.messages = slices.DeleteFunc(slices.Clone(f.messages), func(m *message) bool {
		if !uids.Contains(m.uid) {
			return false
		}
		f.modseq++
		f.gone = append(f.gone, gone{m.uid, f.modseq})
		return true
	})
}

// change changes flags, and counts it.
func (f *folder) change(m *message, c backend.FlagChange) {
	var flags []mail.Flag
	switch c.Op {
	case backend.FlagsReplace:
		flags = slices.Clone(c.Flags)
	case backend.FlagsAdd:
		flags = append(slices.Clone(m.flags), c.Flags...)
	case backend.FlagsRemove:
		flags = slices.DeleteFunc(slices.Clone(m.flags), func(x mail.Flag) bool { return slices.Contains(c.Flags, x) })
	}
	slices.Sort(flags)
	f.modseq++
	m.flags, m.modseq = slices.Compact(flags), f.modseq
}

// status sums the folder up.
func (f *folder) status() backend.Status {
	st := backend.Status{ID: f.id, Messages: len(f.messages), UIDNext: f.uidNext, UIDValidity: f.uidValidity, HighestModSeq: f.modseq}
	keywords := map[mail.Flag]bool{}
	for _, m := range f.messages {
		st.Size += int64(len(m.body))
		if !slices.Contains(m.flags, mail.FlagSeen) {
			st.Unseen++
			if st.FirstUnseen == 0 {
				st.FirstUnseen = m.uid
			}
		}
		if slices.Contains(m.flags, mail.FlagDeleted) {
			st.Deleted++
		}
		for _, x := range m.flags {
			if x[0] != '\\' {
				keywords[x] = true
			}
		}
	}
	for k := range keywords {
		st.Keywords = append(st.Keywords, k)
	}
	slices.Sort(st.Keywords)
	return st
}

// summary is what the index knows of a message.
func (m *message) summary() mail.Summary {
	return mail.Summary{UID: m.uid, ID: m.id, Email: m.email, Flags: slices.Clone(m.flags), ModSeq: m.modseq,
		Received: m.received, Saved: m.saved, Size: int64(len(m.body))}
}
