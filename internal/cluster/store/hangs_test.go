package store

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// steadyClock goes on only when it is told to. It may be used from any goroutine.
type steadyClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *steadyClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *steadyClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A disk that holds a write or an fsync of the log is found out while it does, and is well again when it
// has answered: nothing is lost, and nothing was acknowledged before.
func TestHangs(t *testing.T) {
	for _, c := range []struct{ point, want string }{{"sync", "an fsync"}, {"write", "a write to the log"}} {
		t.Run(c.point, func(t *testing.T) {
			clock := &steadyClock{now: time.Unix(1_700_000_000, 0)}
			armed, entered, gate := make(chan struct{}), make(chan struct{}), make(chan struct{})
			var once sync.Once
			cfg := testConfig(&hookFS{FS: vfs.NewMem(), before: func(point string) {
				select {
				case <-armed:
				default:
					return
				}
				if strings.HasPrefix(point, c.point) && strings.HasSuffix(point, ".log") {
					once.Do(func() { close(entered); <-gate })
				}
			}})
			cfg.Now = clock.Now
			s := mustOpen(t, cfg)
			if age, what := s.Hangs(); age != 0 || what != "" {
				t.Errorf("Hangs() = %v, %q of a disk at rest", age, what)
			}
			close(armed)
			done := make(chan error, 1)
			u, body := put("message", "a@b", "1", 1, []byte("text"), self)
			go func() {
				_, err := s.Apply(context.Background(), u, body)
				done <- err
			}()
			<-entered
			clock.pass(4 * time.Second)
			if age, what := s.Hangs(); age != 4*time.Second || what != c.want {
				t.Errorf("Hangs() = %v, %q, want 4s, %q", age, what, c.want)
			}
			if l := s.Load(); l.Commit != 0 && l.Commit < 4*time.Second {
				t.Errorf("Load() tells a commit time of %v of a disk that hangs for 4s", l.Commit)
			}
			select {
			case err := <-done:
				t.Fatalf("D10: acknowledged before the disk answered: %v", err)
			default:
			}
			close(gate)
			if err := <-done; err != nil {
				t.Error(err)
			}
			if age, _ := s.Hangs(); age != 0 {
				t.Errorf("Hangs() = %v after the disk answered", age)
			}
			mustVerify(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
