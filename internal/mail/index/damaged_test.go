package index

import (
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/uidledger"
)

// spoil makes the ledger of a folder unreadable at nodes: to the disk, or with a checksum that is right, as a program that was wrong
// would have written it.
func (w *world) spoil(u mail.User, f mail.FolderID, kind byte, atDisk bool, nodes ...cluster.NodeID) {
	for _, id := range w.Objects(string(u), mail.TypeLedger) {
		if of, k, _, err := uidledger.ParseID(id.ID); err != nil || of != f || k != kind {
			continue
		}
		for _, n := range nodes {
			if _, ok := w.Contents(n, id); !ok {
				continue
			}
			if atDisk {
				w.Damage(n, id)
				continue
			}
			w.Put(n, cluster.Object{ID: id, Replicas: w.Copies(id), Copies: len(w.Copies(id))}, []byte{'x'})
		}
	}
}

// V2: a ledger that cannot be read closes its folder and no other one; nothing is put into it, and what was moved into it is
// nowhere else.
func TestV2_OneLedgerIsDamaged(t *testing.T) {
	for name, c := range map[string]struct {
		kind   byte
		atDisk bool
	}{"head": {kindHead, false}, "chunk": {kindChunk, false}, "head, at the disk": {kindHead, true}, "chunk, at the disk": {kindChunk, true}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Config{}, 4)
			u := w.user("a", 3)
			w.mustAsk(t, talk.Question{Op: talk.OpCreate, User: u, Name: "Clients", Request: [16]byte{1}})
			before := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
			w.mustAsk(t, talk.Question{Op: talk.OpMove, User: u, Folder: before.Status.ID, Mark: before.Mark, UIDs: mail.NewUIDSet(2), To: "Clients", Request: [16]byte{2}})
			w.spoil(u, w.folderID(t, u, "Clients"), c.kind, c.atDisk, 1, 2, 3, 4)
			w.MoveBucket(string(u), 1)
			disks := len(w.Disks())
			for range 2 {
				inbox := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
				if inbox.UIDs.Len() != 2 || inbox.UIDs.Contains(2) || inbox.Status.UIDValidity != before.Status.UIDValidity {
					t.Errorf("INBOX = %+v, UIDs %v", inbox.Status, inbox.UIDs)
				}
				for what, q := range map[string]talk.Question{
					"SELECT": {Op: talk.OpSelect, Name: "Clients"},
					"MOVE":   {Op: talk.OpMove, Folder: mail.Inbox, Mark: inbox.Mark, UIDs: mail.NewUIDSet(1), To: "Clients", Request: [16]byte{4}},
				} {
					q.User = u
					if _, _, err := w.ask(q); !cluster.IsKind(err, cluster.KindUnavailable) {
						t.Errorf("%s of Clients = %v", what, err)
					}
				}
			}
			if s := w.stateOf(t, 1, u); s.broken || s.isToBeReadAgain() {
				t.Error("the index is thrown away at each question")
			}
			if n := len(w.Disks()); n != disks {
				t.Errorf("something was written: %d octets on the disks, before %d", n, disks)
			}
		})
	}
}

// V2: one replica's ledger is damaged, and the others have it: all folders are open, and what is changed is not lost.
func TestV2_OneReplicaIsDamaged(t *testing.T) {
	for _, atDisk := range []bool{false, true} {
		w := newWorld(t, Config{}, 4)
		u := w.user("a", 3)
		before := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
		w.spoil(u, mail.Inbox, kindChunk, atDisk, 2)
		w.MoveBucket(string(u), 1)
		w.stored(t, u, 1, 2)
		if a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"}); a.UIDs.Len() != 4 || a.Status.UIDValidity != before.Status.UIDValidity {
			t.Errorf("INBOX = %+v, UIDs %v", a.Status, a.UIDs)
		}
		w.MoveBucket(string(u), 2)
		if a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"}); a.UIDs.Len() != 4 || a.Status.UIDValidity != before.Status.UIDValidity {
			t.Errorf("INBOX at the next manager = %+v, UIDs %v", a.Status, a.UIDs)
		}
	}
}

