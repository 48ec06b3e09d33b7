// Package transfer brings mail of other programs and servers into a mailbox, and out of it into files.
//
// A source ([Mbox], [Maildir], [Server]) shows folders and messages to an [Importer], which gives them to a [Mailbox] in
// batches. A message is known again by its Email id (RFC 8474 §5.1): the id is computed from the user, the folder, the
// contents, and how many messages of these contents came before in the folder; for messages of another server from the
// server, its UIDVALIDITY and the UID. So an import that was cut off at any moment is run again as it was:
// what the mailbox has, in whatever folder it lies now, is passed over. What it does not tell of, since it was under way when the
// import was cut off, is sent again and is the same message: the mailbox makes its id of the Email id and of what it knows the
// import by ([Mailbox] Begin). A message that was deleted meanwhile does not come back with the same import. When that is
// complete, another one brings it again.
//
// Contents lie in memory up to a limit and in a temporary file beyond it. What grows with the number of messages is a
// key for each: 16 octets in the mailbox, and so much again in the source.
//
// [MboxDir] and [MaildirDir] write a mailbox. They too are run again after an end at any moment.
package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"time"

	"porcupine/internal/mail"
)

// Folder is a folder of a source or a target.
type Folder struct {
	Name       string // as UTF-8, with '/' between the levels; INBOX in capitals
	Use        string // special use (RFC 6154), or ""
	Subscribed bool
}

// Message is one message on its way.
type Message struct {
	Place    string // where it lies in the source, for people
	Folder   string
	Email    mail.MessageID
	Flags    []mail.Flag
	Received time.Time // zero: unknown
	Size     int64
	Body     io.ReaderAt
	done     func() error // gives back what Body holds
}

// Sink is what a source shows its mail to. An error of its methods ends the source's work, and is given by it.
type Sink interface {
	Folder(ctx context.Context, f Folder) error
	// Message takes over the message, also if it fails.
	Message(ctx context.Context, m *Message) error
	// Skipped says that a message cannot be had.
	Skipped(place string, err error)
}

// digest is the checksum of contents.
type digest [sha256.Size]byte

// occurrences gives messages their Email ids.
type occurrences struct {
	user   mail.User
	counts map[mail.MessageID]uint32
}

func newOccurrences(u mail.User) *occurrences {
	return &occurrences{user: u, counts: map[mail.MessageID]uint32{}}
}

// next gives the id of one more message of these contents in a folder.
func (o *occurrences) next(folder string, sum digest) mail.MessageID {
	key := hashed("contents", string(o.user), folder, string(sum[:]))
	n := o.counts[key]
	o.counts[key] = n + 1
	if n == 0 {
		return key
	}
	return hashed("again", string(key[:]), string(binary.BigEndian.AppendUint32(nil, n)))
}

// hashed makes an id of some strings. They never change: what was imported before is known by it.
func hashed(parts ...string) (id mail.MessageID) {
	h := sha256.New()
	for _, p := range append([]string{"porcupine import 1"}, parts...) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p)))) // a hash takes all
		h.Write([]byte(p))
	}
	copy(id[:], h.Sum(nil))
	return id
}
