package transport

import (
	"bytes"
	"io"
	"syscall"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

// BenchmarkCall measures one exchange over the loopback, both sides in this process. What counts is
// the processor time: on a machine that does other things too, the rest is noise.
func BenchmarkCall(b *testing.B) {
	for _, bench := range []struct {
		name    string
		payload int
		body    int
		callers int // for each processor
	}{{"control200B", 200, -1, 16}, {"alone200B", 200, -1, 1}, {"body5KB", 200, 5 << 10, 16}, {"alone5KB", 200, 5 << 10, 1}, {"body1MB", 200, 1 << 20, 4}} {
		b.Run(bench.name, func(b *testing.B) {
			h := &quietHost{handle: func(r *Incoming) (*Response, error) {
				if r.Body != nil {
					if _, err := io.Copy(io.Discard, r.Body); err != nil {
						return nil, err
					}
				}
				return &Response{Payload: []byte("done")}, nil
			}}
			p := serve(b, newIdentity(b, 1), h)
			to := cluster.Endpoint{ID: 1, Addr: p.Addr()}
			payload, body := make([]byte, bench.payload), make([]byte, max(bench.body, 0))
			b.ReportAllocs()
			b.SetBytes(int64(bench.payload + len(body)))
			b.SetParallelism(bench.callers)
			before := processorTime(b)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r := &Request{Method: "bench", Payload: payload}
					if bench.body >= 0 {
						r.Body = bytes.NewReader(body)
					}
					if _, err := p.Call(b.Context(), to, r); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N)/1e3, "cpu-µs/op")
		})
	}
}

// processorTime is what this process has used so far.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
