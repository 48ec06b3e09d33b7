package node

import (
	"fmt"
	"io"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/transport"
)

// sequential is a Body over a stream that is read once, in order: the contents of an update that
// came over the network, on their way into the store. Its size is what the transport says, which
// it keeps to; that it is the size of the object, the store checks, and the sum too.
type sequential struct {
	r    io.Reader
	size int64
	at   int64
}

// asBody gives the contents of an incoming request as a Body, nil if there are none.
func asBody(r *transport.Incoming) cluster.Body {
	if r.Body == nil {
		return nil // not a nil *sequential
	}
	return &sequential{r: r.Body, size: r.BodySize}
}

func (s *sequential) Size() int64 { return s.size }

// ReadAt works only where the last read ended, which is how the store reads.
func (s *sequential) ReadAt(p []byte, off int64) (int, error) {
	if off != s.at {
		return 0, fmt.Errorf("read at %d of a stream that is at %d", off, s.at)
	}
	want := min(int64(len(p)), s.size-s.at)
	k, err := io.ReadFull(s.r, p[:want])
	s.at += int64(k)
	if err == nil && want < int64(len(p)) {
		err = io.EOF
	}
	return k, err
}
