// Package objects lists the object types of the mail service with all that the substrate does with them: the
// words say what they are called (package mail), the rooms of IMAP how two versions of one are joined, and
// what is derived from a message. Whoever opens a store of the cluster takes the types from here: a store
// that did not know how folders are joined would let one side of a partition win over the other.
package objects

import (
	"io"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/folders"
	"porcupine/internal/mail/message"
	"porcupine/internal/mail/uidledger"
)

// Types lists the object types, for registration with a node and with a store.
func Types() []cluster.TypeSpec {
	types := mail.Types()
	for i := range types {
		if t := &types[i]; t.Name == mail.TypeMessage {
			t.Derive, t.DeriveVersion = index, message.Version
		}
	}
	return append(types, folders.Type(), cluster.TypeSpec{Name: mail.TypeLedger, Inline: true, Merge: uidledger.Merge})
}

// IsProfile reports whether an object of that type says that its owner exists: a user, an alias, a domain. Folders do not: they are cached
// too, and outlive their user for a moment when he is removed.
func IsProfile(t cluster.ObjectType) bool {
	return t == mail.TypeUser || t == mail.TypeAlias || t == mail.TypeDomain
}

// Outdated reports an object that says nothing true any more once it was put back from a backup: which numbers of a
// folder were given, and which were shown. Since the backup more were. Whoever finds a folder's ledger without them gives
// it another UIDVALIDITY (L12); the rest of the ledger, which has the flags and who lies where, is good.
func Outdated(id cluster.ObjectID) bool {
	if id.Type != mail.TypeLedger {
		return false
	}
	_, kind, _, err := uidledger.ParseID(id.ID)
	return err == nil && kind != 'c'
}

// index is what every replica keeps beside a message: where its parts are.
func index(contents io.ReaderAt, size int64) ([]byte, error) {
	x, err := message.Build(contents, size)
	if err != nil {
		return nil, err
	}
	return x.Append(nil), nil
}
