package objects

import (
	"strings"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/folders"
	"porcupine/internal/mail/message"
	"porcupine/internal/mail/uidledger"
)

// TestTypes: what is changed on two sides merges, what merges lies in its record, and nothing is there twice.
func TestTypes(t *testing.T) {
	seen := map[cluster.ObjectType]cluster.TypeSpec{}
	for _, s := range Types() {
		if _, twice := seen[s.Name]; twice {
			t.Errorf("type %s is there twice", s.Name)
		}
		if s.Merge != nil && !s.HasInline() || s.Cached && s.Inline || len(s.Name) > cluster.TypeLengthMax {
			t.Errorf("type %s: %+v", s.Name, s)
		}
		seen[s.Name] = s
	}
	for _, name := range []cluster.ObjectType{mail.TypeFolders, mail.TypeLedger} {
		if s := seen[name]; s.Merge == nil {
			t.Errorf("type %s does not merge", name)
		}
	}
	if !seen[mail.TypeMessage].Vault || !seen[mail.TypeFolders].Cached || !seen[mail.TypeLedger].Inline {
		t.Errorf("types are kept elsewhere: %+v", seen)
	}
	tree, err := folders.Parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := seen[mail.TypeFolders].Merge(tree.Marshal(), tree.Marshal()); err != nil {
		t.Errorf("two versions of the folders do not merge: %v", err)
	}
}

func TestIndexOfAMessage(t *testing.T) {
	const text = "Subject: hello\r\n\r\nbody\r\n"
	for _, s := range Types() {
		if s.Name != mail.TypeMessage {
			continue
		}
		b, err := s.Derive(strings.NewReader(text), int64(len(text)))
		if err != nil || len(b) == 0 || len(b) > cluster.DerivedSizeMax || s.DeriveVersion != message.Version {
			t.Errorf("derived %d bytes of version %d, %v", len(b), s.DeriveVersion, err)
		}
	}
}

// TestL12_Outdated: of a ledger in a backup only the chunks are good.
func TestL12_Outdated(t *testing.T) {
	var f mail.FolderID
	for id, want := range map[string]bool{uidledger.HeadID(f): true, uidledger.GrantID(f, 7): true, uidledger.ChunkID(f, 3): false, "else": false} {
		if got := Outdated(cluster.ObjectID{Type: mail.TypeLedger, Owner: "u", ID: id}); got != want {
			t.Errorf("Outdated(%s) = %v", id, got)
		}
	}
	if Outdated(cluster.ObjectID{Type: mail.TypeMessage, ID: uidledger.HeadID(f)}) {
		t.Error("a message is taken for a ledger")
	}
}
