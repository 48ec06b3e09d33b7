package transport

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/wire/wirepb"
)

// exampleFrames seed the fuzzer and are held against the schema.
func exampleFrames() []frame {
	stamp := cluster.Stamp{
		From: 1, Epoch: cluster.Epoch{Counter: 12, Coordinator: 3}, Clock: cluster.Timestamp{Time: 1e18, Node: 1},
		Load: cluster.Load{Pending: 4, Commit: time.Millisecond, DiskFull: true, DiskFree: 1 << 40, Objects: 9, Owners: 8, Draining: true, Sole: true, Machine: 1 << 63},
	}
	return []frame{
		{bodySize: noBody},
		{version: 1, oldest: 1, stamp: stamp, hasStamp: true, method: "apply", payload: []byte("payload"), bodySize: 4, body: []byte("body")},
		{version: 1, oldest: 1, stamp: stamp, hasStamp: true, method: "m", bodySize: 0},
		{version: 1, oldest: 1, stamp: stamp, hasStamp: true, method: "m", bodySize: noBody, timeout: 3 * time.Second},
		{version: 1, oldest: 1, hasStamp: true, bodySize: BodyMax},
		{version: 2, oldest: 1, stamp: stamp, hasStamp: true, bodySize: noBody, failure: &RemoteError{Kind: cluster.KindStale, Text: "epoch is over"}},
		{bodySize: noBody, failure: &RemoteError{}},
		{bodySize: noBody, body: bytes.Repeat([]byte("x"), chunkSize)},
	}
}

func encodeFrame(t testing.TB, f *frame) []byte {
	t.Helper()
	e, err := f.encode(new(pool), bytes.NewReader(f.body), 0, len(f.body))
	if err != nil {
		t.Fatal(err)
	}
	return e.buf.ReadOnlyData()
}

func TestFrameRoundTrip(t *testing.T) {
	for i, want := range exampleFrames() {
		var got frame
		if err := got.decode(encodeFrame(t, &want)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("frame %d: decode(encode) = %+v, %v; want %+v", i, got, err, want)
		}
	}
}

// TestFrameSchema: the generated code of wirepb reads what encode writes, and writes what decode
// reads.
func TestFrameSchema(t *testing.T) {
	for i, want := range exampleFrames() {
		var m wirepb.Frame
		if err := proto.Unmarshal(encodeFrame(t, &want), &m); err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		if m.GetMethod() != want.method || m.GetBodySize() != uint64(want.bodySize+1) || !bytes.Equal(m.GetBody(), want.body) ||
			m.GetStamp().GetLoad().GetPending() != uint64(want.stamp.Load.Pending) || m.GetTimeout() != uint64(want.timeout) || len(m.ProtoReflect().GetUnknown()) != 0 {
			t.Errorf("frame %d: the schema reads %v from %+v", i, &m, want)
		}
		b, err := proto.Marshal(&m)
		if err != nil {
			t.Fatal(err)
		}
		var got frame
		if err := got.decode(b); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("frame %d: decode of the schema's bytes = %+v, %v; want %+v", i, got, err, want)
		}
	}
}

func TestFrameLimits(t *testing.T) {
	for name, m := range map[string]*wirepb.Frame{
		"method":     {Method: strings.Repeat("m", MethodLengthMax+1)},
		"payload":    {Payload: make([]byte, PayloadMax+1)},
		"body":       {Body: make([]byte, InlineBodyMax+1)},
		"body size":  {BodySize: uint64(BodyMax) + 2},
		"error text": {Failure: &wirepb.Failure{Text: strings.Repeat("e", ErrorTextMax+1)}},
		"timeout":    {Timeout: 1 << 63},
		"load":       {Stamp: &wirepb.Stamp{Load: &wirepb.Load{DiskFree: 1 << 63}}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var f frame
		if err := f.decode(b); err == nil {
			t.Errorf("frame with too much %s was taken", name)
		}
	}
	var f frame
	b, err := proto.Marshal(&wirepb.Frame{Failure: &wirepb.Failure{Kind: 99}})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.decode(b); err != nil || f.failure.Kind != cluster.KindInternal {
		t.Errorf("failure of an unknown kind = %v, %v; want internal", f.failure, err)
	}
}

func FuzzFrame(f *testing.F) {
	for _, frame := range exampleFrames() {
		frame.body = frame.body[:min(len(frame.body), 16)] // large seeds make a slow fuzzer
		f.Add(encodeFrame(f, &frame))
	}
	f.Add([]byte{0x12, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		var first, second frame
		if first.decode(b) != nil {
			return
		}
		again := encodeFrame(t, &first)
		if err := second.decode(again); err != nil || !reflect.DeepEqual(first, second) {
			t.Errorf("decode(encode) = %+v, %v; want %+v", second, err, first)
		}
	})
}

func TestPool(t *testing.T) {
	p := new(pool)
	for _, n := range []int{0, 1, 1023, 1024, 2048, 2049, 5000, 1 << 19, 1<<19 + 1} {
		b := p.Get(n)
		if len(*b) != n {
			t.Errorf("Get(%d) has %d bytes", n, len(*b))
		}
		*b = (*b)[:n/2] // as a user may leave it
		p.Put(b)
		if again := p.Get(n); len(*again) != n {
			t.Errorf("Get(%d) after Put has %d bytes", n, len(*again))
		}
	}
	odd := make([]byte, 3000)
	p.Put(&odd) // not one of the pool's: must not come back
	if b := p.Get(4096); cap(*b) < 4096 {
		t.Errorf("Get(4096) has room for %d", cap(*b))
	}
}
