package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// breakLog gives an injector that fails operations of one kind on the log once armed.
func breakLog(armed *atomic.Bool, kind errorfs.OpKind, err error) errorfs.InjectorFunc {
	return func(op errorfs.Op) error {
		if armed.Load() && op.Kind == kind && strings.HasSuffix(op.Path, ".log") {
			return err
		}
		return nil
	}
}

// TestD10_NoAckAfterFailedSync: once a write or an fsync of the log has failed, nothing is
// acknowledged any more, even if the disk is well again; what was acknowledged before is there.
func TestD10_NoAckAfterFailedSync(t *testing.T) {
	for _, c := range []struct {
		name string
		kind errorfs.OpKind
		err  error
	}{
		{"fsync fails with EIO", errorfs.OpFileSyncData, syscall.EIO},
		{"write fails with EIO", errorfs.OpFileWrite, syscall.EIO},
		{"disk full behind the guard's back", errorfs.OpFileWrite, syscall.ENOSPC},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			var armed atomic.Bool
			var fatal atomic.Int64
			cfg := testConfig(errorfs.Wrap(mem, breakLog(&armed, c.kind, c.err)))
			cfg.OnFatal = func(error) { fatal.Add(1) }
			s := mustOpen(t, cfg)
			u, body := put("message", "a@b", "before", 1, []byte("text"), self)
			mustApply(t, s, u, body)
			armed.Store(true)
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					size := []int{10, 3 * layout.ChunkSize}[i%2]
					u, body := put("message", "a@b", fmt.Sprint(i), 1, make([]byte, size), self)
					_, err := s.Apply(context.Background(), u, body)
					wantKind(t, "Apply on a failing disk", err, cluster.KindUnavailable)
				})
			}
			wg.Wait()
			armed.Store(false)
			_, err := s.Apply(context.Background(), u, body)
			wantKind(t, "Apply after the failure", err, cluster.KindUnavailable)
			wantKind(t, "Retire after the failure", s.Retire(context.Background(), []cluster.Retirement{{ID: u.Object.ID}}), cluster.KindUnavailable)
			wantKind(t, "Heal after the failure", s.Heal(context.Background(), u.Object, body), cluster.KindUnavailable)
			wantKind(t, "Checkpoint after the failure", s.Checkpoint("copy"), cluster.KindUnavailable)
			_, err = s.Accept(context.Background(), []cluster.Update{remove("message", "a@b", "before", 2)})
			wantKind(t, "Accept after the failure", err, cluster.KindUnavailable)
			wantKind(t, "PutMeta after the failure", s.PutMeta(context.Background(), "x", nil), cluster.KindUnavailable)
			_, err = s.Get(u.Object.ID)
			wantKind(t, "Get after the failure", err, cluster.KindUnavailable)
			wantKind(t, "Close after the failure", s.Close(), cluster.KindUnavailable)
			if fatal.Load() != 1 || !s.Metrics().Failed {
				t.Errorf("OnFatal was called %d times, want 1", fatal.Load())
			}
			again := mustOpen(t, testConfig(mem.CrashClone(vfs.CrashCloneCfg{})))
			list, err := again.List("a@b", "message")
			if err != nil || len(list) != 1 || list[0].ID.ID != "before" {
				t.Errorf("after a restart: %v, %v, want what was acknowledged", list, err)
			}
			mustVerify(t, again)
			if err := again.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A failed manifest write of a flush in the background is fatal too.
func TestD10_ManifestFails(t *testing.T) {
	mem := vfs.NewCrashableMem()
	var armed atomic.Bool
	dead := make(chan struct{})
	cfg := testConfig(errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if armed.Load() && op.Kind == errorfs.OpFileSync && strings.Contains(op.Path, "MANIFEST") {
			return syscall.EIO
		}
		return nil
	})))
	cfg.OnFatal = func(error) { close(dead) }
	s := mustOpen(t, cfg)
	u, body := put("message", "a@b", "1", 1, []byte("text"), self)
	mustApply(t, s, u, body)
	armed.Store(true)
	if _, err := s.db.AsyncFlush(); err != nil {
		t.Fatal(err)
	}
	<-dead
	_, err := s.Get(u.Object.ID)
	wantKind(t, "Get after the failure", err, cluster.KindUnavailable)
}

