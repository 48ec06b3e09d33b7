package store

import (
	"context"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// slowDisk holds the work that it was asked for until the test lets it go on.
type slowDisk struct {
	asked chan Work
	done  chan func(time.Duration)
}

func (d *slowDisk) Serve(w Work, done func(time.Duration)) {
	d.done <- done
	d.asked <- w
}

// A call that stores contents is answered when the simulated disk has done its work, and counts as pending
// until then; nothing else waits for it.
func TestSimulatedDisk(t *testing.T) {
	disk := &slowDisk{asked: make(chan Work, 1), done: make(chan func(time.Duration), 1)}
	cfg := testConfig(vfs.NewMem())
	cfg.Disk = disk
	s := mustOpen(t, cfg)
	u, body := put("message", "a@b", "1", 1, []byte("text"), self, other)
	answered := make(chan error, 1)
	go func() {
		_, err := s.Apply(context.Background(), u, body)
		answered <- err
	}()
	if w, want := <-disk.asked, (Work{Objects: 1, Bytes: 4, Records: 1}); w != want {
		t.Errorf("the disk was asked for %+v, want %+v", w, want)
	}
	select {
	case err := <-answered:
		t.Errorf("Apply = %v before the disk had done the work", err)
	default:
	}
	if l := s.Load(); l.Pending != 1 || l.Commit != 0 {
		t.Errorf("Load = %+v while the disk works, want 1 pending and no commit time", l)
	}
	card, contents := put("user", "a@b", "", 2, []byte("profile"), self)
	mustApply(t, s, card, contents)                        // contents in the record: no work
	mustApply(t, s, remove("message", "a@b", "2", 3), nil) // a deletion: none
	(<-disk.done)(70 * time.Millisecond)
	if err := <-answered; err != nil {
		t.Errorf("Apply = %v", err)
	}
	if l := s.Load(); l.Pending != 0 || l.Commit != 70*time.Millisecond {
		t.Errorf("Load = %+v afterwards, want none pending, and 70 ms", l)
	}
	// The same update again stores nothing.
	mustApply(t, s, u, body)
	// Who does not wait leaves; the store closes all the same.
	ctx, cancel := context.WithCancel(context.Background())
	u, body = put("message", "a@b", "3", 4, []byte("text"), self)
	go func() {
		_, err := s.Apply(ctx, u, body)
		answered <- err
	}()
	if w, want := <-disk.asked, (Work{Objects: 1, Bytes: 4}); w != want {
		t.Errorf("the disk was asked for %+v, want %+v", w, want)
	}
	cancel()
	if err := <-answered; err == nil {
		t.Error("Apply = nil though its caller left")
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	(<-disk.done)(time.Millisecond)
}
