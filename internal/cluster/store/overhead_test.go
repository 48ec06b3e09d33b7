package store

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// BenchmarkSpaceOverhead stores 20,000 messages of 4.7 KB on two nodes, as one of them sees it, from
// 32 writers, whose updates are retired 1,024 at a time:
//
//	go test -run xxx -bench SpaceOverhead -benchtime 1x ./internal/cluster/store
//
// It counts the bytes, keys and values, of replica sets (in object records and headers) and of the
// update records that are alive at once, for each message stored: 19 at rest, about 24 under
// load; one record alive is 84. The paper has 14 to 40 (thesis; 4.7 KB messages, 2 GB).
func BenchmarkSpaceOverhead(b *testing.B) {
	const messages, size, batch = 20_000, 4700, 1024
	for range b.N {
		cfg := testConfig(vfs.NewMem())
		cfg.MemTableSize = MemTableSizeDefault
		s := mustOpen(b, cfg)
		contents := noise(seeded(1), size)
		acked := make(chan cluster.Retirement, messages)
		var next, most atomic.Int64
		var wg, retirer sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				for n := next.Add(1); n <= messages; n = next.Add(1) {
					u, body := put("message", userName(int(n%1000)), fmt.Sprintf("%016x", n), n, contents, self, other)
					u.Object.Copies = 2
					r, err := s.Apply(context.Background(), u, body)
					if err != nil {
						b.Error(err)
						return
					}
					acked <- cluster.Retirement{ID: r.Record.ID, Timestamp: r.Record.Timestamp, Targets: r.Record.Targets}
				}
			})
		}
		retirer.Go(func() {
			items := make([]cluster.Retirement, 0, batch)
			retire := func() {
				most.Store(max(most.Load(), s.Metrics().Records))
				if err := s.Retire(context.Background(), items); err != nil {
					b.Error(err)
				}
				items = items[:0]
			}
			for item := range acked {
				if items = append(items, item); len(items) == batch {
					retire()
				}
			}
			retire()
		})
		wg.Wait()
		record := recordSize(b, s)
		close(acked)
		retirer.Wait()
		sets := replicaSetBytes(b, s)
		if n := len(recordsOf(b, s)); n != 0 {
			b.Errorf("%d records are left", n)
		}
		b.ReportMetric(float64(sets)/messages, "at-rest-B/msg")
		b.ReportMetric((float64(sets)+float64(most.Load())*record)/messages, "under-load-B/msg")
		b.ReportMetric(record, "B/record")
		b.ReportMetric(float64(most.Load()), "records-alive")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// recordSize gives the mean size of the update records alive, keys and values.
func recordSize(b *testing.B, s *Store) float64 {
	lower, upper := layout.Bounds(layout.PrefixUpdate)
	count, bytes := 0, 0
	if err := s.each(s.db, lower, upper, func(key, value []byte) error {
		count++
		bytes += len(key) + len(value)
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	return float64(bytes) / max(1, float64(count))
}

// replicaSetBytes gives what replica sets and copies take in records and headers.
func replicaSetBytes(b *testing.B, s *Store) (bytes int) {
	for _, p := range []layout.Prefix{layout.PrefixObject, layout.PrefixHeader} {
		lower, upper := layout.Bounds(p)
		if err := s.each(s.db, lower, upper, func(key, value []byte) error {
			if p == layout.PrefixObject {
				r, _, err := layout.ParseRecord(key, value)
				bytes += 1 + 8*len(r.Object.Replicas) + 1
				return err
			}
			h, err := layout.ParseHeader(key, value)
			for _, f := range h.Fragments {
				bytes += 1 + 8*len(f.Replicas)
			}
			return err
		}); err != nil {
			b.Fatal(err)
		}
	}
	return bytes
}
