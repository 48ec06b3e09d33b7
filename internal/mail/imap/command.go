package imap

import (
	"time"

	"porcupine/internal/mail"
)

// Dialect is what a client has enabled, as far as the grammar depends on it.
type Dialect struct {
	// UTF8: names of folders are UTF-8 on the wire, and quoted strings may have it: after ENABLE
	// UTF8=ACCEPT or IMAP4rev2 (RFC 6855 §3, RFC 9051 §5.1). Otherwise names are in modified UTF-7
	// (RFC 3501 §5.1.3).
	UTF8 bool
}

// Verb is the name of a command, in capitals. Of "UID FETCH" it is FETCH: the rest says Command.UID.
type Verb string

// The commands, and the arguments they have in Command.Args. "-" is nil.
const (
	VerbCapability     Verb = "CAPABILITY"     // -
	VerbNoop           Verb = "NOOP"           // -
	VerbLogout         Verb = "LOGOUT"         // -
	VerbID             Verb = "ID"             // ID
	VerbStartTLS       Verb = "STARTTLS"       // -
	VerbAuthenticate   Verb = "AUTHENTICATE"   // Authenticate
	VerbLogin          Verb = "LOGIN"          // Login
	VerbUnauthenticate Verb = "UNAUTHENTICATE" // -
	VerbCompress       Verb = "COMPRESS"       // Compress
	VerbEnable         Verb = "ENABLE"         // Enable
	VerbSelect         Verb = "SELECT"         // Select
	VerbExamine        Verb = "EXAMINE"        // Select
	VerbCreate         Verb = "CREATE"         // Create
	VerbDelete         Verb = "DELETE"         // Name
	VerbRename         Verb = "RENAME"         // Rename
	VerbSubscribe      Verb = "SUBSCRIBE"      // Name
	VerbUnsubscribe    Verb = "UNSUBSCRIBE"    // Name
	VerbList           Verb = "LIST"           // List
	VerbLsub           Verb = "LSUB"           // List
	VerbNamespace      Verb = "NAMESPACE"      // -
	VerbStatus         Verb = "STATUS"         // Status
	VerbAppend         Verb = "APPEND"         // Append
	VerbReplace        Verb = "REPLACE"        // Replace; also UID
	VerbIdle           Verb = "IDLE"           // -
	VerbGetQuota       Verb = "GETQUOTA"       // GetQuota
	VerbGetQuotaRoot   Verb = "GETQUOTAROOT"   // Name
	VerbSetQuota       Verb = "SETQUOTA"       // SetQuota
	VerbGetMetadata    Verb = "GETMETADATA"    // GetMetadata
	VerbSetMetadata    Verb = "SETMETADATA"    // SetMetadata
	VerbNotify         Verb = "NOTIFY"         // Notify
	VerbESearch        Verb = "ESEARCH"        // Search; also UID
	VerbCheck          Verb = "CHECK"          // -
	VerbClose          Verb = "CLOSE"          // -
	VerbUnselect       Verb = "UNSELECT"       // -
	VerbExpunge        Verb = "EXPUNGE"        // -; of UID EXPUNGE: Expunge
	VerbSearch         Verb = "SEARCH"         // Search; also UID
	VerbSort           Verb = "SORT"           // Sort; also UID
	VerbThread         Verb = "THREAD"         // Thread; also UID
	VerbFetch          Verb = "FETCH"          // Fetch; also UID
	VerbStore          Verb = "STORE"          // Store; also UID
	VerbCopy           Verb = "COPY"           // Copy; also UID
	VerbMove           Verb = "MOVE"           // Copy; also UID
)

// Known reports whether it is one of the verbs above. What is not may be anything that a client makes up: no
// key of a table that grows.
func (v Verb) Known() bool {
	return (&reader{}).family(&Command{Verb: v}).known
}

// Command is one command of a client. It shares no memory with the Scanner that read it.
type Command struct {
	Tag  string
	Verb Verb
	UID  bool // the command had UID in front: its numbers are UIDs, and so are those of its answers
	Args Args // one of the types below, as the list of verbs says; nil where it says "-"
}

// Args are the arguments of a command: one of the types below, by value.
type Args interface{ isArgs() }

