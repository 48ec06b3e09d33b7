// Package folders is the tree of a user's folders: names, ids, UIDVALIDITY, special uses, subscriptions
// and annotations as one value, the contents of the one object of type mail.TypeFolders that a user
// has. Two managers may change it at the same time, on both sides of a partition; [Merge] joins what they
// wrote, and every replica reads the same tree out of it.
//
// # How to use it
//
// The user's manager reads the object (no object: nil is the tree of a new user), and
//
//	t, err := folders.Parse(contents)
//	t, conflicts := t.Settle(stamp)     // after contents came from elsewhere; write t BEFORE showing it
//	t, made, err := t.Create(name, use, mail.NewFolderID, stamp)
//	contents = t.Marshal()              // write it, BEFORE the client hears of it
//
// A Tree never changes: every operation gives a new one. Stamps are the node's
// ([porcupine/internal/cluster.Clock]).
//
// # Rules
//
// INBOX exists always, and so do the five default folders of RFC 6154 (Drafts, Sent, Junk, Trash,
// Archive) until they are renamed or deleted: nothing is written for them. Their ids are constants,
// so that both sides of a partition mean the same folders (U1). Every other folder has the id that was drawn when
// it was created, and keeps it when it is renamed.
//
// A folder's name is a register of its own, and holds the whole path: a rename writes one for each
// folder below. So no cycle can come out of two renames, and no folder hangs in the air: a name
// above it that is no folder is listed as not existing.
//
// What two sides do to one folder: the later write stands (rename and rename, rename and delete).
// What they do to one name: the folder with the greater UIDVALIDITY has it, the others are to be merged into
// it ([Tree.Settle]; with equal ones it gets a greater one first). [Tree.Home] says, for every
// folder id that a message may name, where the message is to be found now: for a deleted folder that is INBOX. So nothing
// that was delivered or appended on the other side is lost (L12).
//
// UIDVALIDITY is given when a folder is created, and kept when it is renamed, unless another folder has had the
// new name with one that was not less. What a name has been is written down for that (U4).
//
// # The format
//
// Contents are registers of package join. The first byte of a register's name says what it is; integers are
// big-endian, an id is 16 bytes. Registers of other names, from a later version, are kept and joined as they are.
//
//	'f' id                 the folder: 'F', UIDVALIDITY u32, use u8, path; or, when it is gone, 'D', the id that
//	                       it was merged into (zeros: INBOX). Without it, a default folder is as it was at first.
//	'b' id, u32            1: the folder's UIDVALIDITY is not less than that
//	'h' u32, id, path      1: the folder had the path with that UIDVALIDITY
//	's' path               1: subscribed; nothing: not
//	'a' id, entry          1 and the value of an annotation of the folder; nothing: none
//	'A' entry              the same, of the whole mailbox
//	"#v", "#h", "#t"       counters: no value, the register's time is the number, of no node. The largest UIDVALIDITY
//	                       given; the largest among 'h' that were forgotten; the horizon
//
// What is over (deleted folders, subscriptions taken away, history) must be remembered for a while, or it would come back from
// the other side. When too much of it is there the horizon is moved: registers that are older are dropped
// in every merge from then on, and those that still count have been written again, as of the horizon. Dropping what is older than
// a time keeps merges free of order: whatever wins has the newest time of all.
package folders
