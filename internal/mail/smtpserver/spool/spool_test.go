package spool

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"testing/iotest"

	"porcupine/internal/cluster"
)

func TestMessage(t *testing.T) {
	dir := t.TempDir()
	s := New(Dir(dir), 256<<10, 64<<20)
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, 16<<10 - 1, 16 << 10, 16<<10 + 1, 64 << 10, 100_000, 256 << 10, 256<<10 + 1, 1_000_000} {
		want := make([]byte, size)
		for i := range want {
			want[i] = byte(r.Uint32())
		}
		m := s.NewMessage()
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 1+r.IntN(9000))
			if k, err := m.Write(rest[:n]); k != n || err != nil {
				t.Fatalf("Write = %d, %v; want %d", k, err, n)
			}
			rest = rest[n:]
		}
		if err := m.Finish(); err != nil || m.Size() != int64(size) {
			t.Fatalf("Finish = %v, Size = %d; want %d", err, m.Size(), size)
		}
		if err := iotest.TestReader(io.NewSectionReader(m, 0, m.Size()), want); err != nil {
			t.Errorf("size %d: %v", size, err)
		}
		if inFile := m.file != nil; inFile != (size > 256<<10) {
			t.Errorf("size %d: in a file = %v", size, inFile)
		}
		if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
			t.Errorf("size %d: spool directory holds %v, %v; want no names", size, names, err)
		}
		if _, err := m.ReadAt(make([]byte, 1), -1); err == nil {
			t.Error("ReadAt(-1) = nil")
		}
		if _, err := m.ReadAt(make([]byte, 1), int64(size)); err != io.EOF {
			t.Errorf("ReadAt at the end = %v, want EOF", err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := s.InMemory(); n != 0 {
		t.Errorf("%d bytes in memory after all is closed", n)
	}
}

// Memory is bounded for one message and for all of them.
func TestMemoryLimits(t *testing.T) {
	big := bytes.Repeat([]byte("x"), 200_000)
	one := New(Dir(t.TempDir()), 64<<10, 64<<20)
	m := one.NewMessage()
	if _, err := m.Write(big); err != nil {
		t.Fatal(err)
	}
	if n := one.InMemory(); n != 64<<10 {
		t.Errorf("%d bytes in memory, want 64 KiB", n)
	}
	m.Close()

	all := New(Dir(t.TempDir()), 256<<10, 300<<10)
	messages := make([]*Message, 10)
	for i := range messages {
		messages[i] = all.NewMessage()
		if _, err := messages[i].Write(big); err != nil {
			t.Fatal(err)
		}
	}
	if n := all.InMemory(); n > 300<<10+10*16<<10 {
		t.Errorf("%d bytes in memory, want at most 300 KiB and 16 KiB a message", n)
	}
	for _, m := range messages {
		if err := m.Finish(); err != nil || m.Size() != int64(len(big)) {
			t.Errorf("Finish = %v, Size = %d", err, m.Size())
		}
		m.Close()
	}
}

type badFiles struct{ err error }

func (b badFiles) Create() (File, error) { return nil, b.err }

func TestFailure(t *testing.T) {
	for err, kind := range map[error]cluster.Kind{
		syscall.ENOSPC: cluster.KindFull, syscall.EDQUOT: cluster.KindFull, syscall.EIO: cluster.KindInternal, errors.New("x"): cluster.KindInternal,
	} {
		m := New(badFiles{err}, 16<<10, 1<<20).NewMessage()
		n, got := m.Write(make([]byte, 20_000))
		if n != 16<<10 || !cluster.IsKind(got, kind) || !errors.Is(got, err) {
			t.Errorf("Write over %v = %d, %v; want kind %v", err, n, got, kind)
		}
		if again := m.Finish(); again != got {
			t.Errorf("Finish after a failure = %v, want %v", again, got)
		}
		m.Close()
	}
	if _, err := Dir("/nonexistent/spool").Create(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Create in no directory = %v", err)
	}
}
