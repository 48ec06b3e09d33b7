package transfer

import (
	"fmt"
	"slices"

	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
)

// keywords are those that an import has brought into each folder. A folder takes mail.KeywordsMax, and drops further ones
// silently: what is left out here can be reported with its message.
type keywords map[string]map[mail.Flag]struct{}

// take gives the flags that a message of that folder can have, in their canonical form, ascending and none twice. The error says
// what is left out; the message comes in all the same. Files have any words where flags belong, and many of them.
func (k keywords) take(folder string, flags []mail.Flag) ([]mail.Flag, error) {
	have := k[folder]
	if have == nil {
		have = map[mail.Flag]struct{}{}
		k[folder] = have
	}
	taken := make([]mail.Flag, 0, len(flags))
	left := 0
	var first error
	leave := func(err error) {
		if left++; first == nil {
			first = err
		}
	}
	for _, said := range flags {
		f, err := imap.ParseFlag(string(said))
		if err != nil {
			leave(fmt.Errorf("%q: %w", string(said), err))
			continue
		}
		if _, there := have[f]; !there && !f.IsSystem() {
			if len(have) >= mail.KeywordsMax {
				leave(fmt.Errorf("%q: a folder can have %d different keywords", string(f), mail.KeywordsMax))
				continue
			}
			have[f] = struct{}{}
		}
		taken = append(taken, f)
	}
	slices.Sort(taken)
	taken = slices.Compact(taken)
	switch left {
	case 0:
		return taken, nil
	case 1:
		return taken, fmt.Errorf("stored without a keyword: %w", first)
	}
	return taken, fmt.Errorf("stored without %d keywords: %w", left, first)
}
