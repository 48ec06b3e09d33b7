package talk

import (
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
)

// The methods, as they are registered with a node.
const (
	Method        = "mail.imap.ask"
	MethodChanged = "mail.imap.changed"
)

// Op is what a question asks for.
type Op uint8

// The questions. Each lists the fields of Question that it uses beside User, and those of its Answer.
const (
	// OpFolders: all folders. Folders.
	OpFolders Op = 1 + iota
	// OpCreate: Name, Use, Folder (its id to be), Request. Folder.
	OpCreate
	// OpDelete: Name, Request.
	OpDelete
	// OpRename: Name, To, Request.
	OpRename
	// OpSubscribe: Name, On, Request.
	OpSubscribe
	// OpStatus: Name. Status.
	OpStatus
	// OpSelect: Name. Status, Mark.
	OpSelect
	// OpUIDs: Folder, Mark, After. UIDs above After, up to RangesMax ranges; More; Next is the last one.
	OpUIDs
	// OpSync: Folder, Mark. Vanished, Arrived, Summaries, Status, Mark; More: ask again with the new Mark.
	OpSync
	// OpSince: Folder, Mark with the client's modification sequence, After. Vanished (with the first page), Summaries
	// of all that changed after it, by UID above After, Status; More.
	OpSince
	// OpSummaries: Folder, Mark, UIDs. Summaries; More: ask again for the UIDs above the last, Next.
	OpSummaries
	// OpWhere: Folder, Mark, UIDs. Lies; More.
	OpWhere
	// OpStore: Folder, Mark, UIDs, FlagOp, Flags, ModSeq, Request. Summaries, Modified.
	OpStore
	// OpMove: Folder, Mark, UIDs, To, Request. Placed.
	OpMove
	// OpExpunge: Folder, Mark, UIDs (none: all), On (UIDs is meant), Request.
	OpExpunge
	// OpFind: Name. Folder: for what is to be stored there.
	OpFind
	// OpPlaced: Folder, Items that have been stored, Request; Mark and UIDs: what is replaced, in folder From. Placed.
	OpPlaced
	// OpMetadata: Name. Values.
	OpMetadata
	// OpSetMetadata: Name, Values, Cleared, Request.
	OpSetMetadata
	// OpWatch: the asking node wants Notices for a while; On false: no more. TTL.
	OpWatch
	opEnd
)

// Limits of one question or answer.
const (
	NameMax      = 1 << 10   // octets of a folder's name
	RangesMax    = 20_000    // of a set of UIDs
	PageMax      = 1_000     // summaries, whereabouts, items
	FoldersMax   = 4_096     // folders of a user
	FlagsMax     = 128       // of a message
	KeywordsMax  = 1_024     // of a folder
	FlagSizeMax  = 255       // octets
	ValuesMax    = 256       // annotations
	ValueSizeMax = 64 << 10  // octets of one
	NoticesMax   = 256       // in one call
	SizeMax      = 1 << 20   // octets of a question or an answer
	PageBytes    = 512 << 10 // a page ends after it
)

// Mark is what a session has shown its client of a folder, or is about to show.
type Mark struct {
	Validity uint32
	Next     mail.UID
	ModSeq   mail.ModSeq
	// Seen names the publication that the manager had made when it said this: whoever does not know it has an
	// older state. The manager's own.
	Seen string
}

// Item is one message that was stored for a folder, and shall get a number there.
type Item struct {
	Object cluster.Object // as it was stored
	Flags  []mail.Flag
}

// Lie is where a message lies.
type Lie struct {
	UID      mail.UID
	ID       mail.MessageID
	Email    mail.MessageID
	Received time.Time
	Size     int64
	Flags    []mail.Flag
	Nodes    []cluster.NodeID // that hold it, those to ask first at the beginning; none: all are away, and only UID, ID and Flags are known
}

// Value is one annotation.
type Value struct{ Name, Value string }

// Question is what a session's node asks the manager.
type Question struct {
	Op      Op
	User    mail.User
	Request [16]byte
	Name    string
	To      string
	Use     string
	Folder  mail.FolderID
	From    mail.FolderID
	Mark    Mark
	UIDs    mail.UIDSet
	After   mail.UID
	ModSeq  mail.ModSeq
	FlagOp  backend.FlagOp
	Flags   []mail.Flag
	On      bool
	Items   []Item
	Values  []Value
	Cleared []string // names of annotations
}

// Answer is what the manager says.
type Answer struct {
	Status    backend.Status
	Mark      Mark
	Folder    mail.FolderID
	Folders   []backend.Folder
	UIDs      mail.UIDSet
	Vanished  mail.UIDSet
	Arrived   mail.UIDSet
	Modified  mail.UIDSet
	Summaries []mail.Summary
	Lies      []Lie
	Placed    backend.Placed
	Values    []Value
	Next      mail.UID
	More      bool
	TTL       time.Duration // of a watch
}

// Notice says that something may have changed.
type Notice struct {
	User    mail.User
	Folders []mail.FolderID // none: it may be any
}
