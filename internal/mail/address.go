package mail

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// Limits of an address, in octets of UTF-8 (RFC 5321 §4.5.3.1). The path of 256 octets includes
// the angle brackets, so 254 are left for the address itself. LocalLengthMax is what every mail
// system can write to, so names made here keep it (CheckAccount). Addresses from elsewhere need
// not: the sender addresses of mailing lists, which carry a recipient each, are often longer.
const (
	LocalLengthMax   = 64
	DomainLengthMax  = 255
	AddressLengthMax = 254
	LabelLengthMax   = 63 // RFC 1035 §2.3.4
)

// Address is a mailbox address (RFC 5321 §4.1.2, RFC 6531). The zero Address is the null
// reverse-path. An Address with an empty Domain and the local part "postmaster" is the mailbox
// that RFC 5321 §4.5.1 demands without a domain.
type Address struct {
	Local  string // unquoted, as given
	Domain string // as given, without a trailing dot; "[...]" for an address literal
}

// ErrAddress is in the chain of every error of ParseAddress and ParseSender.
var ErrAddress = errors.New("not a mail address")

// ParseAddress reads a Mailbox (RFC 5321 §4.1.2, with the UTF-8 of RFC 6531 §3.3): a local part,
// "@", and a domain or an address literal. There are no angle brackets, no source route and no
// comment. The local part is stored unquoted. What parses is also valid in its canonical form:
// the domain passes IDNA, and the limits hold for both forms.
func ParseAddress(s string) (Address, error) { return parseAddress(s, false) }

// ParseSender reads the address of a sender elsewhere: as ParseAddress does, and also what is in use though
// RFC 5321 does not permit it: dots anywhere in a local part without quotes, which String then
// quotes, and "_" in an ASCII domain. Such an address is for Return-Path and for answers, never for a recipient
// or an account. Its errors are those of ParseAddress; what its String gives, it reads as the same Address.
func ParseSender(s string) (Address, error) { return parseAddress(s, true) }

func parseAddress(s string, ofSender bool) (Address, error) {
	if len(s) > AddressLengthMax {
		return Address{}, addressError(s, "longer than %d octets", AddressLengthMax)
	}
	if !utf8.ValidString(s) {
		return Address{}, addressError(s, "not UTF-8")
	}
	local, rest, err := parseLocal(s)
	if err != nil {
		return Address{}, addressError(s, "%w", err)
	}
	if !strings.HasPrefix(rest, "@") {
		return Address{}, addressError(s, "no @ after the local part")
	}
	a := Address{Local: local, Domain: rest[1:]}
	if !ofSender && s[0] != '"' && !isDotString(local) {
		return Address{}, addressError(s, "empty part between dots in the local part")
	}
	if strings.HasPrefix(a.Domain, "[") {
		if err := checkLiteral(a.Domain); err != nil {
			return Address{}, addressError(s, "%w", err)
		}
		return a, a.checkFolded(s)
	}
	domain := a.Domain
	if ofSender && isASCII(domain) {
		domain = strings.ReplaceAll(domain, "_", "0") // it may stand where a digit may
	}
	if _, err := CanonicalDomain(domain); err != nil {
		return Address{}, addressError(s, "%w", err)
	}
	a.Domain = strings.TrimSuffix(a.Domain, ".")
	return a, a.checkFolded(s)
}

// checkFolded applies the limits to what String gives, which may have quotes that the given form has not, and to the
// canonical form, which may be longer still.
func (a Address) checkFolded(given string) error {
	if len(a.String()) > AddressLengthMax {
		return addressError(given, "longer than %d octets with the quotes that it needs", AddressLengthMax)
	}
	if !a.IsASCII() && len(a.Canonical()) > AddressLengthMax {
		return addressError(given, "too long in its canonical form")
	}
	return nil
}

func addressError(s, format string, args ...any) error {
	if len(s) > 80 {
		s = s[:80] + "..."
	}
	return fmt.Errorf("%w: %q: %w", ErrAddress, s, fmt.Errorf(format, args...))
}

// parseLocal takes a Local-part off the front and unquotes it: a Quoted-string, or atoms and dots, which need not be a
// Dot-string.
func parseLocal(s string) (local, rest string, err error) {
	if strings.HasPrefix(s, `"`) {
		return parseQuoted(s)
	}
	end := 0
	for end < len(s) && (isAtext(s[end]) || s[end] == '.') {
		end++
	}
	local = s[:end]
	if local == "" {
		return "", "", errors.New("local part is empty or starts with a special character")
	}
	return local, s[end:], nil
}

func parseQuoted(s string) (local, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '"':
			if b.Len() == 0 {
				return "", "", errors.New("local part is an empty quoted string")
			}
			return b.String(), s[i+1:], nil
		case c == '\\':
			i++
			if i == len(s) || s[i] < ' ' || s[i] > '~' {
				return "", "", errors.New("bad quoted pair in the local part")
			}
			b.WriteByte(s[i])
		case c < ' ' || c == 0x7f:
			return "", "", errors.New("control character in the local part")
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("quoted local part has no end")
}

// isAtext reports an octet of an Atom: atext of RFC 5322 §3.2.3, or part of a UTF-8 non-ASCII
// character (RFC 6531 §3.3).
func isAtext(c byte) bool {
	switch {
	case c >= utf8.RuneSelf, 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// isDotString reports whether s is a Dot-string: it needs no quotes.
func isDotString(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		if s[i] != '.' && !isAtext(s[i]) {
			return false
		}
	}
	return true
}

// checkLiteral accepts the IPv4 and IPv6 address literals of RFC 5321 §4.1.3. General literals
// have no registered tag, so there is none to accept.
func checkLiteral(s string) error {
	inner, ok := strings.CutSuffix(s[1:], "]")
	if !ok {
		return errors.New("address literal has no end")
	}
	if len(inner) > 5 && strings.EqualFold(inner[:5], "IPv6:") {
		if ip, err := netip.ParseAddr(inner[5:]); err == nil && ip.Is6() && ip.Zone() == "" {
			return nil
		}
	} else if ip, err := netip.ParseAddr(inner); err == nil && ip.Is4() {
		return nil
	}
	return errors.New("bad address literal")
}

// String gives the address as SMTP writes it, the local part quoted if it must be. The zero
// Address gives "".
func (a Address) String() string {
	if a == (Address{}) {
		return ""
	}
	local := a.Local
	if !isDotString(local) {
		local = quoteLocal(local)
	}
	if a.Domain == "" {
		return local
	}
	return local + "@" + a.Domain
}

func quoteLocal(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
	return b.String()
}

// IsZero reports the null reverse-path.
func (a Address) IsZero() bool { return a == Address{} }

// IsASCII reports whether the address can be said without SMTPUTF8 (RFC 6531).
func (a Address) IsASCII() bool { return isASCII(a.Local) && isASCII(a.Domain) }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// SplitDetail takes a detail off the local part (sub-addressing, RFC 5233 §1): with the separators
// "+-", "bob+list@d" is "bob@d" and "list". The first separator counts; it is never the first
// character, so the base is never empty. No separator: the address itself and "".
func (a Address) SplitDetail(separators string) (base Address, detail string) {
	if i := strings.IndexAny(a.Local, separators); i > 0 {
		return Address{Local: a.Local[:i], Domain: a.Domain}, a.Local[i+1:]
	}
	return a, ""
}
