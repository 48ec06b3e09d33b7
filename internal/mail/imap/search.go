package imap

import (
	"time"

	"porcupine/internal/mail"
)

// Search is SEARCH (RFC 9051 §6.4.4) or ESEARCH (RFC 7377).
type Search struct {
	Sources []FolderFilter // of ESEARCH: where to search; nil: the selected folder
	Return  SearchReturn
	Charset string // in capitals; "": not given, which means UTF-8 here
	Key     SearchKey
}

// SearchReturn is RETURN (...) (RFC 4731, RFC 5182).
type SearchReturn struct {
	// Given: RETURN was there, so the answer is ESEARCH even to an IMAP4rev1 client. "RETURN ()" sets All.
	Given                      bool
	Min, Max, All, Count, Save bool
}

// Sort is SORT (RFC 5256, RFC 5957).
type Sort struct {
	Return   SearchReturn // RFC 5267 §3
	Criteria []SortCriterion
	Charset  string
	Key      SearchKey
}

// SortCriterion is one criterion.
type SortCriterion struct {
	Key     SortKey
	Reverse bool
}

// SortKey is the name of a criterion, in capitals.
type SortKey string

// The criteria of RFC 5256 §3 and RFC 5957.
const (
	SortArrival     SortKey = "ARRIVAL"
	SortCc          SortKey = "CC"
	SortDate        SortKey = "DATE"
	SortFrom        SortKey = "FROM"
	SortSize        SortKey = "SIZE"
	SortSubject     SortKey = "SUBJECT"
	SortTo          SortKey = "TO"
	SortDisplayFrom SortKey = "DISPLAYFROM"
	SortDisplayTo   SortKey = "DISPLAYTO"
)

// Thread is THREAD (RFC 5256).
type Thread struct {
	Algorithm string // in capitals: ORDEREDSUBJECT, REFERENCES, or one that is not known
	Charset   string
	Key       SearchKey
}

// The algorithms of RFC 5256.
const (
	ThreadOrderedSubject = "ORDEREDSUBJECT"
	ThreadReferences     = "REFERENCES"
)

// SearchKey is a condition on messages: a tree. Which fields count says Op.
type SearchKey struct {
	Op     SearchOp
	Keys   []SearchKey // of And (two or more, or none: all messages), Or (two), Not (one)
	Set    NumSet      // of Numbers and UIDs
	Flag   mail.Flag   // of HasFlag and LacksFlag
	Field  string      // of Header: the name of the field
	Text   string      // of the keys for text: octets in the Charset of the command. Empty: every message that has the field
	Date   time.Time   // of the keys for dates: midnight UTC of that day
	Number int64       // of Larger and Smaller: octets; of Older and Younger: seconds
	ModSeq mail.ModSeq // of ModSeq
	Entry  string      // of ModSeq: the flag that it is about (RFC 7162 §3.1.5), or ""
	Scope  string      // of ModSeq with an Entry: "priv", "shared" or "all"
	ID     string      // of EmailID and ThreadID
}

// SearchOp says what a SearchKey asks.
type SearchOp string

// The keys of RFC 9051 §6.4.4, RFC 3501 §6.4.4 (NEW, OLD, RECENT), RFC 5032, RFC 7162, RFC 8474 and RFC 8514.
// ANSWERED, KEYWORD x and the like are HasFlag, UNANSWERED and UNKEYWORD x are LacksFlag.
const (
	SearchAnd       SearchOp = "AND"
	SearchOr        SearchOp = "OR"
	SearchNot       SearchOp = "NOT"
	SearchAll       SearchOp = "ALL"
	SearchNumbers   SearchOp = "NUMBERS" // sequence numbers; "$" is also here
	SearchUIDs      SearchOp = "UID"
	SearchHasFlag   SearchOp = "KEYWORD"
	SearchLacksFlag SearchOp = "UNKEYWORD"
	SearchNew       SearchOp = "NEW"
	SearchOld       SearchOp = "OLD"
	SearchRecent    SearchOp = "RECENT"

	SearchBcc     SearchOp = "BCC"
	SearchBody    SearchOp = "BODY"
	SearchCc      SearchOp = "CC"
	SearchFrom    SearchOp = "FROM"
	SearchHeader  SearchOp = "HEADER"
	SearchSubject SearchOp = "SUBJECT"
	SearchText    SearchOp = "TEXT"
	SearchTo      SearchOp = "TO"

	SearchBefore            SearchOp = "BEFORE"
	SearchOn                SearchOp = "ON"
	SearchSince             SearchOp = "SINCE"
	SearchSentBefore        SearchOp = "SENTBEFORE"
	SearchSentOn            SearchOp = "SENTON"
	SearchSentSince         SearchOp = "SENTSINCE"
	SearchSavedBefore       SearchOp = "SAVEDBEFORE"
	SearchSavedOn           SearchOp = "SAVEDON"
	SearchSavedSince        SearchOp = "SAVEDSINCE"
	SearchSaveDateSupported SearchOp = "SAVEDATESUPPORTED"

	SearchLarger   SearchOp = "LARGER"
	SearchSmaller  SearchOp = "SMALLER"
	SearchOlder    SearchOp = "OLDER"
	SearchYounger  SearchOp = "YOUNGER"
	SearchModSeq   SearchOp = "MODSEQ"
	SearchEmailID  SearchOp = "EMAILID"
	SearchThreadID SearchOp = "THREADID"
)
