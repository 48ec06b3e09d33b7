package transport

import (
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/wire"
	"porcupine/internal/cluster/wire/field"
)

// The protocol's versions: what this program speaks, and the oldest it understands. Two nodes can
// speak if each understands the other's; the newer one then leaves out what the older cannot know.
const (
	Version       = 1
	VersionOldest = 1
)

// frame is one message of the transport: a request, an answer, or a part of a body. Its bytes are
// the message Frame of wire/wirepb/cluster.proto.
type frame struct {
	version, oldest uint64
	stamp           cluster.Stamp
	hasStamp        bool
	method          string
	payload         []byte
	bodySize        int64 // noBody: none
	body            []byte
	failure         *RemoteError  // its Stamp is not set
	timeout         time.Duration // of a request on a track: the time that is left to its caller; 0: not told
	buf             mem.Buffer    // what payload and body are part of; nil: nothing to free
}

const noBody = -1

// Numbers of Frame's fields.
const (
	fieldVersion  = 1
	fieldStamp    = 2
	fieldMethod   = 3
	fieldPayload  = 4
	fieldBodySize = 5
	fieldFailure  = 6
	fieldOldest   = 7
	fieldTimeout  = 8
	fieldBody     = 15
)

// headSizeMax bounds what a frame has beside method, payload, body and error text.
const headSizeMax = 256

// messageSizeMax is the largest message that is taken.
const messageSizeMax = headSizeMax + MethodLengthMax + PayloadMax + InlineBodyMax + ErrorTextMax

// free gives the buffer back. Nothing of the frame may be used afterwards.
func (f *frame) free() {
	if f.buf != nil {
		f.buf.Free()
		f.buf = nil
	}
}

// encoded is a frame that is bytes already: what the codec sends as it is, once. One that is never
// sent is left to the garbage collector.
type encoded struct{ buf mem.Buffer }

// encode writes a frame into a pooled buffer. If body is not nil, bodyLen bytes of it are read into
// their place, from offset on; a body that is shorter is an error.
func (f *frame) encode(pool mem.BufferPool, body io.ReaderAt, offset int64, bodyLen int) (encoded, error) {
	text := 0
	if f.failure != nil {
		text = len(f.failure.Text)
	}
	size := headSizeMax + len(f.method) + len(f.payload) + text + bodyLen
	buf := pool.Get(size)
	b := f.appendHead((*buf)[:0])
	if bodyLen > 0 {
		b = protowire.AppendTag(b, fieldBody, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(bodyLen))
		b = slices.Grow(b, bodyLen) // there is room already, by size
		part := b[len(b) : len(b)+bodyLen]
		// io.ReaderAt gives an error with every short read, and may give io.EOF with a full one.
		if n, err := body.ReadAt(part, offset); n < bodyLen {
			pool.Put(buf)
			return encoded{}, fmt.Errorf("read body at %d of %d: %w", offset+int64(n), f.bodySize, noEOF(err))
		}
		b = b[:len(b)+bodyLen]
	}
	*buf = b
	return encoded{mem.NewBuffer(buf, pool)}, nil
}

func (f *frame) appendHead(b []byte) []byte {
	b = field.Uint(b, fieldVersion, f.version)
	if f.hasStamp {
		b = field.Element(b, fieldStamp, func(b []byte) []byte { return wire.AppendStamp(b, &f.stamp) })
	}
	b = field.String(b, fieldMethod, f.method)
	b = field.Bytes(b, fieldPayload, f.payload)
	b = field.Uint(b, fieldBodySize, uint64(f.bodySize-noBody))
	if f.failure != nil {
		b = field.Element(b, fieldFailure, func(b []byte) []byte {
			b = field.Uint(b, 1, uint64(f.failure.Kind))
			return field.String(b, 2, f.failure.Text)
		})
	}
	b = field.Uint(b, fieldOldest, f.oldest)
	return field.Uint(b, fieldTimeout, uint64(f.timeout))
}

// decode reads a frame. Payload and body are part of b.
func (f *frame) decode(b []byte) error {
	*f = frame{bodySize: noBody}
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case fieldVersion:
			f.version = r.UintMax(math.MaxUint32)
		case fieldStamp:
			f.hasStamp = true
			r.Message(func(b []byte) (err error) {
				f.stamp, err = wire.UnmarshalStamp(b)
				return err
			})
		case fieldMethod:
			f.method = r.String(MethodLengthMax)
		case fieldPayload:
			f.payload = r.View(PayloadMax)
		case fieldBodySize:
			f.bodySize = int64(r.UintMax(uint64(BodyMax)+1)) + noBody
		case fieldFailure:
			r.Message(func(b []byte) (err error) {
				f.failure, err = decodeFailure(b)
				return err
			})
		case fieldOldest:
			f.oldest = r.UintMax(math.MaxUint32)
		case fieldTimeout:
			f.timeout = time.Duration(r.UintMax(math.MaxInt64))
		case fieldBody:
			f.body = r.View(InlineBodyMax)
		}
	}
	return r.Err()
}

func decodeFailure(b []byte) (*RemoteError, error) {
	var e RemoteError
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			e.Kind = cluster.Kind(r.UintMax(math.MaxUint8))
			if e.Kind > cluster.KindLimit {
				e.Kind = cluster.KindInternal // one that this version does not know; temporary for the client
			}
		case 2:
			e.Text = string(r.View(ErrorTextMax))
		}
	}
	return &e, r.Err()
}

// noEOF makes the end of a body that should have gone on the error that it is.
func noEOF(err error) error {
	if err == nil || err == io.EOF { //nolint:errorlint // io.EOF is never wrapped by a reader
		return io.ErrUnexpectedEOF
	}
	return err
}

// codec is how gRPC turns frames into bytes: encoded ones on their way out, *frame on their way in.
type codec struct{ pool mem.BufferPool }

var _ encoding.CodecV2 = codec{}

// Name appears in the content type of every call.
func (codec) Name() string { return "porcupine" }

// Marshal passes on an encoded frame, which gRPC frees when it is sent.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	e, ok := v.(encoded)
	if !ok {
		return nil, fmt.Errorf("transport codec: cannot send a %T", v)
	}
	return mem.BufferSlice{e.buf}, nil
}

// Unmarshal reads a frame, which keeps a reference to the bytes until it is freed.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return fmt.Errorf("transport codec: cannot receive a %T", v)
	}
	buf := data.MaterializeToBuffer(c.pool)
	if err := f.decode(buf.ReadOnlyData()); err != nil {
		buf.Free()
		return err
	}
	f.buf = buf
	return nil
}
