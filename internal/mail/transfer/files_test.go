package transfer

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// importTree imports a Maildir on disk, and gives what was reported. It fails the test when that hangs.
func importTree(t *testing.T, dir string, m *fakeMailbox) (tally Tally, reported []string, err error) {
	t.Helper()
	tree, err := OpenTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d := &Maildir{User: "u", Name: "tree", FS: tree, Max: 1 << 20}
		i := &Importer{Mailbox: m, Source: "x", Progress: func(Tally) {}, Report: func(place string, err error) { reported = append(reported, place+": "+err.Error()) }}
		tally, err = i.Run(t.Context(), d.Run)
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	select {
	case <-ended:
	case <-ctx.Done():
		t.Fatal("the import hangs")
	}
	if err := tree.Close(); err != nil {
		t.Error(err)
	}
	return tally, reported, err
}

// A Maildir belongs to its user, who may put anything into it: what is no file is reported, not waited for.
func TestImportOfAPipe(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"cur", "new", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "cur", "1:2,S"), []byte("A: 1\n\nx\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	pipe := func(name string) {
		t.Helper()
		if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pipe("cur/2:2,")
	if err := os.Symlink("2:2,", filepath.Join(dir, "cur", "3:2,")); err != nil {
		t.Fatal(err)
	}
	tally, reported, err := importTree(t, dir, &fakeMailbox{})
	if err != nil || tally.Stored != 1 || tally.Skipped != 2 || len(reported) != 2 {
		t.Errorf("%+v, %q, %v", tally, reported, err)
	}
	for _, r := range reported {
		if !strings.Contains(r, "it is no file but p") {
			t.Errorf("reported %q", r)
		}
	}
	for _, name := range []string{"dovecot-keywords", "subscriptions"} {
		pipe(name)
		if _, _, err := importTree(t, dir, &fakeMailbox{}); err == nil || !strings.Contains(err.Error(), name+": it is no file") {
			t.Errorf("%s is a pipe: %v", name, err)
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}
