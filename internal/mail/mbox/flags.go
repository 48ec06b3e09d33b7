package mbox

import (
	"slices"
	"strings"

	"porcupine/internal/mail"
)

// letters are the flags in the fields Status and X-Status. "O" in Status, old, means that a client was told of the message: it
// is no flag.
var letters = []struct {
	field  string
	letter byte
	flag   mail.Flag
}{
	{"Status", 'R', mail.FlagSeen},
	{"X-Status", 'A', mail.FlagAnswered},
	{"X-Status", 'F', mail.FlagFlagged},
	{"X-Status", 'T', mail.FlagDraft},
	{"X-Status", 'D', mail.FlagDeleted},
}

// keywordsField lists keywords, separated by spaces.
const keywordsField = "X-Keywords"

// isFlagField reports whether a header field holds flags.
func isFlagField(name string) bool {
	return strings.EqualFold(name, "Status") || strings.EqualFold(name, "X-Status") || strings.EqualFold(name, keywordsField)
}

// flagsOf gives the flags that one header field says.
func flagsOf(name, value string) (flags []mail.Flag) {
	for _, l := range letters {
		if strings.EqualFold(name, l.field) && strings.IndexByte(value, l.letter) >= 0 {
			flags = append(flags, l.flag)
		}
	}
	if strings.EqualFold(name, keywordsField) {
		for _, k := range strings.Fields(value) {
			flags = append(flags, mail.Flag(strings.ToLower(k)))
		}
	}
	return flags
}

// flagFields gives the header fields for some flags, each line ended with LF.
func flagFields(flags []mail.Flag) string {
	values := map[string]string{"Status": "O"}
	var keywords []string
	for _, f := range flags {
		if i := slices.IndexFunc(letters, func(l struct {
			field  string
			letter byte
			flag   mail.Flag
		}) bool {
			return l.flag == f
		}); i >= 0 {
			values[letters[i].field] += string(letters[i].letter)
		} else if !strings.HasPrefix(string(f), `\`) {
			keywords = append(keywords, string(f))
		}
	}
	text := "Status: " + values["Status"] + "\n"
	if x := values["X-Status"]; x != "" {
		text += "X-Status: " + x + "\n"
	}
	if len(keywords) > 0 {
		text += keywordsField + ": " + strings.Join(keywords, " ") + "\n"
	}
	return text
}
