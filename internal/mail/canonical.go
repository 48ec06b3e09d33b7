package mail

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
)

// foldRoundsMax bounds how often a local part is folded until it no longer changes (RFC 8264 §7
// asks for one application and at most three more).
const foldRoundsMax = 4

// Canonical gives the one name by which the cluster knows the mailbox: the owner string of its
// objects. Two addresses mean one mailbox exactly if their canonical forms are equal. It is
// Fold, written by String, so parsing it gives an address with the same canonical form.
func (a Address) Canonical() string { return a.Fold().String() }

// Fold gives the address with its local part case mapped (PRECIS UsernameCaseMapped, RFC 8265
// §3.3, where the local part is such a name; else NFC in lower case) and its domain in the form of
// CanonicalDomain. RFC 5321 §2.4 leaves the case of local parts to the host that owns them: here
// it never matters.
func (a Address) Fold() Address {
	domain, err := CanonicalDomain(a.Domain)
	if err != nil {
		domain = strings.ToLower(a.Domain) // not from ParseAddress; still a total function
	}
	return Address{Local: foldLocal(a.Local), Domain: domain}
}

func foldLocal(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	for range foldRoundsMax {
		next, err := precis.UsernameCaseMapped.String(s)
		if err != nil || strings.IndexFunc(next, unicode.IsControl) >= 0 {
			next = norm.NFC.String(strings.ToLower(norm.NFC.String(s)))
		}
		if next == s {
			break
		}
		s = next
	}
	return s
}

// CanonicalDomain gives the domain in lower-case ASCII (A-labels, IDNA 2008 with the mappings of
// UTS 46, not transitional), without a trailing dot. An address literal is only lower-cased. It
// fails for what is no domain name: empty labels, characters other than letters, digits and
// hyphens, labels or names that are too long.
func CanonicalDomain(s string) (string, error) {
	if strings.HasPrefix(s, "[") {
		return strings.ToLower(s), checkLiteral(s)
	}
	s = strings.TrimSuffix(s, ".")
	name := strings.ToLower(s)
	if !isASCII(s) || strings.Contains(name, "xn--") {
		var err error
		if name, err = idna.Lookup.ToASCII(s); err != nil {
			return "", fmt.Errorf("domain %q: %w", s, err)
		}
	}
	if err := checkHostname(name); err != nil {
		return "", fmt.Errorf("domain %q: %w", s, err)
	}
	return name, nil
}

// checkHostname wants letters, digits and inner hyphens in labels (RFC 5321 §4.1.2 Domain).
func checkHostname(s string) error {
	// 253 characters are what fits into the 255 octets of RFC 1035 §2.3.4 with their length octets.
	if s == "" || len(s) > DomainLengthMax-2 {
		return errors.New("empty or too long")
	}
	start := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			if !isLetterDigitHyphen(s[i]) {
				return fmt.Errorf("character %q", s[i])
			}
			continue
		}
		label := s[start:i]
		if label == "" || len(label) > LabelLengthMax || label[0] == '-' || label[len(label)-1] == '-' {
			return fmt.Errorf("label %q is empty, too long, or has a hyphen at its edge", label)
		}
		start = i + 1
	}
	return nil
}

func isLetterDigitHyphen(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-'
}

// CheckAccount says whether the address may become an account, an alias or a domain's mailbox:
// stricter than what may be written to, so that no two accounts look alike (UTS 39, RFC 8265
// §3.3). Refused are address literals, and non-ASCII local parts that are no PRECIS user name
// (invisible, bidirectional and compatibility characters) or mix scripts, such as a Cyrillic "a"
// in a Latin word.
func (a Address) CheckAccount() error {
	if a.Domain == "" || a.Domain[0] == '[' {
		return addressError(a.String(), "an account needs a domain name")
	}
	if _, err := ParseAddress(a.String()); err != nil {
		return err
	}
	if len(foldLocal(a.Local)) > LocalLengthMax || len(a.Local) > LocalLengthMax {
		return addressError(a.String(), "local part longer than %d octets", LocalLengthMax)
	}
	if isASCII(a.Local) {
		if !isDotString(a.Local) {
			return addressError(a.String(), "an account name needs no quotes: use letters, digits, dots and hyphens")
		}
		return nil
	}
	if _, err := precis.UsernameCaseMapped.String(a.Local); err != nil {
		return addressError(a.String(), "not a user name of RFC 8265: %w", err)
	}
	if !isOneScript(a.Local) {
		return addressError(a.String(), "letters of several scripts in one name")
	}
	return nil
}

// isOneScript reports whether all letters are of one script, as UTS 39 §5.2 asks at its "highly
// restrictive" level: Latin may go along with the scripts of Chinese, Japanese and Korean.
func isOneScript(s string) bool {
	allowed := scriptGroups()
	for _, r := range s {
		if unicode.In(r, unicode.Common, unicode.Inherited) {
			continue
		}
		kept := allowed[:0]
		for _, group := range allowed {
			if unicode.In(r, group...) {
				kept = append(kept, group)
			}
		}
		allowed = kept
		if len(allowed) == 0 {
			return false
		}
	}
	return true
}

func scriptGroups() [][]*unicode.RangeTable {
	groups := [][]*unicode.RangeTable{
		{unicode.Latin, unicode.Han, unicode.Hiragana, unicode.Katakana},
		{unicode.Latin, unicode.Han, unicode.Bopomofo},
		{unicode.Latin, unicode.Han, unicode.Hangul},
	}
	for name, table := range unicode.Scripts {
		if name != "Common" && name != "Inherited" {
			groups = append(groups, []*unicode.RangeTable{table})
		}
	}
	return groups
}
