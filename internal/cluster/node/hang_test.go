package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store"
	"porcupine/internal/cluster/watchdog"
)

// valve holds whoever wants to write or sync while it is shut, and makes syncs slow.
type valve struct {
	mu   sync.Mutex
	open chan struct{} // nil: it is open
	slow time.Duration // of each sync
}

// slowDown makes each sync take that long from now on. Not while a store is opened: the engine holds locks then, and
// fake time stands still while somebody waits for one.
func (v *valve) slowDown(each time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.slow = each
}

// sync is pass for a sync.
func (v *valve) sync() {
	v.pass()
	v.mu.Lock()
	slow := v.slow
	v.mu.Unlock()
	if slow > 0 {
		pass(slow)
	}
}

func (v *valve) shut() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.open = make(chan struct{})
}

func (v *valve) release() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.open != nil {
		close(v.open)
		v.open = nil
	}
}

func (v *valve) pass() {
	v.mu.Lock()
	open := v.open
	v.mu.Unlock()
	if open != nil {
		<-open
	}
}

// heldFile is a file on a disk that may hang.
type heldFile struct {
	vfs.File
	valve *valve
}

func (f heldFile) Write(p []byte) (int, error) { f.valve.pass(); return f.File.Write(p) }
func (f heldFile) Sync() error                 { f.valve.sync(); return f.File.Sync() }
func (f heldFile) SyncData() error             { f.valve.sync(); return f.File.SyncData() }

func (d *disk) held(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return heldFile{f, &d.valve}, nil
}

func (d *disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.held(d.FS.Create(name, c))
}

func (d *disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return d.held(d.FS.OpenReadWrite(name, c, o...))
}

func (d *disk) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.held(d.FS.ReuseForWrite(old, name, c))
}

// ejectMax is how long after its disk hung a node may be in the view of the others.
const ejectMax = 5 * time.Second

// ejected waits until the others' view lacks a machine, at most ejectMax after its disk hung.
func (w *world) ejected(hung time.Time, m *machine, others ...*machine) {
	w.Helper()
	w.await("a view without the node whose disk hangs", time.Until(hung.Add(ejectMax)), func() error {
		for _, o := range others {
			if v := o.node.View(); v.Contains(m.id) {
				return fmt.Errorf("node %v still has it, in epoch %v", o.id, v.Epoch)
			}
		}
		return nil
	})
}

// Fault 13: of three nodes one has a disk that hangs. It is out of the others' view within 5 s and they go
// on; it acknowledges nothing, refuses nobody for good (V1), and lives. When the disk answers there are
// three again, and nothing is lost (D1, R1, S1).
func TestFault13_DiskHangs(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		a.put(typeNote, "owner", "before", "contents", a.id, c.id)
		w.awaitQuiet(a, b, c)

		c.disk.valve.shut()
		hung := time.Now()
		var acked sync.Map
		var clients sync.WaitGroup
		for i, by := range w.machines { // each with the hanging node among the targets
			clients.Go(func() {
				id := fmt.Sprintf("during %d", i)
				err := by.tryPut(typeNote, "owner", id, "contents", a.id, c.id)
				var short *cluster.Shortfall
				switch {
				case errors.As(err, &short):
					acked.Store(id, short.Durable)
				case err == nil:
					t.Errorf("D2: put by node %v is acknowledged, the disk of a target hangs", by.id)
				case !cluster.IsKind(err, cluster.KindUnavailable):
					t.Errorf("V1: put by node %v = %v, want kind unavailable", by.id, err)
				}
				if took := time.Since(hung); took > ejectMax+time.Second {
					t.Errorf("put by node %v took %v", by.id, took)
				}
			})
		}
		w.ejected(hung, c, a, b)
		t.Logf("out of the view %v after the disk hung", time.Since(hung))
		clients.Wait()
		w.settle(a, b)
		a.put(typeNote, "owner", "without it", "contents", a.id, b.id)

		if out := c.node.Outage(); out == nil || out.What == "" {
			t.Errorf("Outage() = %v, want a reason", out)
		}
		if err := c.node.Ready(); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("Ready() = %v, want kind unavailable", err)
		}
		for name, f := range map[string]func() error{
			"put":    func() error { return c.tryPut(typeNote, "owner", "no", "contents", a.id) },
			"read":   func() error { _, err := c.read(c.id, noteID("owner", "before")); return err },
			"list":   func() error { _, err := c.node.List(context.Background(), c.id, "owner", typeNote); return err },
			"lookup": func() error { _, err := c.node.Lookup(context.Background(), "nobody"); return err },
			"forget": func() error { return c.node.Forget(context.Background(), b.id) },
		} {
			begun := time.Now()
			if err := f(); !cluster.IsKind(err, cluster.KindUnavailable) || time.Since(begun) > 0 {
				t.Errorf("V1: %s at the node that is out = %v after %v, want kind unavailable at once", name, err, time.Since(begun))
			}
		}
		if m := c.node.Metrics(); m.Outages != 1 || !m.Out || m.Owing < watchdog.HangMax {
			t.Errorf("Metrics() = %d outages, out %v, owing %v", m.Outages, m.Out, m.Owing)
		}
		pass(2 * PersistTimeout) // the process lives, however long it takes
		if n := w.onFatal.Load(); n != 0 {
			t.Fatalf("OnFatal was called %d times", n)
		}

		c.disk.valve.release()
		w.settle(a, b, c)
		if n := c.hooks.struck.Load(); n != 0 {
			t.Errorf("the node was refused %d times", n)
		}
		w.awaitQuiet(a, b, c)
		for _, id := range []string{"before", "without it"} {
			if _, err := c.read(a.id, noteID("owner", id)); err != nil {
				t.Errorf("D1: read %q = %v", id, err)
			}
		}
		acked.Range(func(id, durable any) bool {
			for _, on := range durable.(cluster.ReplicaSet) {
				if _, err := b.read(on, noteID("owner", id.(string))); err != nil {
					t.Errorf("D1: %q, durable on %v: %v", id, on, err)
				}
			}
			return true
		})
		w.checkS1(a, b, c)
	})
}

