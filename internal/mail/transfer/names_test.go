package transfer

import (
	"context"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/folders"
	"porcupine/internal/mail/imap"
)

// strict is a mailbox that refuses names that no folder can have, and folders beyond those that it can have; and the name "odd", for
// a reason that nobody else knows.
type strict struct {
	*fakeMailbox
	most int
}

func (s strict) MakeFolder(ctx context.Context, f Folder) error {
	if err := imap.CheckName(f.Name); err != nil {
		return cluster.Errorf(cluster.KindInvalid, "make folder", "%w", err)
	}
	if _, err := folders.Canonical(f.Name); err != nil {
		return err
	}
	if f.Name == "odd" {
		return cluster.Errorf(cluster.KindInvalid, "make folder", "no")
	}
	if len(s.folders) == s.most {
		return cluster.Errorf(cluster.KindLimit, "make folder", "too many")
	}
	return s.fakeMailbox.MakeFolder(ctx, f)
}

// A folder whose name none can have does not end an import: its messages go into one with a name like it. What cannot be made at
// all is reported once, with its messages counted.
func TestFoldersThatCannotBeMade(t *testing.T) {
	names := []string{"50% off", strings.Repeat("long", 60) + "a", strings.Repeat("long", 60) + "b", "odd", "Work"}
	m := strict{&fakeMailbox{}, 4}
	var reported []string
	i := &Importer{Mailbox: m, Source: "x", Progress: func(Tally) {}, Report: func(place string, err error) { reported = append(reported, place+": "+err.Error()) }}
	source := func(ctx context.Context, to Sink) error {
		for n, name := range names {
			if err := to.Folder(ctx, Folder{Name: name}); err != nil {
				return err
			}
			for k := range byte(2) {
				if err := to.Message(ctx, &Message{Place: "here", Folder: name, Email: mail.MessageID{byte(n), k}, Body: strings.NewReader("A"), Size: 1}); err != nil {
					return err
				}
			}
		}
		return nil
	}
	tally, err := i.Run(t.Context(), source)
	if err != nil || tally != (Tally{Folders: 4, Stored: 8, Octets: 8, Skipped: 2}) {
		t.Fatalf("%+v, %v", tally, err)
	}
	if len(reported) != 4 || !strings.Contains(reported[0], "folder 50% off: its messages go into the folder 50_ off: ") || !strings.Contains(reported[3], "folder odd: it cannot be made") {
		t.Errorf("reported %q", reported)
	}
	if got := m.stored[0].folder + " " + m.stored[6].folder; got != "50_ off Work" {
		t.Errorf("stored in %s", got)
	}
	names = []string{"one more"}
	if _, err := i.Run(t.Context(), source); !cluster.IsKind(err, cluster.KindLimit) || m.begun["x"] == 0 {
		t.Errorf("a folder more than allowed, which some may be deleted for: %v", err)
	}
	if len(m.folders) != 4 {
		t.Errorf("folders %v: two long names became one", m.folders)
	}
}

// Whatever a name is, the one like it can be a folder's.
func TestModelNameLike(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		theirs := rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.RuneFrom([]rune("a/%é#.:\u2028")), 0, 400, -1)).Draw(rt, "name")
		like := nameLike(theirs)
		if err := imap.CheckName(like); err != nil {
			rt.Errorf("%q: %v", like, err)
		}
		if _, err := folders.Canonical(like); err != nil {
			rt.Errorf("%q: %v", like, err)
		}
		if again := nameLike(like); again != like {
			rt.Errorf("%q becomes %q", like, again)
		}
	})
}
