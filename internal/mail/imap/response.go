package imap

import (
	"time"

	"porcupine/internal/mail"
)

// Response is one response of a server: one of the types below, by value. An Encoder writes it,
// Scanner.Response reads it.
type Response interface{ isResponse() }

// Reply is a status response (RFC 9051 §7.1): of a command, or untagged.
type Reply struct {
	Tag  string // "": untagged
	Kind ReplyKind
	Code Code   // zero: none
	Text string // for people; line ends in it are written as blanks
}

// ReplyKind is the kind of a status response.
type ReplyKind string

// The kinds of RFC 9051 §7.1.
const (
	OK      ReplyKind = "OK"
	NO      ReplyKind = "NO"
	BAD     ReplyKind = "BAD"
	BYE     ReplyKind = "BYE"
	PREAUTH ReplyKind = "PREAUTH"
)

// Continue is a command continuation request: "+ " and a text, for SASL a challenge in base64 (RFC 9051 §7.6).
type Continue struct{ Text string }

// CapabilityData is CAPABILITY, EnabledData ENABLED (RFC 9051 §7.2.2, RFC 5161). The names are in capitals.
type (
	CapabilityData struct{ Names []string }
	EnabledData    struct{ Names []string }
)

// IDData is ID (RFC 2971); no fields: NIL.
type IDData struct{ Fields []IDField }

// ListData is LIST or LSUB (RFC 9051 §7.3.1).
type ListData struct {
	Lsub       bool
	Attributes []string // such as `\HasChildren`
	Folder     string   // UTF-8; "" when the delimiter was asked for
	NoLevels   bool     // there is no delimiter: NIL
	Delimiter  byte     // 0: '/', which all our folders have
	// Extended data (RFC 5258 §4, RFC 9051 §6.3.9.7).
	ChildInfo []string // CHILDINFO: such as "SUBSCRIBED"
	OldName   string   // OLDNAME: the folder had this name before; "": not told
}

// Attributes of folders (RFC 9051 §7.3.1, RFC 6154).
const (
	AttrNonExistent   = `\NonExistent`
	AttrNoInferiors   = `\Noinferiors`
	AttrNoSelect      = `\Noselect`
	AttrHasChildren   = `\HasChildren`
	AttrHasNoChildren = `\HasNoChildren`
	AttrSubscribed    = `\Subscribed`
	AttrRemote        = `\Remote`
	AttrMarked        = `\Marked`
	AttrUnmarked      = `\Unmarked`
	UseAll            = `\All`
	UseArchive        = `\Archive`
	UseDrafts         = `\Drafts`
	UseFlagged        = `\Flagged`
	UseImportant      = `\Important` // RFC 8457
	UseJunk           = `\Junk`
	UseSent           = `\Sent`
	UseTrash          = `\Trash`
)

// NamespaceData is NAMESPACE (RFC 2342); nil: NIL.
type NamespaceData struct{ Personal, Others, Shared []Namespace }

// Namespace is one namespace: a prefix of names and its delimiter, '/' for all of ours; 0: NIL.
type Namespace struct {
	Prefix    string
	Delimiter byte
}

// StatusData is STATUS (RFC 9051 §7.3.4).
type StatusData struct {
	Folder string
	Values []StatusValue
}

// StatusValue is one item of it.
type StatusValue struct {
	Item   StatusItem
	Number uint64 // of all but MAILBOXID; 63 bits
	ID     string // of MAILBOXID
	Nil    bool   // of APPENDLIMIT: there is no limit
}

// SearchData is SEARCH (RFC 3501 §7.2.5), SortData SORT (RFC 5256 §4). ModSeq is 0 where it is not told
// (RFC 7162 §3.1.5).
type (
	SearchData struct {
		Numbers []uint32
		ModSeq  mail.ModSeq
	}
	SortData struct {
		Numbers []uint32
		ModSeq  mail.ModSeq
	}
)

// ESearchData is ESEARCH (RFC 9051 §7.3.4, RFC 4731, RFC 7377).
type ESearchData struct {
	Tag         string // of the command
	UID         bool
	Min, Max    uint32 // 0: not told
	All         NumSet // empty: not told
	HasCount    bool
	Count       uint32
	ModSeq      mail.ModSeq // 0: not told
	Folder      string      // of a search in several folders; "": not told
	UIDValidity uint32      // told with Folder
}

// ThreadData is THREAD (RFC 5256 §4).
type ThreadData struct{ Threads []ThreadNode }

// ThreadNode is a message and what answers it. Number 0 is a message that is not there, which can only be at the
// top, above two or more others.
type ThreadNode struct {
	Number   uint32
	Children []ThreadNode
}

// FlagsData is FLAGS (RFC 9051 §7.3.5).
type FlagsData struct{ Flags []mail.Flag }

// ExistsData is EXISTS, RecentData RECENT, ExpungeData EXPUNGE (RFC 9051 §7.4, §7.5).
type (
	ExistsData  struct{ Count uint32 }
	RecentData  struct{ Count uint32 }
	ExpungeData struct{ Number uint32 }
)

// VanishedData is VANISHED (RFC 7162 §3.2.10).
type VanishedData struct {
	Earlier bool
	UIDs    mail.UIDSet
}

// FetchData is FETCH (RFC 9051 §7.5.2). Servers write long ones piece by piece; see Encoder.BeginFetch.
type FetchData struct {
	Number uint32
	Values []FetchValue
}

// FetchValue is one item of it. Which field counts says Item.Kind.
type FetchValue struct {
	Item      FetchItem
	Flags     []mail.Flag    // FLAGS
	Time      time.Time      // INTERNALDATE, SAVEDATE; zero: NIL
	Number    uint64         // RFC822.SIZE, UID, MODSEQ, BINARY.SIZE
	ID        string         // EMAILID, THREADID; "": NIL
	Octets    []byte         // BODY[...], BINARY[...], RFC822..., PREVIEW; nil: NIL
	Envelope  *Envelope      // ENVELOPE
	Structure *BodyStructure // BODY, BODYSTRUCTURE
}

// QuotaData is QUOTA (RFC 9208 §4.2.1).
type QuotaData struct {
	Root      string
	Resources []QuotaResource
}

// QuotaResource is use and limit of one resource, of STORAGE in units of 1024 octets.
type QuotaResource struct {
	Name         string // in capitals: STORAGE, MESSAGE
	Usage, Limit int64
}

// QuotaRootData is QUOTAROOT (RFC 9208 §4.2.2).
type QuotaRootData struct {
	Folder string
	Roots  []string
}

// MetadataData is METADATA (RFC 5464 §4.4): values, or only the names of what has changed.
type MetadataData struct {
	Folder  string
	Values  []MetadataValue
	Changed []string // the second form; Values are empty then
}

func (Reply) isResponse()          {}
func (Continue) isResponse()       {}
func (CapabilityData) isResponse() {}
func (EnabledData) isResponse()    {}
func (IDData) isResponse()         {}
func (ListData) isResponse()       {}
func (NamespaceData) isResponse()  {}
func (StatusData) isResponse()     {}
func (SearchData) isResponse()     {}
func (SortData) isResponse()       {}
func (ESearchData) isResponse()    {}
func (ThreadData) isResponse()     {}
func (FlagsData) isResponse()      {}
func (ExistsData) isResponse()     {}
func (RecentData) isResponse()     {}
func (ExpungeData) isResponse()    {}
func (VanishedData) isResponse()   {}
func (FetchData) isResponse()      {}
func (QuotaData) isResponse()      {}
func (QuotaRootData) isResponse()  {}
func (MetadataData) isResponse()   {}
