package transport

import (
	"math/bits"
	"sync"

	"google.golang.org/grpc/mem"
)

// Sizes of pooled buffers are the powers of two between these. Smaller ones are not worth pooling,
// larger ones too rare.
const (
	poolBitsMin = 11
	poolBitsMax = 19
)

// pool keeps the buffers of one port for reuse. It gives them back as they were: unlike gRPC's own
// it does not clear them, which for a small message in a large buffer costs more than the message.
type pool struct {
	sizes [poolBitsMax - poolBitsMin + 1]sync.Pool // of *[]byte
}

var _ mem.BufferPool = (*pool)(nil)

// Get gives a buffer of that length whose contents are of any kind.
func (p *pool) Get(length int) *[]byte {
	n := max(bits.Len(uint(max(length, 1)-1)), poolBitsMin) // the least with length <= 1<<n
	if length < 1<<(poolBitsMin-1) || n > poolBitsMax {
		b := make([]byte, length)
		return &b
	}
	if b, ok := p.sizes[n-poolBitsMin].Get().(*[]byte); ok {
		*b = (*b)[:length]
		return b
	}
	b := make([]byte, length, 1<<n)
	return &b
}

// Put takes a buffer back, if it is one of Get's.
func (p *pool) Put(b *[]byte) {
	n := bits.Len(uint(cap(*b))) - 1
	if n >= poolBitsMin && n <= poolBitsMax && cap(*b) == 1<<n {
		p.sizes[n-poolBitsMin].Put(b)
	}
}
