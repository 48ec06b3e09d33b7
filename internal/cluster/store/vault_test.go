package store

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// withVault has messages go to the vault for a week.
func withVault(c *Config) { c.Types[0].Vault, c.VaultFor = true, 7*24*time.Hour }

func TestVault(t *testing.T) {
	s, clock := openClock(t, withVault)
	start := clock.now.UnixNano()
	sizes := []int{0, 10, 3 * layout.ChunkSize}
	at := func(i int) int64 { return start + int64(time.Duration(i)*time.Hour) }
	for i, size := range sizes {
		u, body := put("message", "a@b", fmt.Sprint(i), at(i), noise(seeded(uint64(i)), size), self)
		mustApply(t, s, u, body)
	}
	u, body := put("message", "a@b", "moved", start, []byte("text"), self, other)
	mustApply(t, s, u, body)
	moved, _ := put("message", "a@b", "moved", start+1, []byte("text"), other)
	mustApply(t, s, moved, nil)
	for i := range sizes {
		mustApply(t, s, remove("message", "a@b", fmt.Sprint(i), at(i)+1), nil)
	}
	list, err := s.Vaulted("a@b")
	if err != nil || len(list) != len(sizes) {
		t.Fatalf("Vaulted() = %+v, %v, want the %d deleted ones, not the one that moved away", list, err, len(sizes))
	}
	for i, v := range list {
		o, body, err := s.OpenVaulted(v.Object.ID, v.Deleted)
		if err != nil {
			t.Fatalf("OpenVaulted(%v) = %v", v.Object.ID, err)
		}
		got, err := io.ReadAll(body)
		if err != nil || !bytes.Equal(got, noise(seeded(uint64(i)), sizes[i])) || string(o.Attr) != "attr of "+fmt.Sprint(i) || v.Deleted != at(i)+1 {
			t.Errorf("in the vault: %+v, %d bytes, %v", v, len(got), err)
		}
	}
	_, _, err = s.OpenVaulted(list[0].Object.ID, 5)
	wantKind(t, "OpenVaulted at another time", err, cluster.KindNotFound)
	if h, err := s.Holding("a@b"); err != nil || !h.IsEmpty() {
		t.Errorf("Holding = %+v, %v: the vault is not part of it", h, err)
	}
	if m := s.Metrics(); m.Vaulted != 3 || m.VaultBytes != int64(10+3*layout.ChunkSize) || m.Contents != 0 || m.Objects != 0 {
		t.Errorf("Metrics = %+v", m)
	}
	mustVerify(t, s)
	for i := range sizes {
		c, err := s.Collect(context.Background(), time.Unix(0, at(i)+2).Add(7*24*time.Hour), clock.now)
		if err != nil || c.Vaulted != 1 || c.Bytes != int64(sizes[i]) {
			t.Errorf("Collect() = %+v, %v, want the oldest", c, err)
		}
		mustVerify(t, s)
	}
	if m := s.Metrics(); m.Vaulted != 0 || m.VaultBytes != 0 {
		t.Errorf("Metrics = %+v, want an empty vault", m)
	}
	lower, upper := []byte{byte(layout.PrefixBody)}, []byte{byte(layout.PrefixChunk) + 1}
	if err := s.each(s.db, lower, upper, func(key, _ []byte) error { return fmt.Errorf("%q is left", key) }); err != nil {
		t.Error(err)
	}
}

// An object may be deleted, come again under its id and be deleted again: both stay.
func TestVaultTwice(t *testing.T) {
	s, _ := openClock(t, withVault)
	for i := range 2 {
		u, body := put("message", "a@b", "1", int64(10+10*i), []byte{byte('x' + i)}, self)
		mustApply(t, s, u, body)
		u, body = put("message", "a@b", "1\x00\x00\x00\x00\x00\x00\x00\x00", int64(10+10*i), []byte("other"), self)
		mustApply(t, s, u, body)
		mustApply(t, s, remove("message", "a@b", "1", int64(15+10*i)), nil)
		mustApply(t, s, remove("message", "a@b", "1\x00\x00\x00\x00\x00\x00\x00\x00", int64(15+10*i)), nil)
	}
	for i := range 2 {
		_, body, err := s.OpenVaulted(cluster.ObjectID{Type: "message", Owner: "a@b", ID: "1"}, int64(15+10*i))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(body); err != nil || string(got) != string(rune('x'+i)) {
			t.Errorf("deleted at %d: %q, %v", 15+10*i, got, err)
		}
	}
	mustVerify(t, s)
}

