package transport

import (
	"fmt"
	"io"
	"time"

	"porcupine/internal/cluster"
)

// chunkSize is the part of a large body that travels in one message.
const chunkSize = 128 << 10

// checkRequest refuses what exceeds the limits of a request.
func checkRequest(to cluster.Endpoint, r *Request) error {
	switch {
	case r.Method == "" || len(r.Method) > MethodLengthMax:
		return cluster.Errorf(cluster.KindLimit, opName(to, r.Method), "method name of %d bytes, want 1 to %d", len(r.Method), MethodLengthMax)
	case len(r.Payload) > PayloadMax:
		return cluster.Errorf(cluster.KindLimit, opName(to, r.Method), "payload of %d bytes, at most %d allowed", len(r.Payload), PayloadMax)
	case r.Body != nil && (r.Body.Size() < 0 || r.Body.Size() > BodyMax):
		return cluster.Errorf(cluster.KindLimit, opName(to, r.Method), "body of %d bytes, at most %d allowed", r.Body.Size(), BodyMax)
	}
	return nil
}

// checkResponse refuses what exceeds the limits of an answer.
func checkResponse(method string, r *Response, large bool) error {
	switch {
	case len(r.Payload) > PayloadMax:
		return cluster.Errorf(cluster.KindLimit, "answer "+method, "payload of %d bytes, at most %d allowed", len(r.Payload), PayloadMax)
	case r.Body == nil:
		return nil
	case r.BodySize < 0 || r.BodySize > BodyMax:
		return cluster.Errorf(cluster.KindLimit, "answer "+method, "body of %d bytes, at most %d allowed", r.BodySize, BodyMax)
	case !large && r.BodySize > InlineBodyMax:
		return errNotLarge("answer "+method, r.BodySize)
	}
	return nil
}

func errNotLarge(op string, size int64) error {
	return cluster.Errorf(cluster.KindInvalid, op, "body of %d bytes to a request that is not Large, at most %d allowed", size, InlineBodyMax)
}

// uploadTimeout is how long a request with a large body may take when its caller set no deadline.
func uploadTimeout(size int64) time.Duration {
	return CallTimeoutDefault + time.Duration(size/UploadRateMin)*time.Second
}

// closeBody closes the body of an answer that goes nowhere; there is nobody to tell of its failure.
func closeBody(r *Response) {
	if r != nil && r.Body != nil {
		_ = r.Body.Close()
	}
}

// bodyErr is the error of a body that ended too soon.
func bodyErr(got, size int64, err error) error {
	return fmt.Errorf("body ends after %d of %d bytes: %w", got, size, noEOF(err))
}

// sequential makes a reader that is read from its start to its end an io.ReaderAt.
type sequential struct{ r io.Reader }

func (s sequential) ReadAt(p []byte, _ int64) (int, error) { return io.ReadFull(s.r, p) }
