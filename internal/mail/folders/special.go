package folders

import (
	"slices"
	"strings"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// special is a special use (RFC 6154 §2) and the folder that has it from the beginning.
type special struct {
	use, name string
}

// usesCount is how many there are.
const usesCount = 5

// uses are the special uses in the order of their numbers in registers and default ids: it never
// changes. New ones come at the end, and have no default folder.
func uses() [usesCount]special {
	return [...]special{{`\Drafts`, "Drafts"}, {`\Sent`, "Sent"}, {`\Junk`, "Junk"}, {`\Trash`, "Trash"}, {`\Archive`, "Archive"}}
}

// DefaultID is the id of the default folder of a special use, the same for every user, as INBOX's is. Whoever
// shows such a folder need not write anything first, and two sides of a partition show the same one.
func DefaultID(use string) (mail.FolderID, bool) {
	k := numberOf(use)
	return defaultID(k), k > 0
}

func defaultID(k byte) mail.FolderID { return mail.FolderID{idLen - 1: k} }

// firstNames are the names that are subscribed from the beginning.
func firstNames() []string {
	names := []string{inboxName}
	for _, s := range uses() {
		names = append(names, s.name)
	}
	return names
}

func isFirstName(name string) bool { return slices.Contains(firstNames(), name) }

// IsDefault reports whether an id is INBOX's or a default folder's.
func IsDefault(id mail.FolderID) bool {
	k := id[idLen-1]
	return k <= usesCount && id == defaultID(k)
}

// numberOf gives the number of a special use, in any case of letters; 0 if there is none such.
func numberOf(use string) byte {
	for i, s := range uses() {
		if strings.EqualFold(s.use, use) {
			return byte(i + 1)
		}
	}
	return 0
}

// nameOfUse is the other way; "" for 0, and for uses of a later version.
func nameOfUse(k byte) string {
	if all := uses(); k > 0 && int(k) <= len(all) {
		return all[k-1].use
	}
	return ""
}

func parseUse(op, use string) (byte, error) {
	k := numberOf(use)
	if use != "" && k == 0 {
		return 0, cluster.Errorf(cluster.KindInvalid, op, "special use %q is not known here: use one of \\Drafts, \\Sent, \\Junk, \\Trash, \\Archive", use)
	}
	return k, nil
}

// UIDVALIDITY of INBOX is 1, of the default folders what follows: no two folders of a user have the
// same, else one that is renamed could pass for another (RFC 9051 §2.3.1.1).
func defaultValidity(k byte) uint32 { return 1 + uint32(k) }
