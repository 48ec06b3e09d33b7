package index

import (
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/uidledger"
)

// L8: an index that is dropped hands on what is left of its leases: the ledgers of a folder that is looked at now and then do not grow.
func TestUnusedLeasesOutliveTheIndex(t *testing.T) {
	w := newWorld(t, Config{}, 2)
	u := w.user("a", 3)
	for i := range 12 {
		a := w.mustAsk(t, talk.Question{Op: talk.OpSelect, User: u, Name: "INBOX"})
		for k, op := range []backend.FlagOp{backend.FlagsAdd, backend.FlagsRemove} {
			w.mustAsk(t, talk.Question{Op: talk.OpStore, User: u, Mark: a.Mark, UIDs: mail.NewUIDSet(1), Flags: []mail.Flag{mail.FlagSeen}, FlagOp: op,
				Request: [16]byte{byte(i + 1), byte(k)}})
		}
		for _, x := range w.indexes {
			x.tidy(t.Context(), time.Now().Add(time.Hour))
		}
	}
	if f := w.figures(); f.Loads < 12 {
		t.Fatalf("Figures = %+v: the indexes were not dropped", f)
	}
	contents, ok := w.Contents(1, cluster.ObjectID{Type: mail.TypeLedger, Owner: string(u), ID: uidledger.HeadID(mail.Inbox)})
	if !ok {
		t.Fatal("there is no ledger")
	}
	head, err := uidledger.ParseHead(contents)
	if err != nil {
		t.Fatal(err)
	}
	for c, shown := range head.Shown {
		if len(shown.Skipped) > 0 {
			t.Errorf("%v are skipped: %v", uidledger.Counter(c), shown.Skipped)
		}
	}
}

func TestLeftovers(t *testing.T) {
	const most = 3
	l := newLeftovers(most)
	of := func(n byte) leftoverOf { return leftoverOf{user: "u", folder: mail.FolderID{n}} }
	some := uidledger.Unused{UIDValidity: 7}
	some.Spans[uidledger.UIDs] = uidledger.Ranges{{First: 5, Last: 9}}
	for n := range byte(3 * most) {
		l.keep(of(n), some)
		if len(l.all) > most {
			t.Fatalf("%d are kept, at most %d allowed", len(l.all), most)
		}
	}
	last := of(3*most - 1)
	for n := range byte(3*most - 1) {
		l.keep(of(n), uidledger.Unused{UIDValidity: 7}) // nothing is left
	}
	if got := l.take(last, 8); !got.IsEmpty() {
		t.Errorf("under another UIDVALIDITY: %v", got)
	}
	floor := last
	floor.floor.Time = 1
	if got := l.take(floor, 7); !got.IsEmpty() {
		t.Errorf("of a later user of the name: %v", got)
	}
	if got := l.take(last, 7); got.IsEmpty() {
		t.Error("nothing is left")
	}
	if got := l.take(last, 7); !got.IsEmpty() {
		t.Errorf("twice: %v", got)
	}
	if len(l.all) != 0 {
		t.Errorf("%d are kept", len(l.all))
	}
}

func TestMarksInQuestions(t *testing.T) {
	k := uidledger.Mark{UIDValidity: 1, UIDNext: 2, ModSeq: 3, Sum: [2]uint64{4, 5}, Known: 6, Life: 7}
	m := talkMark(k)
	if got := ledgerMark(&m); got != k {
		t.Errorf("%+v is read as %+v", k, got)
	}
	q := talk.Question{Op: talk.OpSync, User: "u", Mark: m}
	if got, err := talk.ParseQuestion(q.Marshal()); err != nil || got.Mark != m {
		t.Errorf("%+v, %v", got.Mark, err)
	}
	m.Seen = m.Seen[:16] // as an older version writes it
	k.Known, k.Life = 0, 0
	if got := ledgerMark(&m); got != k {
		t.Errorf("of an older version: %+v, want %+v", got, k)
	}
	m.Seen = m.Seen[:15]
	if got := ledgerMark(&m); got.Sum != [2]uint64{} {
		t.Errorf("what is no mark is read as %+v", got)
	}
	if a, b := newLife(), newLife(); a == b || a == 0 {
		t.Errorf("lives %d and %d", a, b)
	}
}
