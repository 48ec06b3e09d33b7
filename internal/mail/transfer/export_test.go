package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"porcupine/internal/mail"
	"porcupine/internal/mail/maildir"
)

// exporter gives the texts as the messages of each folder; stop ends it before that message, 0: never.
func exporter(texts []string, stop int, reported *[]string) *Exporter {
	return &Exporter{
		Progress: func(Tally) {},
		Report:   func(place string, err error) { *reported = append(*reported, place+": "+err.Error()) },
		Read: func(_ context.Context, _ string, yield func(Outgoing) error) error {
			for i, text := range texts {
				if i+1 == stop {
					return errors.New("cut off")
				}
				m := Outgoing{UID: mail.UID(i + 1), Email: mail.MessageID{byte(i)}, Received: time.Unix(int64(i+1), 0), Size: int64(len(text)),
					Flags: []mail.Flag{mail.FlagSeen, mail.Flag(fmt.Sprintf("k%d", i))}, Contents: strings.NewReader(text)}
				if text == "" {
					m.Contents, m.Err = nil, errors.New("not readable")
				}
				if err := yield(m); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func TestExportMbox(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	var reported []string
	folders := []Folder{{Name: "INBOX"}, {Name: "../a%b"}}
	if _, err := exporter([]string{"A: 1\r\n\r\nx\r\n", "A: 2\r\n\r\ny\r\n"}, 2, &reported).Mbox(t.Context(), folders, "", dir); err == nil {
		t.Error("an export that was cut off succeeded")
	}
	if _, err := os.Stat(filepath.Join(dir, "INBOX.mbox")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a part of a folder has the name of the whole: %v", err)
	}
	tally, err := exporter([]string{"A: 1\r\n\r\nx\r\n", "", "A: 2\r\n\r\ny\r\n"}, 0, &reported).Mbox(t.Context(), folders, "", dir)
	if err != nil || tally.Stored != 4 || tally.Skipped != 2 || len(reported) != 2 || !strings.HasPrefix(reported[0], "folder INBOX, UID 2") {
		t.Errorf("%+v, %q, %v", tally, reported, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "%2E.%2Fa%25b.mbox")); err != nil {
		t.Error(err)
	}
	if tally, err = exporter([]string{"A: 1\r\n\r\nx\r\n"}, 0, &reported).Mbox(t.Context(), folders, "", dir); err != nil || tally.Stored != 0 {
		t.Errorf("again: %+v, %v", tally, err)
	}
}

// One folder may go where there is no name to give: standard output.
func TestExportMboxTo(t *testing.T) {
	var reported []string
	var out strings.Builder
	tally, err := exporter([]string{"A: 1\r\n\r\nx\r\n", "", "A: 2\r\n\r\ny\r\n"}, 0, &reported).MboxTo(t.Context(), "INBOX", &out)
	if err != nil || tally.Folders != 1 || tally.Stored != 2 || tally.Skipped != 1 || len(reported) != 1 {
		t.Errorf("%+v, %q, %v", tally, reported, err)
	}
	if text := out.String(); strings.Count(text, "\nA: ") != 2 || !strings.HasPrefix(text, "From ") {
		t.Errorf("written: %q", text)
	}
	if _, err := exporter([]string{"A: 1\r\n\r\nx\r\n"}, 1, &reported).MboxTo(t.Context(), "INBOX", &out); err == nil {
		t.Error("an export that was cut off succeeded")
	}
}

// Where a directory has the name of a folder's file, nothing is written, and nobody is told that it was.
func TestExportMboxOntoADirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "INBOX.mbox"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := exporter(nil, 0, new([]string)).Mbox(t.Context(), []Folder{{Name: "INBOX"}}, "", dir); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("Mbox = %v", err)
	}
}

func TestExportMaildir(t *testing.T) {
	dir := t.TempDir()
	var texts []string
	for i := range 30 {
		texts = append(texts, fmt.Sprintf("A: %d\r\n\r\nx\r\n", i))
	}
	folders := []Folder{{Name: "INBOX"}, {Name: "Work/2026", Subscribed: true}}
	var reported []string
	if _, err := exporter(texts, 20, &reported).Maildir(t.Context(), folders, dir); err == nil {
		t.Error("an export that was cut off succeeded")
	}
	tally, err := exporter(texts, 0, &reported).Maildir(t.Context(), folders, dir)
	if err != nil || tally.Stored != 11+30 || tally.There != 19 {
		t.Fatalf("%+v, %v", tally, err)
	}
	if len(reported) != 2*(30-26) || !strings.Contains(reported[0], "keyword k26 is left out") {
		t.Errorf("reported %q", reported)
	}
	found, err := maildir.Folders(os.DirFS(dir))
	if err != nil || len(found) != 2 || found[1].Name != "Work/2026" || !found[1].Subscribed {
		t.Fatalf("folders %+v, %v", found, err)
	}
	for _, f := range found {
		files, err := maildir.Files(os.DirFS(dir), f)
		if err != nil || len(files) != 30 {
			t.Fatalf("%s: %d files, %v", f.Name, len(files), err)
		}
		for i, x := range files {
			text, err := os.ReadFile(filepath.Join(dir, x.Path))
			want := fmt.Sprint([]mail.Flag{mail.FlagSeen, mail.Flag(fmt.Sprintf("k%d", i))})
			if i >= 26 {
				want = fmt.Sprint([]mail.Flag{mail.FlagSeen})
			}
			if err != nil || string(text) != texts[i] || fmt.Sprint(x.Flags) != want || x.Received.Unix() != int64(i+1) {
				t.Errorf("%s: message %d is %q %v %v, %v", f.Name, i, text, x.Flags, x.Received, err)
			}
		}
	}
}

// A folder that has no name in the target does not keep the others out: what cannot be written is counted as skipped, and a name that is
// too long is shortened.
func TestExportOfNames(t *testing.T) {
	mixed, colons := strings.Repeat("aé", 66), strings.Repeat(":", 199)
	folders := []Folder{{Name: "a.b"}, {Name: mixed}, {Name: mixed + "x"}, {Name: colons}, {Name: colons + "x"}, {Name: "INBOX"}}
	text := []string{"A: 1\r\n\r\nx\r\n"}
	for _, format := range []string{"maildir", "mbox"} {
		dir := t.TempDir()
		for again := range 2 {
			var reported []string
			var tally Tally
			var err error
			stored, skipped := len(folders), 0
			if format == "maildir" {
				tally, err = exporter(text, 0, &reported).Maildir(t.Context(), folders, dir)
				stored, skipped = stored-1, 1 // a dot stands between levels there
			} else {
				tally, err = exporter(text, 0, &reported).Mbox(t.Context(), folders, "", dir)
			}
			if again > 0 {
				stored = 0
			}
			if err != nil || tally.Stored != stored || tally.Skipped != skipped {
				t.Fatalf("%s: %+v, %q, %v", format, tally, reported, err)
			}
			if n := strings.Count(strings.Join(reported, "\n"), "is too long"); n != 2 {
				t.Errorf("%s: reported %q, want two names that are too long", format, reported)
			}
		}
		if format == "maildir" {
			found, err := maildir.Folders(os.DirFS(dir))
			if err != nil || len(found) != len(folders)-1 || !slices.ContainsFunc(found, func(f maildir.Folder) bool {
				return strings.HasPrefix(f.Name, "aéaé") && strings.Contains(f.Name, "~")
			}) {
				t.Errorf("%+v, %v", found, err)
			}
		}
	}
}
