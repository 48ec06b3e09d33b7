package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// Values of format versions 1 and 2 as those versions' docs/format.md described them, byte by byte.

func seal1(key, value []byte) []byte {
	table := crc32.MakeTable(crc32.Castagnoli)
	return binary.BigEndian.AppendUint32(value, crc32.Update(crc32.Update(0, table, key), table, value))
}

func u64s(dst []byte, values ...uint64) []byte {
	for _, v := range values {
		dst = binary.BigEndian.AppendUint64(dst, v)
	}
	return dst
}

func formatOf(version byte) []byte {
	v := append([]byte("PORCUPINE"), 0, 0, 0, version)
	v = u64s(append(v, testCluster[:]...), uint64(self))
	v = append(v, 0, 2)
	v = append(append(v, 7), "message\x00"...)
	v = append(append(v, 4), "user\x01"...)
	return seal1([]byte("F"), v)
}

func recordOf(version byte, key []byte, number uint64, contents string) []byte {
	sum := sha256.Sum256([]byte(contents))
	v := u64s([]byte{version, 0}, 1000, uint64(self), number, uint64(len(contents)))
	v = append(v, sum[:]...)
	v = u64s(append(v, 1), uint64(self))
	if version > 1 {
		v = append(v, 0) // copies
	}
	v = append(v, 0, 2, 'h', 'i')
	return seal1(key, v)
}

// oldVersion makes a directory of version 1 or 2 with a message and a profile of one owner.
func oldVersion(t testing.TB, fs vfs.FS, version byte) {
	db, err := pebble.Open("data", &pebble.Options{FS: fs, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	under := func(prefix string, rest string) []byte {
		return append(binary.BigEndian.AppendUint16([]byte(prefix), uint16(testCluster.BucketOf("a@b"))), rest...)
	}
	message, profile, header := under("O", "a@b\x00message\x001"), under("C", "a@b\x00user\x00"), under("H", "a@b")
	state := u64s([]byte{version}, 77, 1000, 1, 4+7, 1)
	if version > 1 {
		state = u64s(state, 0, 0, 0, 0)
	}
	h := u64s([]byte{1}, 1)
	h = append(h, 0, 0, 0, 1, 7)
	h = u64s(append(append(h, "message"...), 1), uint64(self), 1, 4)
	body := append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)
	for _, kv := range [][2][]byte{
		{[]byte("F"), formatOf(version)},
		{[]byte("S"), seal1([]byte("S"), state)},
		{header, seal1(header, h)},
		{message, recordOf(version, message, 42, "text")},
		{profile, append(recordOf(version, profile, 0, "profile"), "profile"...)},
		{u64s([]byte("b"), 42), append(body, "text"...)},
	} {
		if err := db.Set(kv[0], kv[1], pebble.Sync); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestUpgrade opens directories of format versions 1 and 2: they are of the newest version at once, durably,
// and their values are read as they are. What is derived is there when it is asked for.
func TestUpgrade(t *testing.T) {
	for _, version := range []byte{1, 2} {
		t.Run(fmt.Sprint(version), func(t *testing.T) { upgrade(t, version) })
	}
}

func upgrade(t *testing.T, version byte) {
	mem := vfs.NewCrashableMem()
	oldVersion(t, mem, version)
	s := mustOpen(t, upgradeConfig(mem))
	mustVerify(t, s)
	for id, want := range map[cluster.ObjectID]string{
		{Type: "message", Owner: "a@b", ID: "1"}: "text",
		{Type: "user", Owner: "a@b"}:             "profile",
	} {
		if o, err := s.Get(id); err != nil || o.Copies != 0 || string(o.Attr) != "hi" || o.Timestamp.Time != 1000 {
			t.Errorf("Get(%v) = %+v, %v", id, o, err)
		}
		if got := readBody(t, s, id); string(got) != want {
			t.Errorf("contents of %v = %q, want %q", id, got, want)
		}
	}
	crashed := mem.CrashClone(vfs.CrashCloneCfg{}) // BEFORE anything else is written
	wantDerived(t, s, "1", "text", nil)
	if m := s.Metrics(); m.Late != 1 {
		t.Errorf("derived late %d times, want once", m.Late)
	}
	wantDerived(t, s, "1", "text", nil)
	if m := s.Metrics(); m.Late != 1 {
		t.Errorf("what was derived late was not kept: %d times", m.Late)
	}
	mustVerify(t, s)
	u, body := put("message", "a@b", "1", 2000, []byte("new text"), self, other)
	u.Object.Copies = 2
	mustApply(t, s, u, body)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, fs := range []vfs.FS{crashed, mem} {
		s := mustOpen(t, upgradeConfig(fs))
		if _, err := s.get(s.db, layout.FormatKey(), func(v []byte) error {
			if f, err := layout.ParseFormat(v); err != nil || f.Version != layout.FormatVersion || len(f.Types) != 3 || !f.Types[1].Inline {
				t.Errorf("format record = %+v, %v, want version %d", f, err, layout.FormatVersion)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		mustVerify(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// upgradeConfig declares a type more than the old directories know.
func upgradeConfig(fs vfs.FS) Config {
	cfg := testConfig(fs)
	cfg.Types = append(cfg.Types, cluster.TypeSpec{Name: "set", Inline: true})
	return cfg
}

// TestFormatOfLaterPrograms: the first 13 bytes of the format record keep their meaning, so that a program of an
// earlier version says what to do with a directory of a later one. This is what it says.
func TestFormatOfLaterPrograms(t *testing.T) {
	mem := vfs.NewMem()
	s := mustOpen(t, testConfig(mem))
	var head []byte
	if _, err := s.get(s.db, layout.FormatKey(), func(v []byte) error {
		head = append(head, v...)
		return nil
	}); err != nil || string(head[:13]) != "PORCUPINE\x00\x00\x00\x03" {
		t.Errorf("the format record begins with %q, %v", head[:13], err)
	}
	head[12] = layout.FormatVersion + 1
	if err := s.db.Set(layout.FormatKey(), head, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Open(testConfig(mem))
	wantKind(t, "Open", err, cluster.KindInvalid)
	if want := "format version 4, this program reads versions 1 to 3: start the program version that wrote it"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Open = %v, want %q", err, want)
	}
}

// An inline type stays one.
func TestInlineIsForEver(t *testing.T) {
	mem := vfs.NewMem()
	if err := mustOpen(t, upgradeConfig(mem)).Close(); err != nil {
		t.Fatal(err)
	}
	for _, change := range []func(*cluster.TypeSpec){
		func(t *cluster.TypeSpec) { t.Inline = false },
		func(t *cluster.TypeSpec) { t.Inline, t.Cached = false, true },
	} {
		cfg := upgradeConfig(mem)
		change(&cfg.Types[2])
		_, err := Open(cfg)
		wantKind(t, "Open with another kind of type", err, cluster.KindInvalid)
	}
}
