package pop3server

import (
	"context"
	"io"

	"porcupine/internal/mail"
)

// Maildrops opens mailboxes. It is called from many goroutines.
type Maildrops interface {
	// Open locks the user's mailbox, for the whole cluster, and lists it. ctx is for the call
	// alone. The caller owns the Maildrop and closes it. Five things may happen:
	//
	//  1. The mailbox, listed in full.
	//  2. mail.ErrInUse in the chain: another session has it ([IN-USE]).
	//  3. cluster.KindUnavailable: not all of it can be listed now ([SYS/TEMP]; V2: never a view
	//     from incomplete lists).
	//  4. cluster.KindCorrupt: it is damaged ([SYS/PERM]).
	//  5. Any other kind: a limit or a fault ([SYS/TEMP]).
	Open(ctx context.Context, user mail.User, c mail.Client) (Maildrop, error)
}

// Maildrop is a mailbox that one session has locked. Its methods are called by one goroutine at
// a time.
type Maildrop interface {
	// Messages lists the messages, oldest first: message number i+1 is Messages()[i]. It is the
	// same at every call; the caller does not change it.
	Messages() []Message
	// Read gives the text of message i (from 0). The reader fails, instead of ending, when the
	// text does not match its checksum (D5); its end is io.EOF itself, not wrapped. ctx governs
	// the reader until the caller closes it: when it is cancelled, a waiting Read returns.
	Read(ctx context.Context, i int) (io.ReadCloser, error)
	// Delete deletes these messages (from 0, ascending), and gives an error unless all of the
	// deletions are durable. It is called once at most.
	Delete(ctx context.Context, indexes []int) error
	// Lost is closed when the lock is lost: the session must end, and deletes nothing.
	Lost() <-chan struct{}
	// Close gives the lock back.
	Close()
}

// Message is one message of a listing: its unique-id of 1 to 70 characters of 0x21 to 0x7E
// (RFC 1939 §7), which never changes (P1), and its octets with CR LF line ends.
type Message = mail.Listed
