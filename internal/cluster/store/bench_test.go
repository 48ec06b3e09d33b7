package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// BenchmarkDeliver stores 5,000-byte messages of 1,000 owners, each durable before the next of
// its writer, on a real disk:
//
//	go test -run xxx -bench Deliver -benchtime 20000x ./internal/cluster/store
//
// On 2 cores (virtual machine, ext4, one fsync about 0.12 ms; client and hashing included):
//
//	writers   msgs/s   CPU a message   log fsyncs a message   bytes written / contents
//	      1    6,042           91 µs                  1.000                        1.7
//	     32   19,856           44 µs                  0.068                        1.7
//	    128   25,512           37 µs                  0.017                        1.7
//	     32   15,571           56 µs                  0.116                        1.2  (delivered, then deleted)
//
// At 100,000 messages (-benchtime 100000x) the last column is 2.5 for mail that stays: the log,
// one table, and about half of it compacted once. While other work keeps both cores and the
// disk busy (an fsync takes 1 to 2 ms then), 32 writers get 6,800 to 10,000 messages a second.
func BenchmarkDeliver(b *testing.B) {
	for _, writers := range []int{1, 32, 128} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) { deliver(b, writers, 0) })
	}
}

// BenchmarkDeliverAndDelete deletes each message as soon as 100 newer ones have arrived from
// the same writer, as a POP user does: most messages and their deletions never leave the memtable.
func BenchmarkDeliverAndDelete(b *testing.B) { deliver(b, 32, 100) }

// BenchmarkDerive stores the same messages, 32 writers, with something derived from them and without: all
// bytes are read, and 400 are kept. On 2 cores that had other work too: 13,900 messages a second without,
// 12,300 with (0.88); 63 and 75 µs of CPU a message.
func BenchmarkDerive(b *testing.B) {
	b.Run("without", func(b *testing.B) { deliver(b, 32, 0) })
	b.Run("with", func(b *testing.B) {
		deliverDeriving(b, 32, 0, func(contents io.ReaderAt, size int64) ([]byte, error) {
			all := make([]byte, size)
			if _, err := contents.ReadAt(all, 0); err != nil {
				return nil, err
			}
			data := make([]byte, 400)
			binary.BigEndian.PutUint64(data, uint64(bytes.Count(all, []byte{10})))
			return data, nil
		})
	})
}

func deliver(b *testing.B, writers, keep int) { deliverDeriving(b, writers, keep, nil) }

func deliverDeriving(b *testing.B, writers, keep int, derive func(io.ReaderAt, int64) ([]byte, error)) {
	cfg := testConfig(vfs.Default)
	if cfg.Types[0].Derive = derive; derive == nil {
		cfg.Types[0].DeriveVersion = 0
	}
	cfg.Dir, cfg.MemTableSize, cfg.MinFree = b.TempDir(), MemTableSizeDefault, 1<<20
	if dir := os.Getenv("STORE_BENCH_DIR"); dir != "" {
		d, err := os.MkdirTemp(dir, "store") //nolint:usetesting // on the disk that is to be measured
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = os.RemoveAll(d) })
		cfg.Dir = d
	}
	s := mustOpen(b, cfg)
	contents := noise(seeded(1), 5000)
	for i := 0; i < len(contents); i += 2 {
		contents[i] = 'a' // half as dense, like mail
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	start := cpuTime()
	b.ReportAllocs()
	b.ResetTimer()
	for w := range writers {
		wg.Go(func() {
			for n := 0; next.Add(1) <= int64(b.N); n++ {
				u, body := put("message", userName((w*7919+n)%1000), fmt.Sprintf("%d-%d", w, n), int64(n+1), contents, self)
				if _, err := s.Apply(context.Background(), u, body); err != nil {
					b.Error(err)
					return
				}
				if old := n - keep; keep > 0 && old >= 0 {
					d := remove("message", userName((w*7919+old)%1000), fmt.Sprintf("%d-%d", w, old), int64(n+2))
					if _, err := s.Apply(context.Background(), d, nil); err != nil {
						b.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	m := s.Metrics()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
	b.ReportMetric(float64((cpuTime()-start).Microseconds())/float64(b.N), "cpu-µs/msg")
	b.ReportMetric(float64(m.LogSyncs)/float64(b.N), "logsyncs/msg")
	b.ReportMetric(float64(m.Updates)/float64(m.Commits), "updates/commit")
	b.ReportMetric(float64(m.LogWritten+m.Flushed+m.Compacted)/float64(m.Bytes), "write-amp")
	b.ReportMetric(float64(m.CommitTime.Microseconds())/float64(m.Commits), "µs/commit")
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	runtime.GC()
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
