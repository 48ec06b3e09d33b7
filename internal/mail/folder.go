package mail

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"
)

// FolderID is a folder's identity for ever, through renames: 128 random bits drawn when it was
// created (RFC 8474 §4, MAILBOXID).
type FolderID [16]byte

// Inbox is the id of every user's INBOX: it exists from the first moment, on both sides of a
// partition, without anybody having created it.
var Inbox = FolderID{}

// NewFolderID draws an id.
func NewFolderID() (id FolderID) {
	rand.Read(id[:]) // never fails (crypto/rand)
	return id
}

// String gives 32 hexadecimal digits.
func (id FolderID) String() string { return hex.EncodeToString(id[:]) }

// ParseFolderID reads the form that FolderID.String writes.
func ParseFolderID(s string) (id FolderID, err error) {
	if len(s) != 2*len(id) {
		return id, fmt.Errorf("folder id %q: want %d hexadecimal digits", s, 2*len(id))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return FolderID{}, fmt.Errorf("folder id %q: %w", s, err)
	}
	return id, nil
}

// UID is the number of a message in a folder (RFC 9051 §2.3.1.1): a presentation number, given when the
// message is first shown to an IMAP client. 0 is no UID.
type UID uint32

// ModSeq is a modification sequence (RFC 7162 §3.1): 63 bits, 0 is none.
type ModSeq uint64

// Flag is a flag or keyword of a message (RFC 9051 §2.3.2) in its canonical form: a system flag as it
// is written below, a keyword in lower case.
type Flag string

// The system flags. \Recent does not exist in IMAP4rev2, and is not kept.
const (
	FlagSeen     Flag = `\Seen`
	FlagAnswered Flag = `\Answered`
	FlagFlagged  Flag = `\Flagged`
	FlagDeleted  Flag = `\Deleted`
	FlagDraft    Flag = `\Draft`
)

// KeywordsMax is how many keywords one folder can have. With the five system flags, which need no room among them, a message
// has 128 flags at most.
const KeywordsMax = 123

// IsSystem reports whether this is one of the system flags, which every folder has; else it is a keyword.
func (f Flag) IsSystem() bool {
	switch f {
	case FlagSeen, FlagAnswered, FlagFlagged, FlagDeleted, FlagDraft:
		return true
	}
	return false
}

// Summary is what the index knows of one message: all that IMAP can ask without its contents.
type Summary struct {
	UID      UID
	ID       MessageID // of the object that has the contents
	Email    MessageID // EMAILID (RFC 8474 §5.1): that of the message it was copied from, or its own
	Flags    []Flag    // ascending, none twice
	ModSeq   ModSeq
	Received time.Time // INTERNALDATE
	Saved    time.Time // SAVEDATE (RFC 8514): when it came into this folder
	Size     int64     // RFC822.SIZE; below 0: see IsAway
}

// IsAway reports that the message lies on nodes that cannot be reached now: of it only the UID, the flags, ModSeq and
// Saved are known. It is there, and is told as far as it is known: a client that misses it takes it for deleted (V2).
func (s *Summary) IsAway() bool { return s.Size < 0 }