// Authenticate is AUTHENTICATE with, perhaps, an initial response (RFC 9051 §6.2.2, RFC 4959).
type Authenticate struct {
	Mechanism string // in capitals
	Initial   []byte // decoded from base64; nil: there was none; empty: "="
}

// Login is LOGIN (RFC 9051 §6.2.3). Both are octets as sent.
type Login struct{ User, Password string }

// Compress is COMPRESS (RFC 4978).
type Compress struct{ Mechanism string } // in capitals

// Enable is ENABLE (RFC 5161).
type Enable struct{ Capabilities []string } // in capitals

// ID is ID (RFC 2971): nil is NIL.
type ID struct{ Fields []IDField }

// IDField is one field of an ID. A nil Value is NIL.
type IDField struct {
	Name  string
	Value []byte
}

// Name is the argument of commands that have a folder's name and nothing else.
type Name struct{ Folder string }

// Select is SELECT or EXAMINE (RFC 9051 §6.3.2).
type Select struct {
	Folder    string
	Given     string   // the name as it was given, if that was not NFC; else "" (RFC 9051 §5.1)
	CondStore bool     // RFC 7162 §3.1.8
	QResync   *QResync // RFC 7162 §3.2.5; nil: not given
}

// QResync is what a client says that it knows of a folder (RFC 7162 §3.2.5).
type QResync struct {
	UIDValidity uint32
	ModSeq      mail.ModSeq
	Known       NumSet // empty: not given, which means all
	// Numbers and their UIDs that the client remembers; both empty, or as many in one as in the other.
	MatchNumbers, MatchUIDs NumSet
}

// Create is CREATE (RFC 9051 §6.3.4), with special uses such as `\Sent` (RFC 6154 §3).
type Create struct {
	Folder string // without the delimiter at the end that says that folders will come below it
	Given  string // the name as it was given, if that was not NFC; else "" (RFC 9051 §5.1)
	Use    []string
}

// Rename is RENAME (RFC 9051 §6.3.6).
type Rename struct{ From, To string }

// Status is STATUS (RFC 9051 §6.3.11).
type Status struct {
	Folder string
	Items  []StatusItem
}

// Append is APPEND (RFC 9051 §6.3.12) of one or more messages (RFC 3502).
type Append struct {
	Folder   string
	Messages []AppendMessage
}

// Replace is REPLACE (RFC 8508).
type Replace struct {
	Number  uint32 // a sequence number, of UID REPLACE a UID; Star: the last one
	Folder  string
	Message AppendMessage
}

// AppendMessage is one message of APPEND or REPLACE.
type AppendMessage struct {
	Flags    []mail.Flag
	Received time.Time // zero: not given
	UTF8     bool      // it came as UTF8 (~{...}), so its header may be in UTF-8 (RFC 6855 §4)
	Data     Literal
	Parts    []CatPart // CATENATE (RFC 4469); nil: the message is Data
}

// CatPart is one part of CATENATE: a text, or, where URL is not empty, what that URL names.
type CatPart struct {
	URL  string
	Text Literal
}

// Literal is a literal that is a message or a part of it.
type Literal struct {
	Size   int64
	Binary bool // literal8: it may have NUL (RFC 3516 §4.4)
	// Index counts the literals of the command that were streamed, from 0. -1: it was not streamed, and
	// its octets are in Octets.
	Index  int
	Octets []byte
}

// Expunge is UID EXPUNGE (RFC 4315 §2.1).
type Expunge struct{ Set NumSet }

// Copy is COPY or MOVE (RFC 9051 §6.4.7, RFC 6851).
type Copy struct {
	Set    NumSet
	Folder string
}

// Store is STORE (RFC 9051 §6.4.6).
type Store struct {
	Set NumSet
	// Conditional: only messages not changed after UnchangedSince, which may be 0 (RFC 7162 §3.1.3).
	Conditional    bool
	UnchangedSince mail.ModSeq
	Op             StoreOp
	Silent         bool
	Flags          []mail.Flag // in canonical form, ascending, none twice
}

// StoreOp is what STORE does with flags.
type StoreOp uint8

// FLAGS, +FLAGS and -FLAGS.
const (
	StoreReplace StoreOp = iota
	StoreAdd
	StoreRemove
)

