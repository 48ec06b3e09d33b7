package transfer

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// What is no mail's fault does not make it a skipped one: the import is not complete, and is run again.
func TestNoRoomForALargeMessage(t *testing.T) {
	fsys := fstest.MapFS{"cur/1:2,S": {Data: append([]byte("A: 1\n\n"), bytes.Repeat([]byte("large\n"), memoryMax/4)...)}}
	d := &Maildir{User: "u", Name: "tree", FS: fsys, Max: 1 << 22}
	m := &fakeMailbox{}
	i := &Importer{Mailbox: m, Source: "x", Progress: func(Tally) {}, Report: func(place string, err error) { t.Errorf("%s is reported: %v", place, err) }}
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	if tally, err := i.Run(t.Context(), d.Run); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "TMPDIR") || tally.Skipped != 0 {
		t.Errorf("%+v, %v", tally, err)
	}
	if m.begun["x"] == 0 {
		t.Error("the import counts as complete")
	}
	t.Setenv("TMPDIR", t.TempDir())
	if tally, err := i.Run(t.Context(), d.Run); err != nil || tally.Stored != 1 || m.begun["x"] != 0 {
		t.Errorf("again: %+v, %v", tally, err)
	}
}
