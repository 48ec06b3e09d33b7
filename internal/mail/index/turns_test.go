package index

import (
	"errors"
	"testing"
	"testing/synctest"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/index/talk"
)

// beside has somebody wait for the turn when the next write is done, and gives what they are told, when they are. In a bubble: they do wait
// then, and come before whoever asks for the next turn.
func (w *world) beside(t *testing.T, q talk.Question) <-chan talk.Answer {
	t.Helper()
	told := make(chan talk.Answer, 1)
	w.during.set(func() {
		go func() { told <- w.mustAsk(t, q) }()
		synctest.Wait()
	})
	return told
}

// D4, U5: to delete a large folder, or to rename INBOX, takes several turns: the user's other sessions are answered in between, and are not
// sent away since they have waited for too long.
func TestLargeFoldersAreEmptiedInTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 2*talk.PageMax + 1
		w := newWorld(t, Config{Follow: silent}, 2)
		u := w.user("a", count)
		w.MoveBucket(string(u), 1)
		if n := w.count(t, u, "INBOX"); n != count {
			t.Fatalf("%d messages", n)
		}
		told := w.beside(t, talk.Question{Op: talk.OpStatus, User: u, Name: "INBOX"})
		made := w.mustAsk(t, talk.Question{Op: talk.OpRename, User: u, Name: "INBOX", To: "Old", Request: [16]byte{1}})
		if n := (<-told).Status.Messages; n != count-talk.PageMax {
			t.Errorf("somebody who asked while INBOX was renamed saw %d messages in it", n)
		}
		if n, left := w.count(t, u, "Old"), w.count(t, u, "INBOX"); n != count || left != 0 {
			t.Errorf("after RENAME Old has %d messages, INBOX %d", n, left)
		}
		told = w.beside(t, talk.Question{Op: talk.OpStatus, User: u, Name: "Old"})
		w.mustAsk(t, talk.Question{Op: talk.OpDelete, User: u, Name: "Old", Folder: made.Folder, Request: [16]byte{2}})
		if n := (<-told).Status.Messages; n != count-talk.PageMax {
			t.Errorf("somebody who asked while Old was deleted saw %d messages in it", n)
		}
		if left := w.Objects(string(u), mail.TypeMessage); len(left) > 0 {
			t.Errorf("after DELETE %d copies are left", len(left))
		}
	})
}

// A folder that is deleted in several turns is not confused with one that gets its name in between.
func TestNameTakenBetweenTurns(t *testing.T) {
	w := newWorld(t, Config{}, 2)
	u := w.user("a", 1)
	w.MoveBucket(string(u), 1)
	first := w.mustAsk(t, talk.Question{Op: talk.OpCreate, User: u, Name: "A", Request: [16]byte{1}})
	w.mustAsk(t, talk.Question{Op: talk.OpRename, User: u, Name: "A", To: "B", Folder: first.Folder, Request: [16]byte{2}})
	w.mustAsk(t, talk.Question{Op: talk.OpCreate, User: u, Name: "A", Request: [16]byte{3}})
	if _, _, err := w.ask(talk.Question{Op: talk.OpDelete, User: u, Name: "A", Folder: first.Folder, Request: [16]byte{4}}); !cluster.IsKind(err, cluster.KindNotFound) {
		t.Errorf("DELETE of the folder that had the name = %v", err)
	}
	w.folderID(t, u, "A")
}

// The same, where whoever asks does not say which folder has the name, as a node of the version before does not: it is the one that had it in
// the first turn.
func TestNameTakenBetweenTurnsByName(t *testing.T) {
	w := newWorld(t, Config{Follow: silent}, 2)
	u := w.user("a", talk.PageMax+1)
	w.MoveBucket(string(u), 1)
	w.mustAsk(t, talk.Question{Op: talk.OpRename, User: u, Name: "INBOX", To: "A", Request: [16]byte{1}})
	q := talk.Question{Op: talk.OpDelete, User: u, Name: "A", Request: [16]byte{2}}
	if _, err := w.indexes[0].serveTurn(t.Context(), 1, &q, 100); !errors.Is(err, errGoOn) {
		t.Fatalf("the first turn of DELETE = %v", err)
	}
	w.mustAsk(t, talk.Question{Op: talk.OpRename, User: u, Name: "A", To: "B", Folder: w.folderID(t, u, "A"), Request: [16]byte{3}})
	w.mustAsk(t, talk.Question{Op: talk.OpCreate, User: u, Name: "A", Request: [16]byte{4}})
	if _, err := w.indexes[0].serveTurn(t.Context(), 1, &q, 100); !cluster.IsKind(err, cluster.KindNotFound) {
		t.Errorf("the second turn of DELETE = %v", err)
	}
	w.folderID(t, u, "A")
}

// C1: a session that has waited for its turn in vain has missed nothing: it is refused, and asks again. It need not end.
func TestC1_SyncThatWaitsInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // real time may run out while the turn is free
		w := newWorld(t, Config{}, 2)
		u := w.user("a", 1)
		w.MoveBucket(string(u), 1)
		a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
		b, err := w.indexes[0].enter(t.Context(), u, 100)
		if err != nil {
			t.Fatal(err)
		}
		for op, want := range map[talk.Op]cluster.Kind{talk.OpSync: cluster.KindLimit, talk.OpSummaries: cluster.KindUnavailable} {
			if _, _, err := w.ask(talk.Question{Op: op, User: u, Mark: a.Mark, UIDs: a.UIDs}); !cluster.IsKind(err, want) {
				t.Errorf("question %d = %v", op, err)
			}
		}
		b.leave()
		w.mustAsk(t, talk.Question{Op: talk.OpSync, User: u, Mark: a.Mark})
	})
}