// TestQ3_VaultGivesWay: what is in the vault goes, oldest first, before the disk is full.
func TestQ3_VaultGivesWay(t *testing.T) {
	disk := &smallDisk{FS: vfs.NewMem(), free: 100 << 20}
	clock := &fakeClock{now: time.Unix(1_700_000_000, 0)}
	cfg := testConfig(disk)
	cfg.Now, cfg.MinFree = clock.Now, 1<<20
	withVault(&cfg)
	s := mustOpen(t, cfg)
	for i := range 4 {
		id, at := fmt.Sprint(i), clock.now.UnixNano()+int64(i)
		u, body := put("message", "a@b", id, at, make([]byte, 50<<10), self)
		mustApply(t, s, u, body)
		mustApply(t, s, remove("message", "a@b", id, at+1), nil)
	}
	disk.free = 2<<20 - 70<<10 // two of them are missing
	clock.now = clock.now.Add(2 * spacePeriod)
	c, err := s.Collect(context.Background(), clock.now, clock.now)
	if err != nil || c.Vaulted != 2 {
		t.Errorf("Collect() = %+v, %v, want two out of the vault", c, err)
	}
	if list, err := s.Vaulted("a@b"); err != nil || len(list) != 2 || list[0].Object.ID.ID != "2" {
		t.Errorf("Vaulted() = %+v, %v, want the younger two", list, err)
	}
	mustVerify(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// smallDisk says how much is free.
type smallDisk struct {
	vfs.FS
	free uint64
}

func (d *smallDisk) Unwrap() vfs.FS { return d.FS }
func (d *smallDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: d.free, TotalBytes: 1 << 40}, nil
}

// TestCheckpoint: a copy made under load opens as a store that holds all that was acknowledged before.
func TestCheckpoint(t *testing.T) {
	mem := vfs.NewMem()
	s := mustOpen(t, testConfig(mem))
	want := 0
	for i := range 50 {
		u, body := put("message", "a@b", fmt.Sprint(i), 1, noise(seeded(uint64(i)), 5000), self, other)
		mustApply(t, s, u, body)
		want++
		if i == 25 {
			if err := s.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				done <- i
				return
			default:
				u, body := put("message", "a@b", fmt.Sprint("more", i), 1, make([]byte, 1000), self, other)
				mustApply(t, s, u, body)
			}
		}
	}()
	if err := s.Checkpoint("copy"); err != nil {
		t.Errorf("Checkpoint() = %v", err)
	}
	close(stop)
	more := <-done
	if err := s.Checkpoint("copy"); err == nil {
		t.Error("a copy is made over another")
	}
	cfg := testConfig(mem)
	cfg.Dir = "copy"
	again := mustOpen(t, cfg)
	list, err := again.List("a@b", "message")
	if err != nil || len(list) < want || len(list) > want+more {
		t.Errorf("the copy has %d messages, %v, want %d to %d", len(list), err, want, want+more)
	}
	if n := len(recordsOf(t, again)); n != len(list) {
		t.Errorf("the copy has %d records of %d messages", n, len(list))
	}
	mustVerify(t, again)
	for _, x := range []*Store{again, s} {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A copy that fails, its log included, leaves the store alive.
func TestCheckpointFails(t *testing.T) {
	for _, suffix := range []string{"", ".log"} {
		mem := vfs.NewMem()
		cfg := testConfig(errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if strings.HasPrefix(op.Path, "copy/") && strings.HasSuffix(op.Path, suffix) && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				return fmt.Errorf("the other disk is full")
			}
			return nil
		})))
		s := mustOpen(t, cfg)
		u, body := put("message", "a@b", "1", 1, []byte("text"), self)
		mustApply(t, s, u, body)
		if err := s.Checkpoint("copy"); err == nil || !strings.Contains(err.Error(), "full") {
			t.Errorf("copy/*%s: Checkpoint() = %v, want the cause", suffix, err)
		}
		if s.Metrics().Failed {
			t.Errorf("copy/*%s: the store failed with the copy", suffix)
		}
		u, body = put("message", "a@b", "2", 1, []byte("text"), self)
		mustApply(t, s, u, body)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
