package store

import (
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// filesOf lists the store's files that end in suffix.
func filesOf(t testing.TB, fs vfs.FS, suffix string) []string {
	t.Helper()
	names, err := fs.List("data")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, n := range names {
		if strings.HasSuffix(n, suffix) {
			out = append(out, fs.PathJoin("data", n))
		}
	}
	return out
}

func newestLog(t testing.TB, fs vfs.FS) string {
	t.Helper()
	newest := ""
	for _, name := range filesOf(t, fs, ".log") {
		newest = max(newest, name)
	}
	if newest == "" {
		t.Fatal("there is no log")
	}
	return newest
}

func fileSize(t testing.TB, fs vfs.FS, name string) int64 {
	t.Helper()
	info, err := fs.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func readFile(t testing.TB, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err2 := f.Close(); err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	return b
}

func writeFile(t testing.TB, fs vfs.FS, name string, data []byte) {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(append([]byte{}, data...))
	if err2 := f.Close(); err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
}