// V2, L12: the head of a folder is damaged, and another node has an older one, which the chunks do not fit. So it is if a chunk is damaged
// that could be of any UIDVALIDITY. The folder is not lost: it is closed, and no other one is; it keeps its UIDVALIDITY, and is open
// again a while after it was healed, though no new view says so.
func TestV2_DamagedBesideStale(t *testing.T) {
	for name, c := range map[string]struct {
		kind   byte
		atDisk bool
	}{"head": {kindHead, false}, "chunk": {kindChunk, false}, "head, at the disk": {kindHead, true}, "chunk, at the disk": {kindChunk, true}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Config{}, 4)
			u := w.user("a", 3)
			w.mustAsk(t, talk.Question{Op: talk.OpCreate, User: u, Name: "Clients", Request: [16]byte{1}})
			inbox := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
			w.mustAsk(t, talk.Question{Op: talk.OpMove, User: u, Folder: inbox.Status.ID, Mark: inbox.Mark, UIDs: mail.NewUIDSet(2), To: "Clients", Request: [16]byte{2}})
			before := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "Clients"})
			folder, newer := before.Status.ID, before.Status.UIDValidity+7
			w.validity(t, u, folder, newer)
			heal := w.renewed(t, u, folder, newer)
			w.spoil(u, folder, c.kind, c.atDisk, 2)
			for _, x := range w.indexes {
				x.survey = freshSurvey(w, x) // no node is away, nor was a moment ago
			}
			w.MoveBucket(string(u), 1)
			closed := func() {
				t.Helper()
				if a, _, err := w.ask(talk.Question{Op: talk.OpSelect, User: u, Name: "Clients"}); !cluster.IsKind(err, cluster.KindUnavailable) {
					t.Errorf("Clients = %+v, %v", a.Status, err)
				}
				if a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"}); a.UIDs.Len() != 2 || a.Status.UIDValidity != inbox.Status.UIDValidity {
					t.Errorf("INBOX = %+v, UIDs %v", a.Status, a.UIDs)
				}
			}
			closed()
			s := w.stateOf(t, 1, u)
			heal()
			closed()
			if w.stateOf(t, 1, u) != s {
				t.Error("the index is thrown away at each question")
			}
			s.since = s.since.Add(-healWait) // a while later
			a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "Clients"})
			if a.UIDs.Len() != 1 || a.Status.UIDValidity != newer {
				t.Errorf("Clients = %+v, UIDs %v; want UIDVALIDITY %d", a.Status, a.UIDs, newer)
			}
		})
	}
}

// renewed gives what has all nodes have the ledger of a folder as it is now, with heads of another UIDVALIDITY.
func (w *world) renewed(t *testing.T, u mail.User, f mail.FolderID, validity uint32) (heal func()) {
	t.Helper()
	whole := make(map[cluster.ObjectID][]byte)
	for _, id := range w.Objects(string(u), mail.TypeLedger) {
		of, kind, _, err := uidledger.ParseID(id.ID)
		if err != nil || of != f || kind == kindGrant || whole[id] != nil {
			continue
		}
		contents, _ := w.Contents(w.Copies(id)[0], id)
		if kind == kindHead {
			head, err := uidledger.ParseHead(contents)
			if err != nil {
				t.Fatal(err)
			}
			head.UIDValidity, head.Set.UIDValidity = validity, validity
			contents = head.Marshal()
		}
		whole[id] = contents
	}
	return func() {
		for id, contents := range whole {
			on := w.Copies(id)
			for _, node := range on {
				w.Put(node, cluster.Object{ID: id, Replicas: on, Copies: len(on)}, contents)
			}
		}
	}
}

// V2: INBOX's own ledger is damaged everywhere: all folders wait. So does a user without a tree, whose folder would be begun anew.
func TestV2_InboxIsDamaged(t *testing.T) {
	for _, fresh := range []bool{false, true} {
		w := newWorld(t, Config{}, 4)
		u := w.user("a", 3)
		w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
		w.spoil(u, mail.Inbox, kindHead, false, 1, 2, 3, 4)
		if fresh {
			for _, id := range w.Objects(string(u), mail.TypeFolders) {
				if len(w.Copies(id)) == 0 {
					continue
				}
				if err := w.Node(1).UpdateAll(t.Context(), []cluster.Update{{Object: cluster.Object{ID: id, Deleted: true}, Previous: w.Copies(id)}})[0]; err != nil {
					t.Fatal(err)
				}
			}
		}
		w.MoveBucket(string(u), 1)
		for _, name := range []string{"INBOX", "Sent"} {
			if _, _, err := w.ask(talk.Question{Op: talk.OpSelect, User: u, Name: name}); err == nil {
				t.Errorf("fresh %t: %s is open", fresh, name)
			}
		}
	}
}
