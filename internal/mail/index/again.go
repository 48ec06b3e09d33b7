package index

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/folders"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/uidledger"
)

// A question is carried again when its answer is lost (node.Ask). A manager that carried it out remembers its answer. One that has come
// after it finds in the tree of folders, or in the flags, that it was done, by what the question brings along (D6).

// repeatsMax is how many answers of changes an index remembers, for questions that are carried again.
const repeatsMax = 32

// repeat is the answer to a question that changed something.
type repeat struct {
	request [16]byte
	answer  []byte
}

func (s *state) remembered(request [16]byte) ([]byte, bool) {
	for i := range s.recent {
		if s.recent[i].request == request && request != ([16]byte{}) {
			return s.recent[i].answer, true
		}
	}
	return nil, false
}

func (s *state) remember(request [16]byte, answer []byte) {
	if request == ([16]byte{}) {
		return
	}
	if len(s.recent) == repeatsMax {
		s.recent = slices.Delete(s.recent, 0, 1)
	}
	s.recent = append(s.recent, repeat{request, answer})
}

// drawn gives the ids of one request, the same however often it comes.
func drawn(request [16]byte) func() mail.FolderID {
	n := byte(0)
	return func() (id mail.FolderID) {
		n++
		sum := sha256.Sum256(append(request[:], n))
		copy(id[:], sum[:])
		return id
	}
}

// madeBy gives the folder of a name if this very question has made it, at a manager before: with those above it that were
// missing it has drawn no more ids than a name has levels.
func (s *state) madeBy(q *talk.Question, name string) (folders.Folder, bool) {
	f, err := s.tree.Find(name)
	if err != nil || q.Request == ([16]byte{}) {
		return folders.Folder{}, false
	}
	next := drawn(q.Request)
	for range folders.DepthMax {
		if next() == f.ID {
			return f, true
		}
	}
	return folders.Folder{}, false
}

// deletedBy reports whether the folder that a question is to delete has been, by it or by somebody else: one that has got the
// name since is not meant.
func (s *state) deletedBy(q *talk.Question) bool {
	return q.Folder != mail.Inbox && s.tree.IsGone(q.Folder)
}

// isAnother reports whether a question names a folder by its id, and the name is that of another one by now.
func (s *state) isAnother(q *talk.Question) bool {
	f, err := s.tree.Find(q.Name)
	return err == nil && q.Folder != mail.Inbox && f.ID != q.Folder
}

// renamedBy gives the folder that a question is to rename if it has the new name already, and had the old one.
func (s *state) renamedBy(q *talk.Question) (folders.Folder, bool) {
	f, err := s.tree.Find(q.To)
	if err != nil || q.Folder == mail.Inbox || f.ID != q.Folder {
		return folders.Folder{}, false
	}
	if was, err := folders.Canonical(q.Name); err != nil || was == f.Name {
		return folders.Folder{}, false
	}
	return f, true
}

// signSpan is how many stamps of flags there are to tell conditional STOREs apart by, which is 17 ms: so far a stamp may be ahead
// of its clock, and one change in so many of somebody else is taken for the question's own.
const signSpan = 1 << 24

// signOf gives the place of a question's stamps among signSpan.
func signOf(request [16]byte) int64 {
	sum := sha256.Sum256(request[:])
	return int64(binary.BigEndian.Uint64(sum[:]) % signSpan)
}

// signed gives the next stamp that says of which question it is. Only conditional STOREs need that: any other one may be done twice.
func signed(at cluster.Timestamp, q *talk.Question) cluster.Timestamp {
	if q.ModSeq > 0 && q.Request != ([16]byte{}) {
		ahead := (signOf(q.Request) - at.Time%signSpan + signSpan) % signSpan
		at.Time += ahead
	}
	return at
}

// storedBy reports whether this very question has changed a message already, at a manager before: then that is not the change
// for which it is to leave the message alone.
func storedBy(q *talk.Question, flags []uidledger.Register) bool {
	return q.Request != ([16]byte{}) && slices.ContainsFunc(flags, func(r uidledger.Register) bool { return r.Stamp.Time%signSpan == signOf(q.Request) })
}
