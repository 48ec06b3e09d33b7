package archive

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

// storedTables gives the paths of a generation's tables in the backup directory.
func storedTables(m *Manifest, to string) (paths []string) {
	for i := range m.Files {
		if f := &m.Files[i]; immutable(f.Name) {
			paths = append(paths, filepath.Join(folderOf(to, node).path, filesDir, f.stored()))
		}
	}
	return paths
}

func flipBit(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 1
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Tables in the backup directory rot and keep their sizes, and the store has them whole still: as many backups as are kept
// later all generations are whole, those from before too.
func TestBackupMendsWhatRotted(t *testing.T) {
	from, to := filled(t, clusterA), t.TempDir()
	first := backup(t, options(from, to, 1))
	rotten := storedTables(first.Manifest, to)
	for _, path := range rotten {
		flipBit(t, path)
	}
	reread := 0
	var damaged []string
	for i := 2; i <= 4; i++ {
		done := backup(t, options(from, to, i))
		reread, damaged = reread+done.Reread, append(damaged, done.Damaged...)
	}
	if reread != len(rotten) || len(damaged) != len(rotten) {
		t.Errorf("three backups read %d files again and found %q, want each of %d once", reread, damaged, len(rotten))
	}
	for _, path := range rotten {
		if !strings.Contains(strings.Join(damaged, "\n"), path) {
			t.Errorf("nobody is told of %s", path)
		}
	}
	if c := verifies(t, to); c.Faults != 0 {
		t.Errorf("after as many backups as are kept: %d faults", c.Faults)
	}
	m, err := Newest(to, node, time.Time{}, noWarning(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := Clone(t.Context(), to, m, filepath.Join(t.TempDir(), "clone")); err != nil {
		t.Errorf("the newest backup: %v", err)
	}
	if done := backup(t, options(from, to, 5)); len(done.Damaged) > 0 {
		t.Errorf("damaged again: %q", done.Damaged)
	}
}

// What Verify says to do about a damaged table helps at once.
func TestBackupCopiesWhatWasRemoved(t *testing.T) {
	from, to := filled(t, clusterA), t.TempDir()
	path := storedTables(backup(t, options(from, to, 1)).Manifest, to)[0]
	flipBit(t, path)
	var faults []string
	if _, err := Verify(t.Context(), to, func(f string) { faults = append(faults, f) }); err != nil {
		t.Fatal(err)
	}
	if len(faults) != 1 || !strings.Contains(faults[0], "remove "+path) {
		t.Fatalf("faults %q, want one that says to remove %s", faults, path)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	backup(t, options(from, to, 2))
	if c := verifies(t, to); c.Faults != 0 {
		t.Errorf("after the next backup: %d faults", c.Faults)
	}
}

// A backup made while the clock was ahead stops the later ones; the error says what to remove, and that helps.
func TestBackupMadeAheadOfTime(t *testing.T) {
	from, to := filled(t, clusterA), t.TempDir()
	backup(t, options(from, to, 1))
	ahead := backup(t, options(from, to, 365*24*3600))
	path := filepath.Join(folderOf(to, node).path, ahead.Manifest.name())
	_, err := Backup(t.Context(), options(from, to, 2))
	if !cluster.IsKind(err, cluster.KindInvalid) || !strings.Contains(err.Error(), path) {
		t.Fatalf("a backup from before one that is there: %v, want it to name %s", err, path)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	backup(t, options(from, to, 2))
	if c := verifies(t, to); c.Faults != 0 || c.Generations != 2 {
		t.Errorf("after it was removed: %+v, want two whole generations", c)
	}
}
