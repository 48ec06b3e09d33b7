package store

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// Values of format version 1 as that version's docs/format.md described them, byte by byte.

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

func format1() []byte {
	v := append([]byte("PORCUPINE"), 0, 0, 0, 1)
	v = u64s(append(v, testCluster[:]...), uint64(self))
	v = append(v, 0, 2)
	v = append(append(v, 7), "message\x00"...)
	v = append(append(v, 4), "user\x01"...)
	return seal1([]byte("F"), v)
}

func record1(key []byte, number uint64, contents string) []byte {
	sum := sha256.Sum256([]byte(contents))
	v := u64s([]byte{1, 0}, 1000, uint64(self), number, uint64(len(contents)))
	v = append(v, sum[:]...)
	v = u64s(append(v, 1), uint64(self))
	v = append(v, 0, 2, 'h', 'i')
	return seal1(key, v)
}

// version1 makes a directory with a message and a profile of one owner.
func version1(t testing.TB, fs vfs.FS) {
	db, err := pebble.Open("data", &pebble.Options{FS: fs, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	under := func(prefix string, rest string) []byte {
		return append(binary.BigEndian.AppendUint16([]byte(prefix), uint16(testCluster.BucketOf("a@b"))), rest...)
	}
	message, profile, header := under("O", "a@b\x00message\x001"), under("C", "a@b\x00user\x00"), under("H", "a@b")
	state := u64s([]byte{1}, 77, 1000, 1, 4+7, 1)
	h := u64s([]byte{1}, 1)
	h = append(h, 0, 0, 0, 1, 7)
	h = u64s(append(append(h, "message"...), 1), uint64(self), 1, 4)
	body := append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)
	for _, kv := range [][2][]byte{
		{[]byte("F"), format1()},
		{[]byte("S"), seal1([]byte("S"), state)},
		{header, seal1(header, h)},
		{message, record1(message, 42, "text")},
		{profile, append(record1(profile, 0, "profile"), "profile"...)},
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

// TestUpgrade opens a directory of format version 1: it is one of the newest version at once, durably,
// and its values are read as they are.
func TestUpgrade(t *testing.T) {
	mem := vfs.NewCrashableMem()
	version1(t, mem)
	s := mustOpen(t, testConfig(mem))
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
	u, body := put("message", "a@b", "1", 2000, []byte("new text"), self, other)
	u.Object.Copies = 2
	mustApply(t, s, u, body)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, fs := range []vfs.FS{crashed, mem} {
		s := mustOpen(t, testConfig(fs))
		if _, err := s.get(s.db, layout.FormatKey(), func(v []byte) error {
			if f, err := layout.ParseFormat(v); err != nil || f.Version != layout.FormatVersion || len(f.Types) != 2 {
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
