package folders

import (
	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// Tree is a user's folders. It is a value: no method changes it.
type Tree struct{}

// Parse reads what Marshal wrote; nil, no contents, is the tree of a new user. KindInvalid, KindLimit:
// these are not folders.
func Parse(contents []byte) (*Tree, error) { return &Tree{}, nil }

// Marshal writes the tree: equal trees have equal bytes.
func (t *Tree) Marshal() []byte { return nil }

// Merge joins two contents: a cluster.TypeSpec.Merge.
func Merge(a, b []byte) ([]byte, error) { return a, nil }

// Type is the object type of trees, for registration with a node.
func Type() cluster.TypeSpec {
	return cluster.TypeSpec{Name: mail.TypeFolders, Cached: true, Merge: Merge}
}

// Folder is one name in a listing.
type Folder struct {
	Name string // the canonical path
	ID   mail.FolderID
	// Exists: there is such a folder. If not, the name is subscribed, or something is below it, or both;
	// it has no ID then.
	Exists      bool
	Subscribed  bool
	Children    bool   // folders that exist are below it
	Use         string // special use, such as `\Sent`, or ""
	UIDValidity uint32
}

// Conflict says that a folder has lost its name to another one: all its messages are to be put into that,
// with fresh UIDs, and then Absorbed is to be written. From has no name any more: its messages are only
// found by way of Home.
type Conflict struct {
	Name       string
	From, Into mail.FolderID
}

// List gives all names, ascending, INBOX first. The slice is the caller's.
func (t *Tree) List() []Folder { return nil }

// Find gives the folder of a name, in whatever form a client wrote it. KindNotFound: no such folder.
// KindInvalid: no such name can be.
func (t *Tree) Find(name string) (Folder, error) { return Folder{}, nil }

// Folder gives a folder that exists by its id.
func (t *Tree) Folder(id mail.FolderID) (Folder, bool) { return Folder{}, false }

// Home says in which folder a message that was put into a folder is to be found now: in that, if it
// exists; in the one that it was merged into, or is to be; else in INBOX. What it gives always exists.
func (t *Tree) Home(id mail.FolderID) mail.FolderID { return mail.Inbox }

// HighWater is the largest UIDVALIDITY known.
func (t *Tree) HighWater() uint32 { return 0 }

// Settle gives what is to be done about names that several folders have. The tree that it gives is to be
// written BEFORE anything of it is shown, if it is not t itself: a survivor that has the UIDVALIDITY
// of another has got a greater one there.
func (t *Tree) Settle(at cluster.Timestamp) (*Tree, []Conflict) { return t, nil }

// Absorbed notes that the messages of a folder without a name have been put into another one.
func (t *Tree) Absorbed(from, into mail.FolderID, at cluster.Timestamp) (*Tree, error) { return t, nil }

// Create makes a folder and what is missing above it; a '/' at the end is ignored (RFC 9051 §6.3.4). use is a special
// use, such as `\Sent`, or "". draw gives ids: mail.NewFolderID. KindExists; KindInvalid: no such name or
// use can be; KindLimit: too many.
func (t *Tree) Create(name, use string, draw func() mail.FolderID, at cluster.Timestamp) (*Tree, Folder, error) {
	return t, Folder{}, nil
}

// Delete takes a folder away. Its messages are to be expunged BEFORE that is written: those that are not
// are found in INBOX. KindNotFound; KindDenied: INBOX, or it has folders below it.
func (t *Tree) Delete(name string, at cluster.Timestamp) (*Tree, Folder, error) {
	return t, Folder{}, nil
}

// Rename renames a folder and all below it, and makes what is missing above the new name. Of INBOX it
// makes a folder of the new name: empty says then that all messages of INBOX, but not the folders below it, are to be moved into
// it (RFC 9051 §6.3.6). KindNotFound; KindExists: to is there; KindInvalid: no such name
// can be, or it lies below from; KindLimit.
func (t *Tree) Rename(from, to string, draw func() mail.FolderID, at cluster.Timestamp) (tree *Tree, renamed Folder, empty bool, err error) {
	return t, Folder{}, false, nil
}

// Subscribe sets or takes away a subscription; the folder need not exist. KindInvalid, KindLimit.
func (t *Tree) Subscribe(name string, on bool, at cluster.Timestamp) (*Tree, error) { return t, nil }

// Bump gives a folder a UIDVALIDITY that is greater than any before: its UIDs mean nothing any more.
func (t *Tree) Bump(id mail.FolderID, at cluster.Timestamp) (*Tree, Folder, error) {
	return t, Folder{}, nil
}

// Annotations gives the annotations of a folder, of the whole mailbox if name is "" (RFC 5464), by entry name in lower case.
func (t *Tree) Annotations(name string) (map[string]string, error) { return nil, nil }

// Annotate sets annotations, or takes them away where the value is nil. All or none. KindLimit.
func (t *Tree) Annotate(name string, values map[string]*string, at cluster.Timestamp) (*Tree, error) {
	return t, nil
}
