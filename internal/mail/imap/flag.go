package imap

import (
	"errors"
	"slices"
	"strings"

	"porcupine/internal/mail"
)

// FlagRecent is `\Recent` (RFC 3501 §2.3.2). It is no flag that can be set, and IMAP4rev2 does not have it; it
// is here for what clients read.
const FlagRecent mail.Flag = `\Recent`

// FlagAnyKeyword is `\*` in PERMANENTFLAGS: new keywords can be made (RFC 9051 §7.1).
const FlagAnyKeyword = `\*`

var (
	errFlag        = errors.New("this is not a flag or keyword")
	errSystemFlag  = errors.New("there is no such system flag")
	errKeywordLong = errors.New("the keyword is too long")
)

// SystemFlags are the flags that every folder has, ascending.
func SystemFlags() []mail.Flag {
	return []mail.Flag{mail.FlagAnswered, mail.FlagDeleted, mail.FlagDraft, mail.FlagFlagged, mail.FlagSeen}
}

// ParseFlag gives the canonical form of a flag or keyword that may be set on a message (RFC 9051 §9, flag):
// system flags as mail has them, keywords in lower case, since case means nothing in both.
// It refuses system flags that do not exist, \Recent among them.
func ParseFlag(s string) (mail.Flag, error) {
	if strings.HasPrefix(s, `\`) {
		for _, f := range SystemFlags() {
			if strings.EqualFold(string(f), s) {
				return f, nil
			}
		}
		return "", errSystemFlag
	}
	if len(s) > KeywordLengthMax {
		return "", errKeywordLong
	}
	if !isAtom(s) {
		return "", errFlag
	}
	return mail.Flag(lower(s)), nil
}

// presented are keywords whose registered names, or whose makers, write them with capitals. Some clients compare them as they are
// written.
var presented = map[mail.Flag]string{
	"$forwarded": "$Forwarded", "$mdnsent": "$MDNSent", "$submitpending": "$SubmitPending", "$submitted": "$Submitted",
	"$junk": "$Junk", "$notjunk": "$NotJunk", "$phishing": "$Phishing", "$important": "$Important",
	"junk": "Junk", "nonjunk": "NonJunk", "$hasattachment": "$HasAttachment", "$hasnoattachment": "$HasNoAttachment",
	"notjunk": "NotJunk", "junkrecorded": "JunkRecorded",
	"$mailflagbit0": "$MailFlagBit0", "$mailflagbit1": "$MailFlagBit1", "$mailflagbit2": "$MailFlagBit2",
	"$label1": "$label1", "forwarded": "Forwarded", "redirected": "Redirected", "$canunsubscribe": "$canunsubscribe",
}

// Presented gives a flag as it is shown to clients.
func Presented(f mail.Flag) string {
	if name, ok := presented[f]; ok {
		return name
	}
	return string(f)
}

// canonicalFlags sorts flags and leaves out repeated ones. It changes the slice.
func canonicalFlags(flags []mail.Flag) []mail.Flag {
	slices.Sort(flags)
	return slices.Compact(flags)
}
