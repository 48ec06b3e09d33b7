package index

import (
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/uidledger"
)

// V2, L4: the folders that CREATE and RENAME make above the one that is asked for have ledgers BEFORE they are in the tree, as that
// one has. So a node that goes away takes no folder with it, and least of all the user's other ones.
func TestV2_FoldersAboveHaveLedgers(t *testing.T) {
	w := newWorld(t, Config{}, 4)
	u := w.user("a", 3) // on nodes 1 and 2
	for i, name := range []string{"Clients/Acme/2026", "Plain", "Drafts of old"} {
		w.mustAsk(t, talk.Question{Op: talk.OpCreate, User: u, Name: name, Request: [16]byte{1, byte(i)}})
	}
	w.mustAsk(t, talk.Question{Op: talk.OpRename, User: u, Name: "Plain", To: "Deep/er/Plain", Request: [16]byte{2}})
	w.mustAsk(t, talk.Question{Op: talk.OpRename, User: u, Name: "INBOX", To: "Old/2025", Request: [16]byte{3}})
	all := w.mustAsk(t, talk.Question{Op: talk.OpFolders, User: u}).Folders
	for _, f := range all {
		head := cluster.ObjectID{Type: mail.TypeLedger, Owner: string(u), ID: uidledger.HeadID(f.ID)}
		if on := w.Copies(head); f.Exists && !on.Equal(cluster.NewReplicaSet(1, 2)) {
			t.Errorf("the ledger of %s lies on %v", f.Name, on)
		}
	}
	for away := cluster.NodeID(1); away <= 4; away++ {
		members := cluster.NewReplicaSet(1, 2, 3, 4).Without(cluster.ReplicaSet{away})
		w.SetMembers(members...)
		w.SetKnowledge(cluster.Complete)
		for _, manager := range members {
			w.MoveBucket(string(u), manager)
			for _, f := range all {
				if !f.Exists {
					continue
				}
				question := talk.Question{Op: talk.OpSelect, User: u, Name: f.Name}
				if _, err := w.Node(manager).Ask(t.Context(), string(u), talk.Method, question.Marshal()); err != nil {
					t.Errorf("node %v is away, %s at node %v: %v", away, f.Name, manager, err)
				}
			}
		}
		w.SetMembers(1, 2, 3, 4)
		w.SetKnowledge(cluster.Conclusive)
	}
}
