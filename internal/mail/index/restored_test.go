package index

import (
	"slices"
	"testing"

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
