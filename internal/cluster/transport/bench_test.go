package transport

import (
	"bytes"
	"io"
	"testing"

	"porcupine/internal/cluster"
)

// BenchmarkCall measures one exchange over the loopback, both sides in this process.
func BenchmarkCall(b *testing.B) {
	for _, bench := range []struct {
		name    string
		payload int
		body    int
	}{{"control200B", 200, -1}, {"body5KB", 200, 5 << 10}, {"body1MB", 200, 1 << 20}} {
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
			b.SetParallelism(16)
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
		})
	}
}
