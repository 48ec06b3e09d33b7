package vault_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
	"porcupine/internal/mail/delivery"
	"porcupine/internal/mail/vault"
)

// R5: an id under which something was deleted is never used again: who has IMAP would not be shown what is restored under it.
// So what was restored and deleted again comes back under a further one; once, by whichever of its ids it is named.
func TestR5_RestoredAgain(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	id := w.deleted(user, 1, 10, 1001, "a", 2, 3)
	first := vault.RestoredID(id)
	second := vault.RestoredID(first.String())
	for round, as := range []mail.MessageID{first, second, vault.RestoredID(second.String())} {
		names := []string{id}
		want := "ok"
		if round > 0 {
			names, want = append(names, first.String()), "ok, exists"
		}
		if outcomes, err := w.vaults[round].Restore(ctx, user, names); err != nil || kinds(outcomes) != want {
			t.Fatalf("Restore %d = %s, %v, want %s", round, kinds(outcomes), err, want)
		}
		on := w.Copies(as.Object(user))
		if len(on) != 2 || len(w.Objects(string(user), mail.TypeMessage)) != 2 {
			t.Fatalf("round %d: it lies on %v; in the mailbox is %v", round, on, w.Objects(string(user), mail.TypeMessage))
		}
		if outcomes, err := w.vaults[0].Restore(ctx, user, names); err != nil || outcomes[0].Err == nil {
			t.Errorf("round %d: it was restored twice: %s, %v", round, kinds(outcomes), err)
		}
		if errs := w.Node(1).UpdateAll(ctx, []cluster.Update{{Object: cluster.Object{ID: as.Object(user), Deleted: true}, Previous: on}}); errs[0] != nil {
			t.Fatal(errs[0])
		}
		w.vaulted(as, 2000+int64(round), on[0])
	}
}

// R5: what was restored and deleted again lies on nodes that are away. Its id is not used a third time: nothing is restored until they
// answer, or so few are away that others have what they have.
func TestR5_RestoredBeforeOnANodeThatIsAway(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct{ away, back func(w *world) }{
		"silent":     {func(w *world) { w.SetFaults(3, clustertest.Faults{Hung: true}) }, func(w *world) { w.SetFaults(3, clustertest.Faults{}) }},
		"no members": {func(w *world) { w.SetMembers(1) }, func(w *world) { w.SetMembers(1, 3) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id := w.deleted(user, 1, 10, 1001, "a", 1)
			first := vault.RestoredID(id)
			w.vaulted(first, 2000, 3)
			c.away(w)
			if outcomes, err := w.vaults[0].Restore(ctx, user, []string{id}); !cluster.IsKind(err, cluster.KindUnavailable) {
				t.Errorf("Restore = %s, %v, want kind unavailable", kinds(outcomes), err)
			}
			if ids := w.Objects(string(user), mail.TypeMessage); len(ids) != 0 {
				t.Errorf("the mailbox has %v", ids)
			}
			c.back(w)
			if outcomes, err := w.vaults[0].Restore(ctx, user, []string{id}); err != nil || kinds(outcomes) != "ok" {
				t.Errorf("Restore = %s, %v", kinds(outcomes), err)
			}
			if second := vault.RestoredID(first.String()); len(w.Copies(second.Object(user))) == 0 || len(w.Copies(first.Object(user))) != 0 {
				t.Errorf("the mailbox has %v", w.Objects(string(user), mail.TypeMessage))
			}
		})
	}
}

// among is a node of a cluster in which node 2 is of an older version.
type among struct{ *clustertest.Node }

func (n among) Tell(ctx context.Context, to cluster.NodeID, method string, payload []byte) ([]byte, error) {
	switch {
	case to != 2 || method == "mail.vault.list":
	case method == "mail.vault.restore":
		payload = bytes.Replace(payload, []byte(`"as":`), []byte(`"new":`), 1)
	default:
		return nil, cluster.Errorf(cluster.KindUnavailable, method, "no such method")
	}
	return n.Node.Tell(ctx, to, method, payload)
}

// R5: a node of an older version cannot restore under a further id, and is not taken for one that has.
func TestR5_OlderVersion(t *testing.T) {
	w := newWorld(t)
	d, err := delivery.New(w.Node(1), people{w.Node(1)}, delivery.Config{FreshFor: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.New(among{w.Node(1)}, d, vault.Config{Disk: w.disks[0], TempFile: func() (vault.File, error) { return nil, errors.New("no file") }})
	if err != nil {
		t.Fatal(err)
	}
	fresh, there, both := w.deleted(user, 1, 10, 1001, "a", 2), w.deleted(user, 2, 10, 1001, "b", 2), w.deleted(user, 3, 10, 1001, "c", 2, 3)
	w.vaulted(vault.RestoredID(there), 2000, 3)
	w.vaulted(vault.RestoredID(both), 2000, 3)
	outcomes, err := v.Restore(context.Background(), user, []string{fresh, there, both})
	if err != nil || kinds(outcomes) != "ok, unavailable, ok" {
		t.Errorf("Restore = %s, %v", kinds(outcomes), err)
	}
	for id, want := range map[mail.MessageID]int{
		vault.RestoredID(fresh): 2, vault.RestoredID(there): 0, vault.RestoredID(both): 0,
		vault.RestoredID(vault.RestoredID(both).String()): 2,
	} {
		if n := len(w.Copies(id.Object(user))); n != want {
			t.Errorf("%s lies on %d nodes, want %d", id, n, want)
		}
	}
}

// vaulted puts a message into the vault of a node, as its deletion does.
func (w *world) vaulted(id mail.MessageID, at int64, on cluster.NodeID) {
	w.deleted(user, 0, 10, at, "a", on)
	d := w.disks[on-1]
	d.items[len(d.items)-1].Object.ID = id.Object(user)
	d.contents[id.String()] = []byte("a")
}
