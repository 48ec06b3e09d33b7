package imap

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// InboxName is the name of INBOX, in all its spellings (RFC 9051 §5.1).
const InboxName = "INBOX"

var (
	errNameUTF8   = errors.New("the name of a folder is not UTF-8")
	errNameUTF7   = errors.New("the name of a folder is not modified UTF-7")
	errNameEmpty  = errors.New("a level of the name is empty")
	errNameLong   = errors.New("the name is too long")
	errNameDeep   = errors.New("the name has too many levels")
	errNameOctets = errors.New("the name has characters that names cannot have")
)

// encodedNameMax is the length in octets of a name on the wire: modified UTF-7 needs at most five for one.
const encodedNameMax = 5 * NameLengthMax

// decodeName reads a name from the wire: UTF-8 or modified UTF-7, to NFC (RFC 9051 §5.1, RFC 6855 §3,
// RFC 3501 §5.1.3).
func decodeName(s string, d Dialect) (string, error) {
	if !d.UTF8 {
		text, err := DecodeUTF7(s)
		if err != nil {
			return "", errNameUTF7
		}
		s = text
	}
	if !utf8.ValidString(s) {
		return "", errNameUTF8
	}
	if strings.ContainsAny(s, "\x00\r\n") {
		return "", errNameOctets
	}
	return CanonicalName(s), nil
}

// CanonicalName gives the one form of a name, which must be UTF-8: NFC, with INBOX in capitals, also where it is
// the level above others, for no other folder can have that name.
func CanonicalName(name string) string {
	name = norm.NFC.String(name)
	if n := len(InboxName); len(name) >= n && equalFold(name[:n], InboxName) && (len(name) == n || name[n] == Delimiter) {
		return InboxName + name[n:]
	}
	return name
}

// CheckName says whether a folder can have a name, in canonical form: levels that are not empty, within the
// limits, without control characters (RFC 9051 §5.1, RFC 5198 §2), and without "%" and "*", which LIST could not
// ask for (RFC 9051 §5.1, item 3).
func CheckName(name string) error {
	switch {
	case len(name) > NameLengthMax:
		return errNameLong
	case strings.Count(name, string(Delimiter)) >= LevelsMax:
		return errNameDeep
	case !utf8.ValidString(name):
		return errNameUTF8
	}
	for _, c := range name {
		if c < 0x20 || c >= 0x7f && c < 0xa0 || c == '\u2028' || c == '\u2029' || c == '%' || c == '*' || c == utf8.RuneError {
			return errNameOctets
		}
	}
	for level := range strings.SplitSeq(name, string(Delimiter)) {
		if level == "" {
			return errNameEmpty
		}
		if len(level) > LevelLengthMax {
			return errNameLong
		}
	}
	return nil
}
