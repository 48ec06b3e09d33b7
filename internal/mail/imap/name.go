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
	errNameMixed  = errors.New(`the name of a folder is in UTF-8 and has "&", which means something else in modified UTF-7: ENABLE IMAP4rev2`)
	errNameEmpty  = errors.New("a level of the name is empty")
	errNameLong   = errors.New("the name is too long")
	errNameDeep   = errors.New("the name has too many levels")
	errNameOctets = errors.New("the name has characters that names cannot have")
)

// encodedNameMax is the length in octets of a name on the wire: modified UTF-7 needs at most five for one.
const encodedNameMax = 5 * NameLengthMax

// decodeName reads a name from the wire: UTF-8 or modified UTF-7, to NFC (RFC 9051 §5.1, RFC 6855 §3,
// RFC 3501 §5.1.3). Many IMAP4rev1 clients send UTF-8 without having enabled it. That is taken as it is meant where it
// can mean nothing else: modified UTF-7 has no octet above 127, so a name with one is UTF-8. Only "&" would then have
// two meanings, and a name with both is refused, lest a folder be made that the client cannot find again.
func decodeName(s string, d Dialect) (string, error) {
	text, err := nameText(s, d)
	if err != nil {
		return "", err
	}
	return CanonicalName(text), nil
}

// nameText gives a name as it was meant, before it is made canonical.
func nameText(s string, d Dialect) (string, error) {
	switch {
	case d.UTF8:
	case every(s, func(c byte) bool { return c < utf8.RuneSelf }):
		text, err := DecodeUTF7(s)
		if err != nil {
			return "", errNameUTF7
		}
		s = text
	case strings.Contains(s, "&"):
		return "", errNameMixed
	}
	if !utf8.ValidString(s) {
		return "", errNameUTF8
	}
	if strings.ContainsAny(s, "\x00\r\n") {
		return "", errNameOctets
	}
	return s, nil
}

// denormalized gives a text that is not in NFC, else "".
func denormalized(text string) string {
	if norm.NFC.IsNormalString(text) {
		return ""
	}
	return text
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
