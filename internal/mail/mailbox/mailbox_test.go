package mailbox

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
)

const user = mail.User("u@x.test")

// world is a cluster with locks on each node, running.
type world struct {
	*clustertest.Cluster
	locks []*Locks
}

// inWorld runs a test in a bubble with a cluster of three nodes. The bucket of user is managed by
// node 3 and all graces are over.
func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{Cluster: clustertest.New(3, mail.Types())}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		for id := range cluster.NodeID(3) {
			l, err := New(w.Node(id+1), Config{ClusterID: clustertest.ID})
			if err != nil {
				t.Fatal(err)
			}
			l.Register()
			w.locks = append(w.locks, l)
			go l.Run(ctx)
		}
		w.MoveBucket(string(user), 3)
		time.Sleep(time.Minute)
		test(t, w)
		cancel()
		synctest.Wait()
	})
}

func (w *world) acquire(t *testing.T, node cluster.NodeID) *Lock {
	t.Helper()
	l, err := w.locks[node-1].Acquire(context.Background(), user)
	if err != nil {
		t.Fatalf("Acquire at node %d: %v", node, err)
	}
	return l
}

func (w *world) refused(t *testing.T, node cluster.NodeID) {
	t.Helper()
	l, err := w.locks[node-1].Acquire(context.Background(), user)
	if !errors.Is(err, mail.ErrInUse) || !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Fatalf("Acquire at node %d = %v, %v, want in use", node, l, err)
	}
}

func isLost(l *Lock) bool {
	select {
	case <-l.Lost():
		return true
	default:
		return false
	}
}

func closeLock(t *testing.T, l *Lock) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestOneSessionInTheCluster(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.acquire(t, 1)
		w.refused(t, 2)
		w.refused(t, 1)
		time.Sleep(10 * time.Minute) // leases are renewed
		w.refused(t, 3)
		if isLost(a) || a.Confirm(context.Background()) != nil {
			t.Error("the session lost its lock")
		}
		closeLock(t, a)
		b := w.acquire(t, 2)
		closeLock(t, a) // once more: no effect on the next
		w.refused(t, 1)
		closeLock(t, b)
		if given, sessions := w.locks[2].Held(); given != 0 || sessions != 0 {
			t.Errorf("%d locks, %d sessions are left", given, sessions)
		}
	})
}

// Acquire waits a moment for a session that is about to end.
func TestAcquireWaits(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.acquire(t, 1)
		time.AfterFunc(time.Second, func() { closeLock(t, a) })
		began := time.Now()
		b := w.acquire(t, 2)
		if took := time.Since(began); took < time.Second || took > 1100*time.Millisecond {
			t.Errorf("Acquire took %v, want a second", took)
		}
		closeLock(t, b)
	})
}

// The manager changes: the running session asserts its lock at the new one and stays.
func TestSessionSurvivesItsManager(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.acquire(t, 1)
		for range 5 {
			w.SetMembers(1, 2) // node 3 dies
			w.refused(t, 2)
			time.Sleep(2 * time.Second)
			w.SetMembers(1, 2, 3)
			w.MoveBucket(string(user), 3)
			time.Sleep(2 * time.Second)
			w.refused(t, 2)
		}
		if isLost(a) {
			t.Error("the session lost its lock")
		}
		closeLock(t, a)
		closeLock(t, w.acquire(t, 2))
	})
}

// The node of a session dies: its locks are void as soon as the view is without it.
func TestHolderDies(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.acquire(t, 1).stop() // never closed: the node is gone
		w.refused(t, 2)
		w.SetMembers(2, 3)
		closeLock(t, w.acquire(t, 2))
	})
}

// A node was paused, voted out and has come back, with a session that thinks it has the lock. In
// the epoch in which all are members again it does not hold it, though its lease has not run out.
func TestPausedHolderDoesNotHoldInTheNewEpoch(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.acquire(t, 1)
		w.SetFaults(1, clustertest.Faults{Hung: true})
		w.SetMembers(2, 3)
		b := w.acquire(t, 2)
		w.SetFaults(1, clustertest.Faults{})
		w.SetMembers(1, 2, 3)
		if a.holds() {
			t.Error("two sessions hold the lock in one epoch")
		}
		if err := a.Confirm(context.Background()); !errors.Is(err, mail.ErrInUse) {
			t.Errorf("Confirm of the session that was paused = %v, want in use", err)
		}
		if !isLost(a) {
			t.Error("the session that was paused has not heard of its loss")
		}
		if !b.holds() || b.Confirm(context.Background()) != nil {
			t.Error("the session that runs lost its lock")
		}
		closeLock(t, a)
		closeLock(t, b)
	})
}

// The manager cannot be reached: the session hears of its loss when its lease ends, before the
// manager would give the lock away.
func TestLeaseEnds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.acquire(t, 1)
		began := time.Now()
		w.SetFaults(3, clustertest.Faults{Hung: true})
		if err := a.Confirm(context.Background()); err != nil {
			t.Errorf("Confirm within the lease = %v", err) // needs no question
		}
		<-a.Lost()
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("the session heard of its loss after %v, when the lease of 30s was over", took)
		}
		w.SetFaults(3, clustertest.Faults{})
		if err := a.Confirm(context.Background()); !errors.Is(err, mail.ErrInUse) {
			t.Errorf("Confirm of a lost lock = %v", err)
		}
		closeLock(t, a)
		time.Sleep(30 * time.Second)
		closeLock(t, w.acquire(t, 2))
	})
}

// The network is parted and each side gives the lock; when the sides meet one session keeps it.
func TestPartitionHeals(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.acquire(t, 1)
		w.SetMembers(2, 3) // the side that has the bucket
		b := w.acquire(t, 2)
		w.SetMembers(1, 2, 3)
		time.Sleep(5 * time.Second)
		if !isLost(a) || isLost(b) {
			t.Errorf("lost: %v and %v, want true and false", isLost(a), isLost(b))
		}
		closeLock(t, a)
		closeLock(t, b)
	})
}

func TestAcquireFails(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.SetFaults(3, clustertest.Faults{Hung: true})
		if _, err := w.locks[0].Acquire(context.Background(), user); !cluster.IsKind(err, cluster.KindUnavailable) || errors.Is(err, mail.ErrInUse) {
			t.Errorf("Acquire without a manager = %v", err)
		}
		w.SetFaults(3, clustertest.Faults{})
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := w.locks[0].Acquire(ctx, user); err == nil {
			t.Error("Acquire with a context that has ended succeeded")
		}
		closeLock(t, w.acquire(t, 1)) // nothing was left behind
	})
	node := clustertest.New(1, nil).Node(1)
	if _, err := New(node, Config{}); err == nil {
		t.Error("New without a cluster id succeeded")
	}
}

// Questions from other nodes are refused whole if they are malformed.
func FuzzServe(f *testing.F) {
	f.Add([]byte{})
	f.Add(append([]byte{doAcquire}, "0123456789abcdefu@x.test"...))
	f.Add(append([]byte{doRelease}, "0123456789abcdefu@x.test"...))
	f.Add(append([]byte{99}, "0123456789abcdefu@x.test"...))
	c := clustertest.New(1, nil)
	l, err := New(c.Node(1), Config{ClusterID: clustertest.ID, LocksMax: 10})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		answer, err := l.serve(context.Background(), 1, b)
		if (err == nil) != (len(answer) > 0) {
			t.Fatalf("serve(%q) = %q, %v", b, answer, err)
		}
		if given, _ := l.Held(); given > 10 {
			t.Fatalf("%d locks are given", given)
		}
	})
}
