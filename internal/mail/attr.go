package mail

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"time"

	"porcupine/internal/cluster"
)

// attrVersion names the layout of a message's attributes.
const attrVersion = 1

// attrLength is the length of version 1: the version octet and the time.
const attrLength = 1 + 8

// MessageAttr is what is kept about a message beside its contents, in cluster.Object.Attr. It
// does not change after acceptance. Layout of version 1:
//
//	1 octet   version, 1
//	8 octets  Received: nanoseconds since 1970, UTC, big-endian two's complement
//
// and, unless both are zero:
//
//	16 octets Folder
//	16 octets Email
//
// A reader ignores octets after those it knows, so a later version may append.
type MessageAttr struct {
	// Received is when the message was accepted, by the wall clock of the accepting node. It
	// orders a maildrop and is the IMAP INTERNALDATE (RFC 9051 §2.3.3). One that nanoseconds cannot say, before
	// September 1677 or after April 2262, is kept as the nearest (UnixNano).
	Received time.Time
	// Folder is where it was put when it was stored, by APPEND or COPY. Zero: INBOX.
	Folder FolderID
	// Email is the EMAILID (RFC 8474 §5.1) that the message shares with those that it is a copy of. Zero: its
	// own id.
	Email MessageID
}

// Append writes the attributes after b.
func (a MessageAttr) Append(b []byte) []byte {
	b = append(b, attrVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(UnixNano(a.Received)))
	if a.Folder == Inbox && a.Email == (MessageID{}) {
		return b
	}
	return append(append(b, a.Folder[:]...), a.Email[:]...)
}

// The first and the last time that nanoseconds since 1970 can tell.
var earliest, latest = time.Unix(0, math.MinInt64), time.Unix(0, math.MaxInt64)

// UnixNano gives nanoseconds since 1970; of a time for which there are none the least or the most. Messages may say any year: for those
// outside of 1677 to 2262, time.Time.UnixNano gives a time at the other end.
func UnixNano(t time.Time) int64 {
	switch {
	case t.Before(earliest):
		return math.MinInt64
	case t.After(latest):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// ParseMessageAttr reads what Append writes.
func ParseMessageAttr(b []byte) (MessageAttr, error) {
	if len(b) < attrLength {
		return MessageAttr{}, fmt.Errorf("message attributes: %d octets, want at least %d", len(b), attrLength)
	}
	if b[0] == 0 {
		return MessageAttr{}, errors.New("message attributes: version 0")
	}
	a := MessageAttr{Received: time.Unix(0, int64(binary.BigEndian.Uint64(b[1:]))).UTC()}
	if rest := b[attrLength:]; len(rest) >= len(a.Folder)+len(a.Email) {
		copy(a.Folder[:], rest)
		copy(a.Email[:], rest[len(a.Folder):])
	}
	return a, nil
}

// Object gives the id of the object that holds this message for that user.
func (id MessageID) Object(u User) cluster.ObjectID {
	return cluster.ObjectID{Type: TypeMessage, Owner: string(u), ID: id.String()}
}

// ParseMessageID reads the form that MessageID.String writes.
func ParseMessageID(s string) (id MessageID, err error) {
	if len(s) != 2*len(id) {
		return id, fmt.Errorf("message id %q: want %d hexadecimal digits", s, 2*len(id))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return MessageID{}, fmt.Errorf("message id %q: %w", s, err)
	}
	return id, nil
}