// GetQuota is GETQUOTA (RFC 9208 §4.1.1).
type GetQuota struct{ Root string }

// SetQuota is SETQUOTA (RFC 9208 §4.1.3).
type SetQuota struct {
	Root   string
	Limits []QuotaLimit
}

// QuotaLimit is one limit of SETQUOTA. The resource is in capitals.
type QuotaLimit struct {
	Resource string
	Limit    int64
}

// GetMetadata is GETMETADATA (RFC 5464 §4.2). Folder "" is the server.
type GetMetadata struct {
	Folder  string
	MaxSize *int64 // nil: not given
	Depth   MetadataDepth
	Entries []string // in lower case
}

// MetadataDepth says how far below the entries that are named GETMETADATA goes.
type MetadataDepth uint8

// "0", "1" and "infinity".
const (
	DepthZero MetadataDepth = iota
	DepthOne
	DepthInfinity
)

// SetMetadata is SETMETADATA (RFC 5464 §4.3).
type SetMetadata struct {
	Folder string
	Values []MetadataValue
}

// MetadataValue is an annotation. A nil Value is NIL: SETMETADATA removes it.
type MetadataValue struct {
	Entry string // in lower case
	Value []byte
}

// Notify is NOTIFY (RFC 5465).
type Notify struct {
	None   bool // NOTIFY NONE
	Status bool // SET STATUS: tell the state of the folders first
	Groups []EventGroup
}

// EventGroup is one group of NOTIFY. No events: NONE.
type EventGroup struct {
	Filter FolderFilter
	Events []Event
}

// Event is one event of NOTIFY.
type Event struct {
	Kind  EventKind
	Fetch []FetchItem // of MessageNew: what to tell of a new message of the selected folder
}

// EventKind is the name of an event, as RFC 5465 §5 writes it.
type EventKind string

// The events of RFC 5465 §5.
const (
	EventMessageNew            EventKind = "MessageNew"
	EventMessageExpunge        EventKind = "MessageExpunge"
	EventFlagChange            EventKind = "FlagChange"
	EventAnnotationChange      EventKind = "AnnotationChange"
	EventMailboxName           EventKind = "MailboxName"
	EventSubscriptionChange    EventKind = "SubscriptionChange"
	EventMailboxMetadataChange EventKind = "MailboxMetadataChange"
	EventServerMetadataChange  EventKind = "ServerMetadataChange"
)

// FolderFilter says which folders an ESEARCH or a group of NOTIFY is about (RFC 5465 §6, RFC 7377 §2.2).
type FolderFilter struct {
	Kind    FilterKind
	Folders []string // of subtree, subtree-one and mailboxes
}

// FilterKind is the name of a filter, in lower case.
type FilterKind string

// The filters of RFC 5465 §6 and RFC 7377 §2.2.
const (
	FilterSelected        FilterKind = "selected"
	FilterSelectedDelayed FilterKind = "selected-delayed"
	FilterInboxes         FilterKind = "inboxes"
	FilterPersonal        FilterKind = "personal"
	FilterSubscribed      FilterKind = "subscribed"
	FilterSubtree         FilterKind = "subtree"
	FilterSubtreeOne      FilterKind = "subtree-one"
	FilterMailboxes       FilterKind = "mailboxes"
)

func (Authenticate) isArgs() {}
func (Login) isArgs()        {}
func (Compress) isArgs()     {}
func (Enable) isArgs()       {}
func (ID) isArgs()           {}
func (Name) isArgs()         {}
func (Select) isArgs()       {}
func (Create) isArgs()       {}
func (Rename) isArgs()       {}
func (Status) isArgs()       {}
func (Append) isArgs()       {}
func (Replace) isArgs()      {}
func (Expunge) isArgs()      {}
func (Copy) isArgs()         {}
func (Store) isArgs()        {}
func (GetQuota) isArgs()     {}
func (SetQuota) isArgs()     {}
func (GetMetadata) isArgs()  {}
func (SetMetadata) isArgs()  {}
func (Notify) isArgs()       {}
func (List) isArgs()         {}
func (Fetch) isArgs()        {}
func (Search) isArgs()       {}
func (Sort) isArgs()         {}
func (Thread) isArgs()       {}
