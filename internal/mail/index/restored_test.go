package index

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/uidledger"
)

// L12: chunks that were put back from a backup, without heads and grants, are read: folders and flags are as they were,
// and the UIDVALIDITY is greater, since UIDs may have been given after the backup was made.
func TestL12_RestoredFromABackup(t *testing.T) {
	w := newWorld(t, Config{}, 2)
	u := w.user("a", 3)
	if _, _, err := w.ask(talk.Question{Op: talk.OpCreate, User: u, Name: "kept", Request: [16]byte{1}}); err != nil {
		t.Fatal(err)
	}
	before := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	w.mustAsk(t, talk.Question{Op: talk.OpMove, User: u, Folder: before.Status.ID, Mark: before.Mark, UIDs: mail.NewUIDSet(2), To: "kept", Request: [16]byte{2}})
	w.mustAsk(t, talk.Question{Op: talk.OpStore, User: u, Folder: before.Status.ID, Mark: before.Mark, UIDs: mail.NewUIDSet(3),
		FlagOp: backend.FlagsAdd, Flags: []mail.Flag{mail.FlagFlagged}, Request: [16]byte{3}})
	for _, id := range w.Objects(string(u), mail.TypeLedger) {
		on := w.Copies(id)
		if _, kind, _, err := uidledger.ParseID(id.ID); err != nil || kind == kindChunk || len(on) == 0 {
			continue
		}
		if err := w.Node(1).UpdateAll(t.Context(), []cluster.Update{{Object: cluster.Object{ID: id, Deleted: true}, Previous: on}})[0]; err != nil {
			t.Fatal(err)
		}
	}
	w.MoveBucket(string(u), 2)
	after := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	if after.Status.Messages != 2 || after.Status.UIDValidity <= before.Status.UIDValidity {
		t.Errorf("INBOX = %+v, before %+v", after.Status, before.Status)
	}
	sums := w.mustAsk(t, talk.Question{Op: talk.OpSummaries, User: u, Folder: after.Status.ID, Mark: after.Mark, UIDs: after.UIDs}).Summaries
	if len(sums) != 2 || !slices.ContainsFunc(sums, func(s mail.Summary) bool { return slices.Contains(s.Flags, mail.FlagFlagged) }) {
		t.Errorf("INBOX = %+v", sums)
	}
	if kept := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "kept"}); kept.Status.Messages != 1 {
		t.Errorf("kept = %+v", kept.Status)
	}
}

// validity writes another UIDVALIDITY into the chunks of a folder on the disks, as if they had come from another backup.
func (w *world) validity(t *testing.T, u mail.User, f mail.FolderID, validity uint32) {
	t.Helper()
	for _, id := range w.Objects(string(u), mail.TypeLedger) {
		of, kind, _, err := uidledger.ParseID(id.ID)
		if err != nil || of != f || kind != kindChunk {
			continue
		}
		for _, node := range w.Copies(id) {
			contents, _ := w.Contents(node, id)
			changed := slices.Concat(contents[:2], binary.BigEndian.AppendUint32(nil, validity), contents[6:])
			if got := uidledger.ChunkValidity(changed); got != validity {
				t.Fatalf("UIDVALIDITY %d", got)
			}
			w.Put(node, cluster.Object{ID: id, Replicas: w.Copies(id), Copies: 2}, changed)
		}
	}
}

