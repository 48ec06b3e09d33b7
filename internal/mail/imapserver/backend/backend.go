// Package backend is what IMAP asks of the mail, as words: interfaces that the front end calls, and the
// values that go through them. The front end (internal/mail/imapserver) and the proxy that answers it
// (internal/mail/imapproxy) know these words, and not each other.
package backend

import (
	"context"
	"errors"
	"io"
	"time"

	"porcupine/internal/mail"
	"porcupine/internal/mail/message"
)

// ErrLeft is in the chain of an error of Append or Copy when what they had stored could not be removed, all of it: the client
// may see some of the messages all the same.
var ErrLeft = errors.New("some of what was stored is left")

// Mailboxes opens users' mail. Errors of all methods here have a cluster.Kind; what is not proven is
// temporary, and never becomes an answer that a client takes for good (V1).
type Mailboxes interface {
	// Open begins the session of a user who has logged in. KindUnavailable: the user's manager, or a
	// part of the mail, cannot be reached: NO [UNAVAILABLE].
	Open(ctx context.Context, u mail.User, c mail.Client) (Mailbox, error)
}

// Mailbox is all of one user's mail, as one session sees it. Its methods may be called by one
// goroutine at a time; Close ends calls under way. What takes several steps, here and in Selected, tells of its
// progress (WithProgress).
type Mailbox interface {
	// Folders lists all folders of the user by name, and the names that are only subscribed.
	Folders(ctx context.Context) ([]Folder, error)
	// Create makes a folder and what is missing above it. use is a special use (RFC 6154) or "".
	// KindExists: it is there. KindInvalid: no such name can be. KindLimit: too many.
	Create(ctx context.Context, name string, use string) (mail.FolderID, error)
	// Delete deletes a folder and its messages. KindNotFound; KindDenied: INBOX, or it has folders below it.
	Delete(ctx context.Context, name string) error
	// Rename renames a folder and all below it; of INBOX it moves the messages (RFC 9051 §6.3.6).
	Rename(ctx context.Context, from, to string) error
	// Subscribe sets or takes away a subscription. The folder need not exist.
	Subscribe(ctx context.Context, name string, on bool) error
	// Status tells of a folder without selecting it.
	Status(ctx context.Context, name string) (Status, error)
	// Append stores messages in a folder, all or none (RFC 3502), but for ErrLeft. It tells of its progress (WithProgress). KindNotFound: [TRYCREATE].
	// KindFull with mail.ErrOverQuota: [OVERQUOTA].
	Append(ctx context.Context, name string, messages []Append) (Placed, error)
	// Select opens a folder. The one that was open before is closed by the caller first.
	Select(ctx context.Context, name string, readOnly bool) (Selected, error)
	// Quota tells use and limits; a limit of 0 is none.
	Quota(ctx context.Context) (Quota, error)
	// Metadata reads and writes annotations (RFC 5464) of a folder, of the mailbox if name is "".
	Metadata(ctx context.Context, name string) (map[string]string, error)
	SetMetadata(ctx context.Context, name string, values map[string]*string) error
	// Watch has notify called, from any goroutine and never blocking, when something may have
	// changed in any folder (NOTIFY, RFC 5465). nil ends it.
	Watch(notify func(mail.FolderID))
	Close() error
}

// Folder is one folder in a list.
type Folder struct {
	Name       string // as UTF-8, with '/' between the levels; INBOX in capitals
	ID         mail.FolderID
	Exists     bool // false: only subscribed, or only there because a folder is below it
	Subscribed bool
	Use        string // special use, such as `\Sent`, or ""
}

// Status is what STATUS and SELECT tell of a folder.
type Status struct {
	ID            mail.FolderID
	Messages      int
	Unseen        int
	Deleted       int
	UIDNext       mail.UID
	UIDValidity   uint32
	HighestModSeq mail.ModSeq
	Size          int64
	// FirstUnseen is the smallest UID without \Seen; 0: none (IMAP4rev1's UNSEEN).
	FirstUnseen mail.UID
	Keywords    []mail.Flag // in use in the folder
}

// Append is one message of an APPEND.
type Append struct {
	// ID is its own id, if it may be stored again under the same: an import's that was broken off. Zero: a new one. All
	// messages of one APPEND have one, or none has. With them it is not all or none: what was stored stays, what is there
	// already is only given the flags, and what the user has deleted or moved elsewhere meanwhile is passed over.
	ID       mail.MessageID
	Body     io.ReaderAt // as cluster.Body: it may be read more than once
	Size     int64
	Flags    []mail.Flag
	Received time.Time // zero: now
	// Email is its EMAILID (RFC 8474); zero: a new one. An import gives a message the same one each time.
	Email    mail.MessageID
	Replaces mail.UID // of the selected folder, to be expunged in the same step (REPLACE, RFC 8508); 0: none
}

