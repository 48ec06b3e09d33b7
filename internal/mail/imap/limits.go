package imap

import "math"

// Limits of what a peer may say. Those of a Scanner can be set by its user; the others are fixed. All bound
// memory and work; none is smaller than what clients in use need.
const (
	LineLengthMax      = 64 << 10  // octets of one line, without CR LF (RFC 7162 §4 asks for 8,192 at least)
	CommandLengthMax   = 256 << 10 // octets of one command that are held in memory: its lines and short literals
	LiteralLengthMax   = 64 << 10  // octets of one literal that is held in memory
	LiteralsMax        = 64        // literals in one command that are held in memory
	MessagesMax        = 256       // messages of one APPEND (RFC 3502), literals of one CATENATE (RFC 4469)
	MessageLengthMax   = math.MaxInt64
	NonSyncLengthMax   = 4096     // of a literal that comes unasked: LITERAL- (RFC 7888 §5)
	UnauthLineMax      = 8 << 10  // before login: one line,
	UnauthLengthMax    = 12 << 10 // all of one command,
	UnauthLiteralMax   = 4 << 10  // one literal,
	UnauthLiteralsMax  = 4        // and how many literals
	TagLengthMax       = 128      // octets of a tag
	DepthMax           = 32       // parentheses in parentheses, NOT of NOT
	SearchKeysMax      = 1024     // keys of one search
	SetElementsMax     = 16 << 10 // numbers and ranges of one sequence set
	FetchItemsMax      = 256      // items of one FETCH
	HeaderFieldsMax    = 256      // field names of one BODY[HEADER.FIELDS (...)]
	PartDepthMax       = 100      // numbers of one part: BODY[1.2.3]
	FlagsMax           = 128      // flags of one STORE or APPEND
	KeywordLengthMax   = 128      // octets of one keyword
	NameLengthMax      = 1024     // octets of a folder's name in UTF-8
	LevelsMax          = 64       // levels of a folder's name
	LevelLengthMax     = 255      // octets of one level
	PatternsMax        = 64       // patterns of one LIST
	PatternLengthMax   = 1024     // octets of one pattern
	FoldersMax         = 256      // folders named in one ESEARCH or NOTIFY
	EventGroupsMax     = 64       // groups of one NOTIFY
	EntriesMax         = 128      // annotations of one GETMETADATA or SETMETADATA (RFC 5464)
	EntryLengthMax     = 256      // octets of the name of an annotation
	IDFieldsMax        = 30       // fields of an ID (RFC 2971 §3.3)
	IDNameMax          = 30       // octets of the name of such a field
	IDValueMax         = 1024     // octets of its value
	CapabilitiesMax    = 128      // names in one ENABLE or CAPABILITY
	SortCriteriaMax    = 32       // criteria of one SORT
	ResourcesMax       = 32       // resources of one QUOTA
	ResponseLengthMax  = 16 << 20 // octets of one response, for clients
	ResponseItemsMax   = 1 << 20  // elements of one list in a response, for clients
	StructureDepthMax  = 128      // parts in parts of a BODYSTRUCTURE, for clients
	ThreadDepthMax     = 4096     // branches in branches of a THREAD response, for clients
	UIDsInCodeMax      = 64 << 10 // UIDs that APPENDUID and COPYUID may name, for clients
	ResponseTextMax    = 8 << 10  // octets of the text of OK, NO, BAD, BYE that are read
	StatusItemsMax     = 32       // items of one STATUS
	CredentialsMax     = 1024     // octets of LOGIN's name and of its password
	InitialResponseMax = 8 << 10  // octets of AUTHENTICATE's initial response, decoded, and of each later one
	fieldNameMax       = 998      // octets of the name of a header field: a line of RFC 5322 §2.1.1
	numberMax          = math.MaxUint32
	number64Max        = math.MaxInt64
)

// Limits are those of a Scanner. Zero in a field means the default of the same name above.
type Limits struct {
	Line     int   // octets of one line
	Command  int   // octets of one command held in memory
	Literal  int64 // octets of one literal held in memory
	Literals int   // literals held in memory
	Messages int   // message literals, which are not held in memory
	Message  int64 // octets of a message literal
	NonSync  int64 // octets of a literal that the client sends unasked
}

// UnauthLimits are for connections that have not logged in: who is not known costs little.
func UnauthLimits() Limits {
	return Limits{Line: UnauthLineMax, Command: UnauthLengthMax, Literal: UnauthLiteralMax, Literals: UnauthLiteralsMax,
		Messages: 1, Message: UnauthLiteralMax, NonSync: UnauthLiteralMax}
}

// ClientLimits are for clients, which read responses.
func ClientLimits() Limits {
	return Limits{Line: ResponseLengthMax, Command: ResponseLengthMax, Literal: ResponseLengthMax, Literals: ResponseItemsMax,
		NonSync: number64Max}
}

func (l Limits) withDefaults() Limits {
	orDefault(&l.Line, LineLengthMax)
	orDefault(&l.Command, CommandLengthMax)
	orDefault(&l.Literal, LiteralLengthMax)
	orDefault(&l.Literals, LiteralsMax)
	orDefault(&l.Messages, MessagesMax)
	orDefault(&l.Message, MessageLengthMax)
	orDefault(&l.NonSync, NonSyncLengthMax)
	return l
}

func orDefault[T int | int64](limit *T, otherwise T) {
	if *limit <= 0 {
		*limit = otherwise
	}
}