// The disk hangs while the node promises a view: the promise is not given before it is durable, the
// others go on, and however long it takes the process does not end for it.
func TestFault13_DiskHangsInAPromise(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		c.disk.valve.shut()
		before := c.node.View().Epoch
		b.kill()
		w.settle(a)
		pass(3 * PersistTimeout)
		if e := c.node.View().Epoch; e != before || c.node.Outage() == nil {
			t.Errorf("the node is in epoch %v, out %v; want %v and out", e, c.node.Outage(), before)
		}
		if n := w.onFatal.Load(); n != 0 {
			t.Fatalf("OnFatal was called %d times", n)
		}
		c.disk.valve.release()
		w.settle(a, c)
	})
}

// M5: a disk that hangs every ten seconds does not change the view every ten seconds.
func TestM5_DiskHangsAgainAndAgain(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		first := a.node.View().Epoch.Counter
		for i := range 12 {
			c.disk.valve.shut()
			begun := time.Now()
			if err := a.tryPut(typeNote, "owner", fmt.Sprint(i), "contents", a.id, c.id); err == nil {
				t.Error("D2: an update is acknowledged, the disk of a target hangs")
			}
			pass(time.Until(begun.Add(4 * time.Second)))
			c.disk.valve.release()
			pass(6 * time.Second)
		}
		if n := a.node.View().Epoch.Counter - first; n > 16 {
			t.Errorf("%d epochs in two minutes, of a disk that hung twelve times", n)
		}
		if k := c.node.Metrics().Outages; k < 2 || k > 4 {
			t.Errorf("the node went out %d times, want 2 to 4", k)
		}
		pass(watchdog.WaitMax)
		w.settle(a, b, c)
	})
}

// A node alone refuses while its disk hangs, and serves again by itself.
func TestFault13_Alone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 1)
		m := w.machines[0]
		epoch := m.node.View().Epoch
		m.disk.valve.shut()
		begun := time.Now()
		if err := m.tryPut(typeNote, "owner", "x", "contents", m.id); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("put = %v, want kind unavailable", err)
		}
		if took := time.Since(begun); took < watchdog.HangMax || took > watchdog.HangMax+time.Second {
			t.Errorf("put gave up after %v, want about %v", took, watchdog.HangMax)
		}
		m.disk.valve.release()
		w.settle(m)
		if e := m.node.View().Epoch; e != epoch {
			t.Errorf("epoch %v after the hang, %v before", e, epoch)
		}
		m.put(typeNote, "owner", "y", "contents", m.id)
	})
}

