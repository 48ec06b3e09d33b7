package archive

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

func sample() *Manifest {
	return &Manifest{Format: manifestFormat, Cluster: strings.Repeat("0a", 16), Node: 7, Taken: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Files: []File{
		{Name: "000004.sst", Size: 10, SHA256: strings.Repeat("ab", 32), Modified: 5},
		{Name: "000005.log", Size: 0, SHA256: strings.Repeat("cd", 32)},
	}}
}

func formatted(t testing.TB, m *Manifest) []byte {
	t.Helper()
	text, err := m.format()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestManifestIsReadAsWritten(t *testing.T) {
	m := sample()
	text := formatted(t, m)
	got, err := ParseManifest(text)
	if err != nil || !bytes.Equal(formatted(t, got), text) {
		t.Errorf("ParseManifest = %+v, %v, want %+v", got, err, m)
	}
	if got.name() != "20260102T030405.000Z.json" || got.Size() != 10 {
		t.Errorf("name %s, size %d", got.name(), got.Size())
	}
}

// Every byte that is changed, and every cut, is noticed.
func TestManifestDamaged(t *testing.T) {
	text := formatted(t, sample())
	for i := range text {
		if _, err := ParseManifest(text[:i]); err == nil {
			t.Errorf("a manifest cut off after %d of %d bytes is accepted", i, len(text))
		}
		damaged := bytes.Clone(text)
		damaged[i] ^= 1
		if _, err := ParseManifest(damaged); err == nil {
			t.Errorf("a manifest with byte %d changed is accepted", i)
		}
	}
}

func TestManifestRefused(t *testing.T) {
	tests := map[string]func(*Manifest){
		"another format":      func(m *Manifest) { m.Format = 2 },
		"no node":             func(m *Manifest) { m.Node = cluster.NoNode },
		"no cluster":          func(m *Manifest) { m.Cluster = "" },
		"no files":            func(m *Manifest) { m.Files = nil },
		"a file elsewhere":    func(m *Manifest) { m.Files[0].Name = "../x" },
		"a file with a path":  func(m *Manifest) { m.Files[0].Name = "a/b" },
		"a file without name": func(m *Manifest) { m.Files[0].Name = "" },
		"a negative size":     func(m *Manifest) { m.Files[0].Size = -1 },
		"a short checksum":    func(m *Manifest) { m.Files[0].SHA256 = "ab" },
		"files twice":         func(m *Manifest) { m.Files[1].Name = m.Files[0].Name },
	}
	for name, change := range tests {
		m := sample()
		change(m)
		if _, err := ParseManifest(formatted(t, m)); err == nil {
			t.Errorf("a manifest with %s is accepted", name)
		}
	}
}

func FuzzParseArchiveManifest(f *testing.F) {
	f.Add(formatted(f, sample()))
	f.Add([]byte("{}\nsha256 00\n"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ParseManifest(text)
		if err != nil {
			return
		}
		again, err := ParseManifest(formatted(t, m))
		if err != nil {
			t.Fatalf("formatted again it is refused: %v", err)
		}
		for i := range again.Files {
			if strings.ContainsAny(again.Files[i].stored(), "/\\") {
				t.Fatalf("file %q leads out of the directory", again.Files[i].Name)
			}
		}
	})
}