// TestQ3_DiskFull: a nearly full disk refuses new objects, serves reads and deletions, and takes
// objects again when there is room, with hysteresis.
func TestQ3_DiskFull(t *testing.T) {
	mem := vfs.NewMem()
	free := func(n uint64) { mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: n, TotalBytes: 1 << 40}) }
	free(5000)
	clock := &fakeClock{time.Unix(1_700_000_000, 0)}
	cfg := testConfig(mem)
	cfg.MinFree, cfg.Now = 1000, clock.Now
	s := mustOpen(t, cfg)
	ctx := context.Background()
	for i := range 3 {
		u, body := put("message", "a@b", fmt.Sprint(i), 1, []byte("text"), self)
		mustApply(t, s, u, body)
	}
	u, body := put("message", "a@b", "large", 1, make([]byte, 4500), self)
	_, err := s.Apply(ctx, u, body)
	wantKind(t, "Apply of more than there is room for", err, cluster.KindFull)

	if spare, known := s.Spare(); spare != 4000 || !known {
		t.Errorf("Spare = %d, %v; want 4000", spare, known)
	}

	free(999)
	clock.now = clock.now.Add(2 * time.Second)
	u, body = put("message", "a@b", "more", 1, []byte("x"), self)
	_, err = s.Apply(ctx, u, body)
	wantKind(t, "Apply on a full disk", err, cluster.KindFull)
	offers, err := s.Accept(ctx, []cluster.Update{u, {Object: cluster.Object{ID: u.Object.ID, Timestamp: u.Object.Timestamp, Replicas: u.Object.Replicas}}})
	if err != nil {
		t.Fatal(err)
	}
	wantKind(t, "offer on a full disk, whose contents would come in vain", offers[0].Err, cluster.KindFull)
	if offers[0].Want || !offers[1].Want {
		t.Errorf("an offer and a notice on a full disk = %+v, want no Want and Want", offers)
	}
	if spare, known := s.Spare(); spare != -1 || !known {
		t.Errorf("Spare of a full disk = %d, %v; want -1", spare, known)
	}
	if l := s.Load(); !l.DiskFull || l.DiskFree != 999 {
		t.Errorf("Load = %+v, want DiskFull", l)
	}
	if got := readBody(t, s, cluster.ObjectID{Type: "message", Owner: "a@b", ID: "0"}); string(got) != "text" {
		t.Errorf("contents = %q", got)
	}
	mustApply(t, s, remove("message", "a@b", "0", 2), nil)
	mustApply(t, s, remove("message", "a@b", "1", 2, self), nil)
	moved, body := put("message", "a@b", "2", 2, []byte("text"), other)
	mustApply(t, s, moved, body)
	if err := s.PutMeta(ctx, "epoch", []byte("7")); err != nil {
		t.Errorf("PutMeta on a full disk = %v", err)
	}

	free(1050) // above MinFree, below the mark for taking objects again
	clock.now = clock.now.Add(2 * time.Second)
	_, err = s.Apply(ctx, u, bytes.NewReader([]byte("x")))
	wantKind(t, "Apply with a little room", err, cluster.KindFull)
	free(2000)
	clock.now = clock.now.Add(2 * time.Second)
	if s.Load().DiskFull {
		t.Error("still full with room again")
	}
	mustApply(t, s, u, bytes.NewReader([]byte("x")))
	if n := s.Metrics().Refused; n != 4 {
		t.Errorf("Refused = %d, want 4", n)
	}
	mustVerify(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// The first callers, all at once, know how much room there is.
func TestQ3_FirstCallers(t *testing.T) {
	for range 20 {
		mem := vfs.NewMem()
		mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 40, TotalBytes: 1 << 40})
		s := mustOpen(t, testConfig(mem))
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				u, body := put("message", "a@b", fmt.Sprint(i), 1, nil, self)
				if _, err := s.Apply(context.Background(), u, body); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A disk that fills while large contents are being written refuses them and leaves no chunk.
func TestQ3_DiskFillsWhileWriting(t *testing.T) {
	mem := vfs.NewMem()
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 30, TotalBytes: 1 << 40})
	cfg := testConfig(mem)
	cfg.MinFree = 1 << 20
	s := mustOpen(t, cfg)
	contents := make([]byte, 5*layout.ChunkSize)
	u, _ := put("message", "a@b", "1", 1, contents, self)
	_, err := s.Apply(context.Background(), u, &fillingBody{Reader: bytes.NewReader(contents), mem: mem})
	wantKind(t, "Apply while the disk fills", err, cluster.KindFull)
	mustVerify(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

type fillingBody struct {
	*bytes.Reader
	mem *vfs.MemFS
}

func (f *fillingBody) ReadAt(p []byte, off int64) (int, error) {
	if off > 0 {
		f.mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 10, TotalBytes: 1 << 40})
	}
	return f.Reader.ReadAt(p, off)
}