// Fault 13: a disk that hung once and is slow ever since lets its node back, as far as the times of membership allow for so slow a
// disk: there may be mail on it that is nowhere else.
func TestFault13_SlowDiskComesBack(t *testing.T) {
	for _, tt := range []struct {
		each, reply, suspect time.Duration // of a sync; ReplyTimeout; until a silent node is lost
	}{
		{50 * time.Millisecond, 0, 0},
		{300 * time.Millisecond, 0, 0},
		{time.Second, 4 * time.Second, 4 * time.Second},
		{2900 * time.Millisecond, 10 * time.Second, 10 * time.Second},
	} {
		t.Run(tt.each.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, 3)
				w.times.ReplyTimeout = tt.reply
				w.times.DoubtPeriod = tt.suspect / 12
				for _, m := range w.machines {
					m.start()
				}
				w.settle(w.machines...)
				a, b, c := w.machines[0], w.machines[1], w.machines[2]
				c.put(typeNote, "owner", "alone", "contents", c.id)
				w.awaitQuiet(a, b, c)
				c.disk.valve.shut()
				hung := time.Now()
				_ = a.tryPut(typeNote, "owner", "during", "contents", a.id, c.id) // something for the disk to owe
				w.await("an outage", ejectMax, func() error {
					if c.node.Outage() == nil {
						return errors.New("it takes part")
					}
					return nil
				})
				c.disk.valve.slowDown(tt.each)
				c.disk.valve.release()
				w.await("three nodes again", 2*time.Minute, func() error { return isSettled(w.machines) })
				t.Logf("%v a sync: three again %v after the disk hung", tt.each, time.Since(hung))
				if _, err := a.read(c.id, noteID("owner", "alone")); err != nil {
					t.Errorf("D1: read what lies on the slow disk alone = %v", err)
				}
				for line := range strings.Lines(w.logged.String()) {
					if strings.Contains(line, "membership paused") && (!strings.Contains(line, " for=") || !strings.Contains(line, "its disk is slow")) {
						t.Errorf("without how long or why: %s", line)
					}
				}
				if paused := strings.Contains(w.logged.String(), "membership paused"); tt.each > 2*time.Second && !paused {
					t.Error("the process waited for its disk for long, and nothing says so")
				}
				if said := strings.Contains(w.logged.String(), "raise cluster.reply_timeout"); said != (tt.each >= slowPersist) {
					t.Errorf("people were told what to do: %v", said)
				}
				before := a.node.View().Epoch.Counter
				pass(time.Minute)
				if n := a.node.View().Epoch.Counter - before; n > 0 {
					t.Errorf("M5: %d views in a minute with a disk that is slow", n)
				}
				c.disk.valve.slowDown(0)
			})
		})
	}
}

// M5: a disk that is too slow for the times of membership keeps its node out, and costs the others few views.
func TestM5_DiskTooSlowToPromise(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		c.disk.valve.shut()
		hung := time.Now()
		_ = a.tryPut(typeNote, "owner", "during", "contents", a.id, c.id) // something for the disk to owe
		w.ejected(hung, c, a, b)
		c.disk.valve.slowDown(2 * time.Second)
		c.disk.valve.release()
		before := a.node.View().Epoch.Counter
		pass(3 * time.Minute)
		if n := a.node.View().Epoch.Counter - before; n > 24 {
			t.Errorf("%d views in three minutes, for a node that is too slow to be in one", n)
		}
		if out := c.node.Outage(); out != nil {
			t.Errorf("it is out, though its disk does not hang: %v", out)
		}
		c.disk.valve.slowDown(0)
		w.await("three nodes again", 2*time.Minute, func() error { return isSettled(w.machines) })
	})
}

// Stop does not wait for a disk that hangs.
func TestStop_DiskHangs(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		b.disk.valve.shut()
		hung := time.Now()
		if err := a.tryPut(typeNote, "owner", "x", "contents", a.id, b.id); err == nil {
			t.Error("D2: acknowledged, the disk of a target hangs")
		}
		w.ejected(hung, b, a)
		begun := time.Now()
		if err := b.node.Stop(context.Background()); err != nil {
			t.Errorf("Stop() = %v", err)
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("Stop took %v", took)
		}
		b.disk.valve.release()
		b.off()
	})
}

var _ Hard = (*store.Store)(nil)
