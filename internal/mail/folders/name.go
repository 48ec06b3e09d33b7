package folders

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"porcupine/internal/cluster"
)

// Limits of names.
const (
	NameMax  = 200 // bytes of a whole path: with what stands before it, a register's name
	DepthMax = 32  // levels
)

// Separator stands between the levels of a name.
const Separator = "/"

const inboxName = "INBOX"

// Canonical gives the one form of a folder's name: UTF-8 in NFC, with INBOX in capitals at the first
// level (RFC 9051 §5.1). A '/' at the end is taken away: it only says that folders are to come below
// (RFC 9051 §6.3.4). KindInvalid, KindLimit: no folder can have such a name.
func Canonical(name string) (string, error) {
	canonical := name
	if utf8.ValidString(name) {
		canonical = norm.NFC.String(strings.TrimSuffix(name, Separator))
	}
	if first, rest, below := strings.Cut(canonical, Separator); strings.EqualFold(first, inboxName) {
		if canonical = inboxName; below {
			canonical += Separator + rest
		}
	}
	if len(canonical) > NameMax {
		return "", cluster.Errorf(cluster.KindLimit, opName(name), "%d bytes, at most %d allowed", len(canonical), NameMax)
	}
	if depth := 1 + strings.Count(canonical, Separator); depth > DepthMax {
		return "", cluster.Errorf(cluster.KindLimit, opName(name), "%d levels, at most %d allowed", depth, DepthMax)
	}
	if why := fault(canonical); why != "" {
		return "", cluster.Errorf(cluster.KindInvalid, opName(name), "%s: choose another name", why)
	}
	return canonical, nil
}

// opName names a folder in an error, shortened if need be.
func opName(name string) string {
	const shown = 80
	if len(name) > shown {
		name = strings.ToValidUTF8(name[:shown], "") + "..."
	}
	return "folder " + strings.ToValidUTF8(name, "?")
}

// fault says why a canonical name cannot be one; "" if it can. It must say the same in every version of this
// program: a name that one of them wrote must not vanish in another.
func fault(name string) string {
	switch first, _, _ := strings.Cut(name, Separator); {
	case name == "":
		return "the name is empty"
	case !utf8.ValidString(name):
		return "the name is not UTF-8"
	case strings.HasPrefix(name, "#"):
		return "names that begin with # are for namespaces" // RFC 9051 §5.1.2.1
	case strings.EqualFold(first, inboxName) && first != inboxName:
		return "INBOX is written in capitals"
	}
	for level := range strings.SplitSeq(name, Separator) {
		if level == "" {
			return "a level of the name is empty"
		}
	}
	if strings.ContainsFunc(name, isForbidden) {
		return "the name has control characters"
	}
	return ""
}

// isForbidden tells what RFC 9051 §5.1 forbids in names.
func isForbidden(r rune) bool {
	return r < 0x20 || r >= 0x7f && r <= 0x9f || r == '\u2028' || r == '\u2029'
}

// above gives the names above a name, the topmost first.
func above(name string) (names []string) {
	for i := range len(name) {
		if name[i] == '/' {
			names = append(names, name[:i])
		}
	}
	return names
}

// isBelow reports whether a name lies below another.
func isBelow(name, parent string) bool {
	return len(name) > len(parent) && name[len(parent)] == '/' && strings.HasPrefix(name, parent)
}
