package imap

import "porcupine/internal/mail"

// Code is a response code (RFC 9051 §7.1). Which fields count says Name; for most codes none does.
type Code struct {
	Name   CodeName // "": no code
	Number uint64   // of the codes with one number; of APPENDUID and COPYUID the UIDVALIDITY
	From   []mail.UID
	To     []mail.UID // COPYUID: From were copied, To are the new ones, one for one. APPENDUID: To alone
	Set    NumSet     // of MODIFIED
	Words  []string   // of CAPABILITY, BADCHARSET, PERMANENTFLAGS and of codes that are not known here
}

// CodeName is the name of a response code, in capitals.
type CodeName string

// Codes without arguments: RFC 9051 §7.1, RFC 5530, RFC 5182, RFC 7162, RFC 3516, RFC 4469, RFC 4978, RFC 5464,
// RFC 5465, RFC 6154.
const (
	CodeAlert                CodeName = "ALERT"
	CodeAlreadyExists        CodeName = "ALREADYEXISTS"
	CodeAuthenticationFailed CodeName = "AUTHENTICATIONFAILED"
	CodeAuthorizationFailed  CodeName = "AUTHORIZATIONFAILED"
	CodeCannot               CodeName = "CANNOT"
	CodeClientBug            CodeName = "CLIENTBUG"
	CodeClosed               CodeName = "CLOSED"
	CodeCompressionActive    CodeName = "COMPRESSIONACTIVE"
	CodeContactAdmin         CodeName = "CONTACTADMIN"
	CodeCorruption           CodeName = "CORRUPTION"
	CodeExpired              CodeName = "EXPIRED"
	CodeExpungeIssued        CodeName = "EXPUNGEISSUED"
	CodeHasChildren          CodeName = "HASCHILDREN"
	CodeInUse                CodeName = "INUSE"
	CodeLimit                CodeName = "LIMIT"
	CodeNoModSeq             CodeName = "NOMODSEQ"
	CodeNonExistent          CodeName = "NONEXISTENT"
	CodeNoPerm               CodeName = "NOPERM"
	CodeNotificationOverflow CodeName = "NOTIFICATIONOVERFLOW"
	CodeNotSaved             CodeName = "NOTSAVED"
	CodeOverQuota            CodeName = "OVERQUOTA"
	CodeParse                CodeName = "PARSE"
	CodePrivacyRequired      CodeName = "PRIVACYREQUIRED"
	CodeReadOnly             CodeName = "READ-ONLY"
	CodeReadWrite            CodeName = "READ-WRITE"
	CodeServerBug            CodeName = "SERVERBUG"
	CodeTooBig               CodeName = "TOOBIG"
	CodeTryCreate            CodeName = "TRYCREATE"
	CodeUIDNotSticky         CodeName = "UIDNOTSTICKY"
	CodeUnavailable          CodeName = "UNAVAILABLE"
	CodeUnknownCTE           CodeName = "UNKNOWN-CTE"
	CodeUseAttr              CodeName = "USEATTR"
	CodeMetadataTooMany      CodeName = "METADATA TOOMANY"
	CodeMetadataNoPrivate    CodeName = "METADATA NOPRIVATE"
)

// Codes with arguments.
const (
	CodeAppendUID           CodeName = "APPENDUID"            // Number, To (RFC 4315)
	CodeCopyUID             CodeName = "COPYUID"              // Number, From, To (RFC 4315)
	CodeBadCharset          CodeName = "BADCHARSET"           // Words: those that are known; may be none
	CodeBadEvent            CodeName = "BADEVENT"             // Words: the events that are known (RFC 5465)
	CodeCapability          CodeName = "CAPABILITY"           // Words
	CodeHighestModSeq       CodeName = "HIGHESTMODSEQ"        // Number (RFC 7162)
	CodeMailboxID           CodeName = "MAILBOXID"            // Words: one (RFC 8474)
	CodeMetadataLongEntries CodeName = "METADATA LONGENTRIES" // Number (RFC 5464)
	CodeMetadataMaxSize     CodeName = "METADATA MAXSIZE"     // Number (RFC 5464)
	CodeModified            CodeName = "MODIFIED"             // Set (RFC 7162)
	CodePermanentFlags      CodeName = "PERMANENTFLAGS"       // Words
	CodeUIDNext             CodeName = "UIDNEXT"              // Number
	CodeUIDValidity         CodeName = "UIDVALIDITY"          // Number
	CodeUnseen              CodeName = "UNSEEN"               // Number (RFC 3501)
)

// IsZero reports whether there is no code.
func (c Code) IsZero() bool { return c.Name == "" }
