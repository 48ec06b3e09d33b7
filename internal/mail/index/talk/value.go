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
	// OpCreate: Name, Use, Request. Folder.
	OpCreate
	// OpDelete: Name, Folder (by which a folder that is gone already is known; zero: it was not found), Request.
	OpDelete
	// OpRename: Name, To, Folder (as of OpDelete), Request.
	OpRename
	// OpSubscribe: Name, On, Request.
	OpSubscribe
	// OpStatus: Name. Status.
	OpStatus
	// OpSelect: Name. Status, Mark.
	OpSelect
	// OpUIDs: Folder, Mark, After. UIDs above After, up to RangesMax ranges; More; Next is the last one.
	OpUIDs
	// OpSync: Folder, Mark, On (UIDs are understood). Vanished, Arrived, Summaries, Status, Mark; More: ask again with the new
	// Mark. UIDs, if more has come or gone than an answer holds: all messages that are there, in place of Vanished and Arrived;
	// Next: ask for those above it (OpUIDs), with the new Mark.
	OpSync
	// OpSince: Folder, Mark, ModSeq (the client's), After. Vanished and Summaries of all that went or changed after it, by UID
	// above After, Status; More: ask again for the UIDs above Next.
	OpSince
	// OpSummaries: Folder, Mark, UIDs, On (Lies are wanted too). Summaries, Lies; More: ask again for the UIDs above the last,
	// Next.
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
	// OpPlaced: Folder, Items that have been stored, Request; Mark and UIDs: what is replaced, in folder From. Placed. An item
	// without replicas is one that the manager has said it knows (OpKnown).
	OpPlaced
	// OpMetadata: Name. Values.
	OpMetadata
	// OpSetMetadata: Name, Values, Cleared, Request.
	OpSetMetadata
	// OpWatch: the asking node wants Notices for a while; On false: no more. TTL; More: something could not be told
	// since the node asked before, and it looks for itself.
	OpWatch
	// OpKnown: Messages, Folder. Known: what is known of each, in their order.
	OpKnown
	// OpWithin: Messages, Folder. Known: of each whether it is in the folder, in their order. KnownElsewhere is another folder
	// for certain: a message that is away is where its ledger says.
	OpWithin
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

// Known is what a manager knows of a message that may have been stored before.
type Known uint8

// What is known.
const (
	// KnownNot: nothing. It was never there, or it has come and the manager has not heard of it.
	KnownNot Known = iota
	// KnownHere: it is in the folder that was named.
	KnownHere
	// KnownElsewhere: it is in another folder, or it is away.
	KnownElsewhere
	// KnownDead: it was there, and is deleted. What is stored under its id is not shown.
	KnownDead
)

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
	// Messages are ids of messages, PageMax at most.
	Messages []mail.MessageID
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
	Known     []Known
}

// Notice says that something may have changed.
type Notice struct {
	User    mail.User
	Folders []mail.FolderID // none: it may be any
}
