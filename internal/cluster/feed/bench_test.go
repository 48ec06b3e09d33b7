package feed

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"porcupine/internal/cluster"
)

// BenchmarkCommit is what a commit pays: when nobody subscribed at all, when others did, and when somebody
// subscribed to this owner.
func BenchmarkCommit(b *testing.B) {
	for _, c := range []struct {
		name   string
		others int
		mine   bool
	}{{"nobody", 0, false}, {"others", 50_000, false}, {"subscribed", 50_000, true}} {
		b.Run(c.name, func(b *testing.B) {
			n := &fake{w: &world{nodes: map[cluster.NodeID]*fake{}}, id: 1, changed: make(chan struct{})}
			f := &Feed{node: n, log: slog.New(slog.DiscardHandler), ended: true} // nothing is sent: what waits is lost from time to time
			f.holder.init()
			for i := range c.others {
				subscribeTo(b, f, uint64(i+1), fmt.Sprint("other ", i))
			}
			if c.mine {
				subscribeTo(b, f, 1<<40, owner)
			}
			change := cluster.Change{State: cluster.ChangeStored, Object: cluster.Object{ID: cluster.ObjectID{Type: typeNote, Owner: owner}, Attr: make([]byte, 100)}}
			var time atomic.Int64
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if f.Wants(owner, typeNote) {
						c := change
						c.Object.ID.ID = "0123456789abcdef0123456789abcdef"
						c.Object.Timestamp.Time = time.Add(1)
						f.Changed(c)
					}
				}
			})
		})
	}
}

func subscribeTo(b *testing.B, f *Feed, number uint64, owner string) {
	q := subscribeRequest{number: number, owner: owner, types: []cluster.ObjectType{typeNote}}
	if _, err := f.handleSubscribe(b.Context(), 2, q.marshal()); err != nil {
		b.Fatal(err)
	}
}
