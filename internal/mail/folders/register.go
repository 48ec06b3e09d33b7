package folders

import (
	"encoding/binary"

	"porcupine/internal/cluster/replication/join"
	"porcupine/internal/mail"
)

// Registers by the first byte of their names. Those of other names come from a later version: they
// are kept and joined as they are.
const (
	kindFolder     = 'f' // and the id: what the folder is
	kindBump       = 'b' // and the id, and a UIDVALIDITY u32: the folder's is not less
	kindHistory    = 'h' // and a UIDVALIDITY u32, the id, and the path: the folder had this name with it
	kindSubscribed = 's' // and the path
	kindAnnotation = 'a' // and the id, and the entry
	kindGeneral    = 'A' // and the entry: an annotation of the whole mailbox
	kindCounter    = '#' // a number that only grows: the register's time, without value and node
)

// Counters.
const (
	counterHorizon  = "#t" // what was written before it is forgotten
	counterValidity = "#v" // the largest UIDVALIDITY that was ever given
	counterHistory  = "#h" // the largest UIDVALIDITY in what has been forgotten of the history of names
)

// idLen is the length of an id in names and values.
const idLen = len(mail.FolderID{})

func nameOf(kind byte, id mail.FolderID, rest string) string {
	return string(kind) + string(id[:]) + rest
}

// cutID takes an id from the beginning of what follows a register's kind.
func cutID(s string) (id mail.FolderID, rest string, ok bool) {
	if len(s) < idLen {
		return id, "", false
	}
	copy(id[:], s)
	return id, s[idLen:], true
}

// cutValidity takes a UIDVALIDITY from the beginning.
func cutValidity(s string) (v uint32, rest string, ok bool) {
	if len(s) < 4 {
		return 0, "", false
	}
	return binary.BigEndian.Uint32([]byte(s[:4])), s[4:], true
}

func bumpName(id mail.FolderID, v uint32) string {
	return nameOf(kindBump, id, string(binary.BigEndian.AppendUint32(nil, v)))
}

func historyName(path string, v uint32, id mail.FolderID) string {
	b := binary.BigEndian.AppendUint32([]byte{kindHistory}, v)
	return string(append(append(b, id[:]...), path...))
}

// state is the value of a folder's register.
type state struct {
	validity uint32
	isBumped bool          // its UIDVALIDITY is that of a bump, which says nothing of the name
	use      byte          // 1 + its place in uses(); 0: none
	path     string        // "": the folder was deleted, or merged
	into     mail.FolderID // of one that was merged; else INBOX
}

const (
	stateAlive = 'F' // validity u32, use u8, path
	stateGone  = 'D' // into
)

func (s *state) value() []byte {
	if s.path == "" {
		return append([]byte{stateGone}, s.into[:]...)
	}
	b := append(binary.BigEndian.AppendUint32([]byte{stateAlive}, s.validity), s.use)
	return append(b, s.path...)
}

// readState reads a folder's register. What is no folder, or none that this version can show, is gone:
// its messages are found in INBOX.
func readState(r *join.Register) (s state) {
	if len(r.Value) == 0 {
		return s
	}
	switch rest := string(r.Value[1:]); r.Value[0] {
	case stateGone:
		if into, more, ok := cutID(rest); ok && more == "" {
			s.into = into
		}
	case stateAlive:
		v, rest, ok := cutValidity(rest)
		if ok && v > 0 && rest != "" && rest[1:] != inboxName && fault(rest[1:]) == "" {
			s.validity, s.use, s.path = v, rest[0], rest[1:]
		}
	}
	return s
}

// isSet reports whether a register of kindSubscribed, or an annotation, holds something.
func isSet(r *join.Register) bool { return len(r.Value) > 0 }
