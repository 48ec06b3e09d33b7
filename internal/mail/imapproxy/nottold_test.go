package imapproxy

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/index/talk"
)

// U5: a node hangs for longer than a notice is tried, and stays a member. Its sessions are told of what was missed all the same, soon after it is well,
// though nothing changes then; and once.
func TestU5_NoticeThatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.deliver(t, 1)
		w.MoveBucket(string(user), 1)
		var hangs atomic.Bool
		var notices atomic.Int64
		w.Node(3).Serve(talk.MethodChanged, func(ctx context.Context, from cluster.NodeID, payload []byte) ([]byte, error) {
			if hangs.Load() {
				<-ctx.Done()
				return nil, cluster.Errorf(cluster.KindUnavailable, "tell", "%w", ctx.Err())
			}
			notices.Add(1)
			return w.nodes[2].proxy.watches.serve(ctx, from, payload)
		})
		w.run(t)
		_, s := w.pick(t, 3, "INBOX")
		var told atomic.Int64
		s.Watch(func() { told.Add(1) })
		time.Sleep(time.Second)
		synced(t, s)
		told.Store(0)
		hangs.Store(true)
		_, other := w.pick(t, 2, "INBOX")
		if _, _, err := other.Store(t.Context(), mail.NewUIDSet(1), backend.FlagChange{Flags: []mail.Flag{mail.FlagSeen}}, 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		if told.Load() > 0 || w.nodes[0].indexes.Figures().NoticesLost != 1 {
			t.Fatalf("told %d times, %+v", told.Load(), w.nodes[0].indexes.Figures())
		}
		hangs.Store(false)
		time.Sleep(2 * renewEvery)
		if told.Load() != 1 || notices.Load() != 0 {
			t.Errorf("the session was told %d times, by %d notices", told.Load(), notices.Load())
		}
		if c := synced(t, s); len(c.Changed) != 1 {
			t.Errorf("Sync = %+v", c)
		}
		time.Sleep(2 * renewEvery)
		if told.Load() != 1 {
			t.Errorf("the session was told %d times", told.Load())
		}
	})
}
