package talk

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
)

func questions() []Question {
	return []Question{
		{Op: OpFolders, User: "u@example.test"},
		{Op: OpStore, User: "u@example.test", Request: [16]byte{1}, Folder: mail.FolderID{2}, Mark: Mark{Validity: 7, Next: 9, ModSeq: 1 << 40, Seen: "s"},
			UIDs: mail.NewUIDSet(1, 2, 3, 9, 1<<32-1), ModSeq: 5, FlagOp: backend.FlagsRemove, Flags: []mail.Flag{mail.FlagSeen, "x"}},
		{Op: OpPlaced, User: "u@example.test", From: mail.FolderID{3}, On: true, After: 4, Name: "a", To: "b", Use: `\Sent`,
			Items: []Item{{Object: cluster.Object{ID: cluster.ObjectID{Type: mail.TypeMessage, ID: "00"}, Timestamp: cluster.Timestamp{Time: -1, Node: 2},
				Replicas: cluster.NewReplicaSet(1, 2), Copies: 2, Attr: []byte("attr"), Size: 12, Sum: [32]byte{9}}, Flags: []mail.Flag{"y"}}},
			Values: []Value{{"/comment", ""}}, Cleared: []string{"/x"}},
		{Op: OpKnown, User: "u@example.test", Folder: mail.FolderID{1}, Messages: []mail.MessageID{{1}, {}}},
		{Op: OpWithin, User: "u@example.test", Messages: []mail.MessageID{{2}}},
	}
}

func answers() []Answer {
	at := time.Unix(1, 2).UTC()
	return []Answer{
		{},
		{Status: backend.Status{ID: mail.FolderID{1}, Messages: 1, Unseen: 2, Deleted: 3, UIDNext: 4, UIDValidity: 5, HighestModSeq: 6, Size: 7,
			FirstUnseen: 8, Keywords: []mail.Flag{"a", "b"}}, Mark: Mark{Validity: 5}, More: true, Next: 3, TTL: time.Minute},
		{Folder: mail.FolderID{1}, Folders: []backend.Folder{{Name: "INBOX", Exists: true}, {Name: "a/b", ID: mail.FolderID{4}, Subscribed: true, Use: `\Junk`}},
			UIDs: mail.NewUIDSet(5), Vanished: mail.NewUIDSet(1, 3), Arrived: mail.NewUIDSet(9), Modified: mail.NewUIDSet(2),
			Summaries: []mail.Summary{{UID: 1, ID: mail.MessageID{1}, Email: mail.MessageID{2}, Flags: []mail.Flag{"k"}, ModSeq: 3, Received: at, Saved: at, Size: 9}, {}, {UID: 2, Size: -1}},
			Lies:      []Lie{{UID: 1, ID: mail.MessageID{1}, Received: at, Size: 4, Flags: []mail.Flag{"z"}, Nodes: []cluster.NodeID{3, 1}}},
			Placed:    backend.Placed{UIDValidity: 1, From: []mail.UID{3, 2}, To: []mail.UID{4, 5}}, Values: []Value{{"a", "b"}},
			Known: []Known{KnownNot, KnownHere, KnownElsewhere, KnownDead}},
	}
}

// What two sides of a partition gave one message may be more than can be told: it is told without some keywords, never in a form
// that nobody can read.
func TestMoreFlagsThanCanBeTold(t *testing.T) {
	flags := []mail.Flag{mail.FlagDeleted, mail.FlagSeen}
	for i := range FlagsMax {
		flags = append(flags, mail.Flag(fmt.Sprintf("k%03d", i)))
	}
	slices.Sort(flags)
	a := Answer{Summaries: []mail.Summary{{UID: 1, Flags: flags}}, Lies: []Lie{{UID: 1, Flags: flags}}}
	got, err := ParseAnswer(a.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	for _, told := range [][]mail.Flag{got.Summaries[0].Flags, got.Lies[0].Flags} {
		if len(told) != FlagsMax || !slices.Contains(told, mail.FlagDeleted) || !slices.Contains(told, mail.FlagSeen) || !slices.IsSorted(told) {
			t.Errorf("%d flags: %q", len(told), told)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	for i, q := range questions() {
		got, err := ParseQuestion(q.Marshal())
		if err != nil || cmp.Diff(q, got) != "" {
			t.Errorf("question %d: %v\n%s", i, err, cmp.Diff(q, got))
		}
	}
	for i, a := range answers() {
		got, err := ParseAnswer(a.Marshal())
		if err != nil || cmp.Diff(a, got) != "" {
			t.Errorf("answer %d: %v\n%s", i, err, cmp.Diff(a, got))
		}
	}
	ns := []Notice{{User: "u@example.test"}, {User: "v@example.test", Folders: []mail.FolderID{{}, {1}}}}
	if got, err := ParseNotices(MarshalNotices(ns)); err != nil || cmp.Diff(ns, got) != "" {
		t.Errorf("notices: %v\n%s", err, cmp.Diff(ns, got))
	}
}

// Attack38: what a peer sends is bounded and of one form, or it is refused.
func TestAttack38_BrokenQuestions(t *testing.T) {
	whole := (&questions()[2]).Marshal()
	for n := range len(whole) {
		if q, err := ParseQuestion(whole[:n]); err == nil && bytes.Equal(q.Marshal(), whole) {
			t.Errorf("the first %d octets of %d are the whole question", n, len(whole))
		}
	}
	for name, b := range map[string][]byte{
		"empty":              {},
		"another version":    {2},
		"nothing asked":      {1},
		"unknown field":      append(bytes.Clone(whole), 99),
		"fields again":       append(bytes.Clone(whole), whole[1:]...),
		"too long":           make([]byte, SizeMax+1),
		"an endless number":  {1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"a set from nowhere": {1, 1, 1, 2, 1, 'u', 10, 1, 0, 0},
		"a list of millions": {1, 1, 1, 2, 1, 'u', 16, 0xff, 0xff, 0x03},
	} {
		if _, err := ParseQuestion(b); !cluster.IsKind(err, cluster.KindInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzQuestion(f *testing.F) {
	for _, q := range questions() {
		f.Add(q.Marshal())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if q, err := ParseQuestion(b); err == nil && !bytes.Equal(q.Marshal(), b) {
			t.Errorf("%x is written again as %x", b, q.Marshal())
		}
	})
}

func FuzzAnswer(f *testing.F) {
	for _, a := range answers() {
		f.Add(a.Marshal())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := ParseAnswer(b); err == nil && !bytes.Equal(a.Marshal(), b) {
			t.Errorf("%x is written again as %x", b, a.Marshal())
		}
	})
}

func FuzzNotices(f *testing.F) {
	f.Add(MarshalNotices([]Notice{{User: "u", Folders: []mail.FolderID{{1}}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := ParseNotices(b); err == nil && !bytes.Equal(MarshalNotices(n), b) {
			t.Errorf("%x is written again as %x", b, MarshalNotices(n))
		}
	})
}