// stalledFS holds every sync of the log while gate is set.
type stalledFS struct {
	gate atomic.Pointer[chan struct{}]
}

func (h *stalledFS) wait(point string) {
	if g := h.gate.Load(); g != nil && strings.HasPrefix(point, "sync") && strings.HasSuffix(point, ".log") {
		<-*g
	}
}

// TestStalledDisk: callers do not wait beyond their context; the update may happen all the same,
// and sending it again is harmless. Places are bounded, and so are those who wait for one.
func TestStalledDisk(t *testing.T) {
	var stall stalledFS
	s := mustOpen(t, testConfig(&hookFS{FS: vfs.NewMem(), before: stall.wait}))
	gate := make(chan struct{})
	stall.gate.Store(&gate)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var wg sync.WaitGroup
	var unavailable, limited atomic.Int64
	for i := range waitersMax + 10 {
		wg.Go(func() {
			u, body := put("message", "a@b", fmt.Sprint(i), 1, []byte("text"), self)
			_, err := s.Apply(ctx, u, body)
			switch cluster.KindOf(err) {
			case cluster.KindUnavailable:
				unavailable.Add(1)
			case cluster.KindLimit:
				limited.Add(1)
				if limited.Load() == 10 {
					cancel(errors.New("the client left"))
				}
			default:
				t.Errorf("Apply on a stalled disk = %v", err)
			}
		})
	}
	wg.Wait()
	if unavailable.Load() != waitersMax || limited.Load() != 10 {
		t.Errorf("%d unavailable, %d limited, want %d and 10", unavailable.Load(), limited.Load(), waitersMax)
	}
	if n := s.Load().Pending; n > writersMax || n == 0 {
		t.Errorf("Pending = %d, want 1 to %d", n, writersMax)
	}
	stall.gate.Store(nil)
	close(gate)
	for i := range waitersMax {
		u, body := put("message", "a@b", fmt.Sprint(i), 1, []byte("text"), self)
		mustApply(t, s, u, body)
	}
	if h, err := s.Holding("a@b"); err != nil || h.Fragments[0].Count < waitersMax {
		t.Errorf("Holding = %+v, %v", h, err)
	}
	mustVerify(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestD5_FlippedBits flips bits in the tables: what is read is right or is an error, and Verify
// finds the damage. It is small, since the engine takes long over each damaged
// block; -short ends with the first flip that Verify finds, STORE_CRASH=all makes many. Not every flip
// is for Verify to find: where it hits what Open reads, Open refuses.
func TestD5_FlippedBits(t *testing.T) {
	mem := vfs.NewMem()
	s := mustOpen(t, testConfig(mem))
	want := map[cluster.ObjectID][]byte{}
	for i := range 16 {
		contents := noise(seeded(uint64(i)), 300)
		u, body := put([]cluster.ObjectType{"message", "user"}[i%5/4], userName(i%3), fmt.Sprint(i), 1, contents, self)
		mustApply(t, s, u, body)
		want[u.Object.ID] = contents
	}
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	rng := seeded(9)
	found, unopened := 0, 0
	flips := 12
	if os.Getenv("STORE_CRASH") == "all" {
		flips = 500
	}
	made := 0
	for ; made < flips && (found == 0 || !testing.Short()); made++ {
		clone := vfs.NewMem()
		if _, err := vfs.Clone(mem, clone, "data", "data"); err != nil {
			t.Fatal(err)
		}
		tables := filesOf(t, clone, ".sst")
		name := tables[rng.IntN(len(tables))]
		data := readFile(t, clone, name)
		data[rng.IntN(len(data))] ^= 1 << rng.IntN(8)
		writeFile(t, clone, name, data)
		s, err := Open(testConfig(clone))
		if err != nil {
			unopened++
			continue
		}
		bad := 0
		for id, contents := range want {
			_, body, err := s.OpenBody(id)
			var got []byte
			if err == nil {
				got, err = readAll(body)
			}
			if err != nil {
				bad++
				if cluster.IsKind(err, cluster.KindNotFound) {
					t.Errorf("%v: damage is taken for absence: %v", id, err)
				}
			} else if !bytes.Equal(got, contents) {
				t.Errorf("%v: damaged contents were served", id)
			}
		}
		problems := 0
		if err := s.Verify(context.Background(), func(Problem) { problems++ }); err != nil {
			t.Errorf("Verify() = %v", err)
		}
		if bad > 0 && problems == 0 {
			t.Errorf("%d objects cannot be read and Verify finds nothing", bad)
		}
		if problems > 0 {
			found++
		}
		_ = s.Close() // the engine may complain about the damage again
	}
	t.Logf("%d flips: %d found by Verify, %d refused by Open", made, found, unopened)
	if found == 0 {
		t.Error("no flip was found")
	}
}

func readAll(r interface {
	Read([]byte) (int, error)
	Close() error
}) ([]byte, error) {
	var buf bytes.Buffer
	_, err := buf.ReadFrom(r)
	return buf.Bytes(), errors.Join(err, r.Close())
}

// TestD5_WrongContents: contents that the engine vouches for and that are wrong all the same
// (a misdirected write, memory that failed) are never served.
func TestD5_WrongContents(t *testing.T) {
	for _, c := range []struct {
		name  string
		size  int
		spoil func(s *Store, number uint64) error
	}{
		{"small, other bytes", 100, func(s *Store, n uint64) error {
			return s.db.Set(layout.AppendBodyKey(nil, n), layout.AppendBody(nil, []byte("Ox"), make([]byte, 100)), pebble.Sync)
		}},
		{"small, lost", 100, func(s *Store, n uint64) error { return s.db.Delete(layout.AppendBodyKey(nil, n), pebble.Sync) }},
		{"large, chunks swapped", 3 * layout.ChunkSize, func(s *Store, n uint64) error {
			v, closer, err := s.db.Get(layout.AppendChunkKey(nil, n, 1))
			if err != nil {
				return err
			}
			return errors.Join(s.db.Set(layout.AppendChunkKey(nil, n, 0), v, pebble.Sync), closer.Close())
		}},
		{"large, whole chunk replaced", 3 * layout.ChunkSize, func(s *Store, n uint64) error {
			key, v := layout.AppendChunkKey(nil, n, 1), make([]byte, layout.ChunkHeadSize+layout.ChunkSize)
			layout.SealChunk(key, v)
			return s.db.Set(key, v, pebble.Sync)
		}},
		{"large, chunk lost", 3 * layout.ChunkSize, func(s *Store, n uint64) error {
			return s.db.Delete(layout.AppendChunkKey(nil, n, 2), pebble.Sync)
		}},
	} {
		s := openMem(t)
		contents := noise(seeded(4), c.size)
		u, body := put("message", "a@b", "1", 1, contents, self)
		mustApply(t, s, u, body)
		r, _, err := s.read(u.Object.ID, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.spoil(s, r.Number); err != nil {
			t.Fatal(err)
		}
		_, rc, err := s.OpenBody(u.Object.ID)
		var got []byte
		if err == nil {
			got, err = readAll(rc)
		}
		wantKind(t, c.name, err, cluster.KindCorrupt)
		if !strings.HasPrefix(c.name, "large, whole") && !bytes.HasPrefix(contents, got) || len(got) == len(contents) {
			t.Errorf("%s: %d wrong bytes were served", c.name, len(got))
		}
		problems := 0
		if err := s.Verify(context.Background(), func(Problem) { problems++ }); err != nil || problems == 0 {
			t.Errorf("%s: Verify finds %d problems, %v", c.name, problems, err)
		}
	}
}
