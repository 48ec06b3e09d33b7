package uidledger

import (
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// L12: what is left on a replica of a ledger from before does not come back, however many sets that one had: neither when
// the replica is asked for numbers, nor when it is read, nor when its head is joined with the new one.
func TestL12_FormerLedger(t *testing.T) {
	old := FirstSet(cluster.NewReplicaSet(1, 2, 3), 100)
	old.Version = 5
	_, reply, err := Decide(3, nil, &Request{Kind: AskLane, Set: old, Counter: UIDs, Count: 1})
	if err != nil || reply.Verdict != Yes {
		t.Fatalf("%+v, %v", reply, err)
	}
	left := reply.State.Marshal()
	first := FirstSet(cluster.NewReplicaSet(1, 2, 3), 200)
	next, reply, err := Decide(3, left, &Request{Kind: AskLane, Set: first, Counter: UIDs, Count: 1})
	if err != nil || reply.Verdict != Yes || reply.State.Set.UIDValidity != 200 {
		t.Errorf("Decide = %+v, %v", reply, err)
	}
	for _, both := range [][2][]byte{{left, next}, {next, left}} {
		joined, err := Merge(both[0], both[1])
		if err != nil {
			t.Fatal(err)
		}
		if g, err := ParseGrant(joined); err != nil || g.Set.UIDValidity != 200 {
			t.Errorf("joined grants = %+v, %v", g, err)
		}
	}
	head := (&Head{Set: old, UIDValidity: 100}).Marshal()
	m := New(Config{Self: 1, Folder: mail.FolderID{}, First: first})
	if err := m.Read(Snapshot{Node: 3, Full: true, Head: head}); err != nil || m.Set().UIDValidity != 200 {
		t.Errorf("the set that was read is %+v, %v", m.Set(), err)
	}
	joined, err := Merge(head, (&Head{Set: first, UIDValidity: 200}).Marshal())
	if err != nil {
		t.Fatal(err)
	}
	if h, err := ParseHead(joined); err != nil || h.Set.UIDValidity != 200 {
		t.Errorf("joined heads = %+v, %v", h, err)
	}
}