// L12: chunks that were put back are of a greater UIDVALIDITY than the ledger that the cluster has begun anew meanwhile. The folder
// waits for their head while a node is away, and goes on under a greater one when none is, with their flags.
func TestL12_RestoredChunksAreNewer(t *testing.T) {
	w := newWorld(t, Config{}, 3)
	u := w.user("a", 3)
	w.MoveBucket(string(u), 1)
	before := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	w.mustAsk(t, talk.Question{Op: talk.OpStore, User: u, Folder: before.Status.ID, Mark: before.Mark, UIDs: mail.NewUIDSet(3),
		FlagOp: backend.FlagsAdd, Flags: []mail.Flag{mail.FlagFlagged}, Request: [16]byte{3}})
	restored := before.Status.UIDValidity + 1_000
	w.validity(t, u, mail.Inbox, restored)
	w.SetMembers(1, 2)
	w.MoveBucket(string(u), 2)
	if a, _, err := w.ask(talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"}); !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("while a node is away: %+v, %v", a.Status, err)
	}
	w.SetMembers(1, 2, 3)
	for _, x := range w.indexes {
		x.survey = freshSurvey(w, x)
	}
	for _, node := range []cluster.NodeID{1, 2} {
		w.MoveBucket(string(u), node)
		after := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
		if after.Status.Messages != 3 || after.Status.UIDValidity <= restored {
			t.Errorf("INBOX = %+v, restored is UIDVALIDITY %d", after.Status, restored)
		}
		sums := w.mustAsk(t, talk.Question{Op: talk.OpSummaries, User: u, Folder: after.Status.ID, Mark: after.Mark, UIDs: after.UIDs}).Summaries
		if len(sums) != 3 || !slices.ContainsFunc(sums, func(s mail.Summary) bool { return slices.Contains(s.Flags, mail.FlagFlagged) }) {
			t.Errorf("INBOX = %+v", sums)
		}
	}
}

// L12: all ledger replicas were removed for good, and what they had lies on other nodes. The folder begins anew there, with its flags.
func TestL12_LedgerReplicasRemoved(t *testing.T) {
	w := newWorld(t, Config{}, 4)
	u := w.user("a", 3)
	w.MoveBucket(string(u), 1)
	before := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
	w.mustAsk(t, talk.Question{Op: talk.OpStore, User: u, Folder: before.Status.ID, Mark: before.Mark, UIDs: mail.NewUIDSet(3),
		FlagOp: backend.FlagsAdd, Flags: []mail.Flag{mail.FlagFlagged}, Request: [16]byte{3}})
	w.profileOn(u, cluster.NewReplicaSet(3, 4))
	for _, typ := range []cluster.ObjectType{mail.TypeLedger, mail.TypeFolders, mail.TypeMessage} {
		for _, id := range w.Objects(string(u), typ) {
			contents, ok := w.Contents(1, id)
			if _, kind, _, err := uidledger.ParseID(id.ID); !ok || err == nil && kind == kindGrant {
				continue
			}
			attr := mail.MessageAttr{Received: time.Unix(1, 0)}.Append(nil)
			for _, node := range []cluster.NodeID{3, 4} {
				w.Put(node, cluster.Object{ID: id, Replicas: cluster.NewReplicaSet(3, 4), Copies: 2, Attr: attr}, contents)
			}
		}
	}
	w.removed = 2
	w.SetMembers(3, 4)
	for _, x := range w.indexes {
		x.survey = freshSurvey(w, x)
	}
	for _, node := range []cluster.NodeID{3, 4} {
		id := mail.NewMessageID().Object(u)
		w.Put(4, cluster.Object{ID: id, Replicas: cluster.ReplicaSet{4}, Copies: 1, Attr: mail.MessageAttr{Received: time.Unix(2, 0)}.Append(nil)}, []byte("new"))
		w.MoveBucket(string(u), node)
		b, err := w.Node(3).Ask(t.Context(), string(u), talk.Method, (&talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"}).Marshal())
		if err != nil {
			t.Fatalf("at node %v: %v", node, err)
		}
		a, err := talk.ParseAnswer(b)
		if want := int(node) + 1; err != nil || a.Status.Messages != want || a.Status.UIDValidity <= before.Status.UIDValidity {
			t.Errorf("at node %v: INBOX = %+v, %v; want %d messages", node, a.Status, err, want)
		}
		e, ok := w.stateOf(t, int(node), u).folder(mail.Inbox).ledger.View().Get(3)
		if !ok || len(e.Flags) != 1 {
			t.Errorf("at node %v: UID 3 is %+v", node, e)
		}
	}
}