// Placed says where messages went: for [APPENDUID] and [COPYUID] (RFC 4315). UIDs are in the order of
// the messages; empty if no number could be given yet: the response code is left out then.
type Placed struct {
	UIDValidity uint32
	From, To    []mail.UID // From is empty for APPEND
}

// Selected is an open folder. It keeps no list of messages: the session has the UIDs that its client
// knows, and asks.
type Selected interface {
	// Status is as it was when the folder was selected, or at the last Sync.
	Status() Status
	// UIDs gives the messages of the folder at that moment: the client's view begins with it.
	UIDs(ctx context.Context) (mail.UIDSet, error)
	// Sync gives what has changed since the last one (the first: since SELECT), and makes it the view.
	// KindUnavailable: this session cannot go on correctly: BYE.
	Sync(ctx context.Context) (Changes, error)
	// Since gives what has changed since a modification sequence, of the UIDs given (QRESYNC,
	// RFC 7162 §3.2.5.2): the summaries of what changed, and what is gone.
	// known is what the client says it knows; nil: all. KindUnavailable: the client has seen a newer
	// state than can be reached (L13).
	Since(ctx context.Context, since mail.ModSeq, known mail.UIDSet) (Changes, error)
	// Summaries yields what is known of the messages of the view, by UID, ascending. It is paged inside: the
	// set may be the whole folder. A message that is gone meanwhile is left out. yield may take its time, and
	// call the other methods; so may that of Structures.
	Summaries(ctx context.Context, uids mail.UIDSet, yield func(*mail.Summary) error) error
	// Structures yields the index of each message, by UID, ascending. Messages that are away (mail.Summary.IsAway) are left out.
	Structures(ctx context.Context, uids mail.UIDSet, yield func(mail.UID, *message.Index) error) error
	// Ahead says which pieces will be opened next, so that they may be read together and held until the next Ahead; those
	// before are forgotten. It is advice: it may take its time, and has no error, for Open says what became of a message.
	// Pieces too many or too long (AheadPiecesMax, AheadBytesMax, PieceSizeMax) are passed over.
	Ahead(ctx context.Context, pieces []Piece)
	// Open opens the contents of one message from an offset on. KindNotFound: it is gone.
	Open(ctx context.Context, uid mail.UID, offset, length int64) (io.ReadCloser, error)
	// Store changes flags, where the message was not changed after unchangedSince (0: always). It gives the new
	// summaries, and those that were not changed for that reason (MODIFIED). It tells of its progress.
	Store(ctx context.Context, uids mail.UIDSet, change FlagChange, unchangedSince mail.ModSeq) (done []mail.Summary, modified mail.UIDSet, err error)
	// Copy and Move bring messages into another folder, and tell of their progress (WithProgress). Copy brings all or none
	// (RFC 9051 §6.4.7), but for ErrLeft. KindNotFound: [TRYCREATE].
	Copy(ctx context.Context, uids mail.UIDSet, to string) (Placed, error)
	Move(ctx context.Context, uids mail.UIDSet, to string) (Placed, error)
	// Expunge deletes the messages with \Deleted among those given; nil: among all. It tells of its progress. What is gone comes with the next Sync.
	Expunge(ctx context.Context, uids mail.UIDSet) error
	// Watch has notify called, from any goroutine and never blocking, when Sync may have something
	// to tell, or the session can no longer go on. nil ends it.
	Watch(notify func())
	Close() error
}

// Limits of what a session reads ahead and holds.
const (
	PieceSizeMax   = 64 << 10  // octets of one piece; what is longer is opened by itself
	AheadBytesMax  = 256 << 10 // octets of all pieces together
	AheadPiecesMax = 128       // pieces
)

// Piece is a stretch of the contents of a message.
type Piece struct {
	UID            mail.UID
	Offset, Length int64
}

// Changes is what a client must be told to follow a folder.
type Changes struct {
	Vanished mail.UIDSet    // told first
	Arrived  mail.UIDSet    // new in the view: above all of it
	Changed  []mail.Summary // flags or modification sequence changed, of old messages
	Status   Status         // after it
	// More: there are further changes, and the next Sync gives them. What is there is told in the order in which it changed, and
	// Status.HighestModSeq is as far as it has come.
	More bool
}

// FlagChange is what STORE does.
type FlagChange struct {
	Op    FlagOp
	Flags []mail.Flag
}

// FlagOp says how flags change.
type FlagOp uint8

// Replace the flags by those given, add them, or take them away.
const (
	FlagsReplace FlagOp = iota
	FlagsAdd
	FlagsRemove
)

// Quota is use and limits of all of a user's mail (RFC 9208).
type Quota struct {
	Bytes, BytesMax       int64
	Messages, MessagesMax int64
}
