package main

import (
	"os"
	"path/filepath"
	"testing"
)

// What an import's source is can be seen: nobody needs to say it.
func TestFormatOf(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "imaps.mbox")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for source, want := range map[string]string{
		dir: "maildir", file: "mbox", "-": "mbox", filepath.Join(dir, "none"): "mbox",
		"imaps://old.example": "imap", "imap://old.example:143": "imap",
	} {
		if got := formatOf(source); got != want {
			t.Errorf("formatOf(%q) = %q, want %q", source, got, want)
		}
	}
}
