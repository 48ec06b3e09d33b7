package transfer

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"porcupine/internal/mail/imap"
)

// Limits of names. Those of folders are the cluster's; a name that is within them and is refused all the same has another fault.
const (
	folderNameMax = 200 // octets
	folderDepth   = 32  // levels
	fileNameMax   = 255 // octets of a file's name, in all common file systems
)

// nameLike gives a name that a folder can have for one that another server or a file has. The same name gives the same one, and
// names that differ in what is cut off stay different.
func nameLike(theirs string) string {
	name := strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r <= 0x9f || r == '\u2028' || r == '\u2029' || r == utf8.RuneError || r == '%' || r == '*' {
			return '_'
		}
		return r
	}, theirs)
	levels := strings.FieldsFunc(name, func(r rune) bool { return r == '/' })
	if len(levels) == 0 {
		levels = []string{"_"}
	}
	if n := len(levels); n > folderDepth {
		levels = append(levels[:folderDepth-1], strings.Join(levels[folderDepth-1:], "_"))
	}
	if strings.HasPrefix(levels[0], "#") { // RFC 9051 §5.1.2.1: a namespace
		levels[0] = "_" + levels[0][1:]
	}
	return shortened(imap.CanonicalName(strings.Join(levels, "/")), func(name string) bool { return len(name) <= folderNameMax })
}

// shortened cuts a name at its end until it fits, and marks it then with what tells it from others with the same beginning.
func shortened(name string, fits func(string) bool) string {
	if fits(name) {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	mark := "~" + hex.EncodeToString(sum[:4])
	for name != "" && !fits(name+mark) {
		_, n := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-n]
	}
	return name + mark
}
