package delivery

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
)

// laggard is a node that takes its time for each removal.
type laggard struct {
	*clustertest.Node
	each  time.Duration
	calls int
}

func (n *laggard) UpdateAll(ctx context.Context, us []cluster.Update) []error {
	n.calls++
	errs := make([]error, len(us))
	for i := range us {
		select {
		case <-time.After(n.each):
			errs[i] = n.Update(ctx, us[i], nil)
		case <-ctx.Done():
			errs[i] = cluster.Errorf(cluster.KindUnavailable, "update", "%w", ctx.Err())
		}
	}
	return errs
}

// RFC 9051 §6.4.7: what was stored for a COPY that fails is removed whole, though many removals take longer than undoTimeout; where
// none is possible, it is soon told how many are left.
func TestWithdrawOfMany(t *testing.T) {
	const count, owner = 300, "a@x.test"
	tests := []struct {
		name  string
		each  time.Duration
		left  int
		calls int
	}{
		{"slow disks", 150 * time.Millisecond, 0, 0},
		{"slower than a whole batch of one", undoTimeout + 1, count, withdrawTries},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Config{})
				node := &laggard{Node: w.Node(1), each: tt.each}
				d, err := New(node, w.people, Config{})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				var stored []cluster.Object
				for range count {
					o, err := d.Put(ctx, owner, mail.NewMessageID(), mail.MessageAttr{}, body)
					if err != nil {
						t.Fatal(err)
					}
					stored = append(stored, o)
				}
				cancel() // the caller has gone
				if left := d.Withdraw(ctx, stored); left != tt.left {
					t.Errorf("%d messages are left, want %d", left, tt.left)
				}
				if there := len(w.messages(owner)) > 0; there != (tt.left > 0) {
					t.Errorf("%d copies lie on disks", len(w.messages(owner)))
				}
				if tt.calls > 0 && node.calls != tt.calls {
					t.Errorf("gave up after %d calls, want %d", node.calls, tt.calls)
				}
			})
		})
	}
}
