package transfer

import (
	"os"
	"path/filepath"
	"testing"
)

// The target of an export may be a directory of the user's, and the administrator root: nothing is written through what lies there.
func TestExportFollowsNoLinks(t *testing.T) {
	const kept = "root:x:0\n"
	text := []string{"A: 1\r\n\r\nx\r\n"}
	letter := "1.U1_" + "00000000000000000000000000000000" + ".porcupine"
	for _, tt := range []struct {
		name   string
		format string
		only   string
		fails  bool // else the link is replaced by what is exported
	}{
		{"subscriptions.partial", "maildir", "", false},
		{"subscriptions", "maildir", "", false},
		{"dovecot-keywords.partial", "maildir", "", false},
		{"tmp/" + letter, "maildir", "", false},
		{"INBOX.mbox.partial", "mbox", "", false},
		{"one.mbox.partial", "mbox", "INBOX", false},
		{"dovecot-keywords", "maildir", "", true}, // it is read first
		{".Work", "maildir", "", true},
	} {
		outside := t.TempDir()
		victim := filepath.Join(outside, "victim")
		if err := os.WriteFile(victim, []byte(kept), 0o600); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		link := filepath.Join(dir, tt.name)
		if err := os.MkdirAll(filepath.Dir(link), 0o700); err != nil {
			t.Fatal(err)
		}
		to := victim
		if tt.name == ".Work" {
			to = outside
		}
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
		var reported []string
		var tally Tally
		var err error
		switch {
		case tt.format == "maildir":
			tally, err = exporter(text, 0, &reported).Maildir(t.Context(), []Folder{{Name: "INBOX"}, {Name: "Work"}}, dir)
		case tt.only != "":
			tally, err = exporter(text, 0, &reported).Mbox(t.Context(), []Folder{{Name: tt.only}}, tt.only, filepath.Join(dir, "one.mbox"))
		default:
			tally, err = exporter(text, 0, &reported).Mbox(t.Context(), []Folder{{Name: "INBOX"}}, "", dir)
		}
		if tt.fails != (err != nil) || !tt.fails && tally.Stored != tally.Folders {
			t.Errorf("a link at %s: %+v, %q, %v", tt.name, tally, reported, err)
		}
		if got, err := os.ReadFile(victim); err != nil || string(got) != kept {
			t.Errorf("%s: the file that the link leads to is now %q, %v", tt.name, got, err)
		}
		if all, err := os.ReadDir(outside); err != nil || len(all) != 1 {
			t.Errorf("%s: outside lie %v, %v", tt.name, all, err)
		}
	}
}
