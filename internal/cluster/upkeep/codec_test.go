package upkeep

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"porcupine/internal/cluster"
)

func sampleStates() []state {
	return []state{
		{ID: cluster.ObjectID{Type: "note", Owner: "o", ID: "\x00\xff"}},
		{
			ID: cluster.ObjectID{Type: "card", Owner: "u@x.test", ID: ""}, Held: true, Deleted: true, Propagating: true,
			Timestamp: cluster.Timestamp{Time: 1 << 60, Node: 1<<64 - 1}, Replicas: cluster.ReplicaSet{1, 2, 1 << 63}, Sum: [32]byte{1, 31: 2},
		},
	}
}

// What one node writes another reads.
func TestMessagesReadAsTheyWereWritten(t *testing.T) {
	s := span{4090, 6}
	gotSpan, err := readSpan(s.marshal())
	if err != nil || gotSpan != s {
		t.Errorf("span %v = %v, %v", s, gotSpan, err)
	}
	d := []digest{{Bucket: 4095, Set: cluster.ReplicaSet{1, 2}, Count: 3, Hash: [2]uint64{1<<64 - 1, 7}}, {}}
	gotDigests, err := readDigests(marshalDigests(d))
	if diff := cmp.Diff(d, gotDigests); err != nil || diff != "" {
		t.Errorf("digests: %v\n%s", err, diff)
	}
	q := listRequest{Bucket: 1, From: cluster.ObjectID{Type: "note", Owner: "o", ID: "i"}}
	gotQuery, err := readListRequest(q.marshal())
	if err != nil || gotQuery != q {
		t.Errorf("list request %v = %v, %v", q, gotQuery, err)
	}
	l := idList{Bucket: 2, IDs: []cluster.ObjectID{q.From, {}}}
	gotIDs, err := readIDList(l.marshal())
	if diff := cmp.Diff(l, gotIDs); err != nil || diff != "" {
		t.Errorf("ids: %v\n%s", err, diff)
	}
	a := listAnswer{States: sampleStates(), More: true}
	gotAnswer, err := readListAnswer(a.marshal())
	if diff := cmp.Diff(a, gotAnswer); err != nil || diff != "" {
		t.Errorf("list answer: %v\n%s", err, diff)
	}
}

func TestMalformedMessagesAreRefused(t *testing.T) {
	whole := (&listAnswer{States: sampleStates()}).marshal()
	for i := range whole {
		if _, err := readListAnswer(whole[:i]); !cluster.IsKind(err, cluster.KindInvalid) {
			t.Fatalf("cut after %d bytes: %v", i, err)
		}
	}
	for name, b := range map[string][]byte{
		"more": append(whole, 0), "long number": {0x80, 0}, "too many": {0, 0xff, 0xff, 0x7f}, "sets out of order": {0, 1, 0, 0, 0, 1, 0, 0, 1, 1, 2, 2, 1},
	} {
		if _, err := readListAnswer(b); !cluster.IsKind(err, cluster.KindInvalid) {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	if _, err := readSpan(span{4095, 2}.marshal()); err == nil {
		t.Error("a span beyond the last bucket was read")
	}
	if _, _, err := cutFlag([]byte{2}); err == nil {
		t.Error("a flag of 2 was read")
	}
}

func FuzzListAnswer(f *testing.F) {
	f.Add((&listAnswer{States: sampleStates(), More: true}).marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := readListAnswer(b); err == nil && !bytes.Equal(a.marshal(), b) {
			t.Errorf("%x is written as %x", b, a.marshal())
		}
	})
}

func FuzzDigests(f *testing.F) {
	f.Add(marshalDigests([]digest{{Bucket: 4095, Set: cluster.ReplicaSet{1, 2}, Count: 3, Hash: [2]uint64{1<<64 - 1, 7}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := readDigests(b); err == nil && !bytes.Equal(marshalDigests(d), b) {
			t.Errorf("%x is written as %x", b, marshalDigests(d))
		}
	})
}

func FuzzRequests(f *testing.F) {
	f.Add(span{1, 2}.marshal())
	f.Add((&listRequest{Bucket: 1, From: cluster.ObjectID{Type: "note", Owner: "o", ID: "i"}}).marshal())
	f.Add((&idList{Bucket: 2, IDs: make([]cluster.ObjectID, 2)}).marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := readSpan(b); err == nil && !bytes.Equal(s.marshal(), b) {
			t.Errorf("span %x is written as %x", b, s.marshal())
		}
		if q, err := readListRequest(b); err == nil && !bytes.Equal(q.marshal(), b) {
			t.Errorf("list request %x is written as %x", b, q.marshal())
		}
		if l, err := readIDList(b); err == nil && !bytes.Equal(l.marshal(), b) {
			t.Errorf("ids %x are written as %x", b, l.marshal())
		}
	})
}

// The rate holds over time, and a large object is paid for by those that follow it.
func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newThrottle(100, 1<<20)
		began := time.Now()
		for range 500 {
			r.wait(context.Background(), 10)
		}
		if took := time.Since(began); took < 4900*time.Millisecond || took > 5100*time.Millisecond {
			t.Errorf("500 objects at 100 a second took %v", took)
		}
		r.wait(context.Background(), 3<<20)
		began = time.Now()
		r.wait(context.Background(), 1)
		if took := time.Since(began); took < 2900*time.Millisecond || took > 3100*time.Millisecond {
			t.Errorf("after 3 MiB at 1 MiB a second the next object waited %v", took)
		}
		r.wait(context.Background(), 1<<30)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if r.wait(ctx, 1) {
			t.Error("wait succeeded after its context ended")
		}
	})
}

func TestWindowContains(t *testing.T) {
	at := func(h, m int) time.Time { return time.Date(2026, 1, 2, h, m, 0, 0, time.UTC) }
	night := Window{Start: 23 * time.Hour, Length: 3 * time.Hour}
	for _, c := range []struct {
		w    Window
		t    time.Time
		want bool
	}{
		{Window{}, at(0, 0), false}, {Window{Length: day}, at(12, 30), true},
		{night, at(22, 59), false}, {night, at(23, 0), true}, {night, at(1, 59), true}, {night, at(2, 0), false},
	} {
		if got := c.w.Contains(c.t); got != c.want {
			t.Errorf("%v contains %v = %t", c.w, c.t, got)
		}
	}
}

// A body that is too large for memory is read forward by several readers at once, each at its own pace.
func TestLargeBody(t *testing.T) {
	contents := make([]byte, bodyInMemory+12345)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range contents {
		contents[i] = byte(rng.Uint32())
	}
	o := &cluster.Object{Size: int64(len(contents))}
	opened, open := 0, 0
	b, err := newBody(context.Background(), o, func(context.Context) (cluster.Object, io.ReadCloser, error) {
		opened++
		open++
		return *o, &counted{bytes.NewReader(contents), &open}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var readers [3]*io.SectionReader
	var got [3]bytes.Buffer
	for i := range readers {
		readers[i] = io.NewSectionReader(b, 0, b.Size())
	}
	for {
		more := false
		for i, r := range readers {
			n, err := io.CopyN(&got[i], r, int64(1000+rng.IntN(100_000)))
			if err != nil && err != io.EOF {
				t.Fatal(err)
			}
			more = more || n > 0
		}
		if !more {
			break
		}
	}
	for i := range got {
		if !bytes.Equal(got[i].Bytes(), contents) {
			t.Errorf("reader %d got other contents", i)
		}
	}
	if err := b.Close(); err != nil || open != 0 {
		t.Errorf("Close = %v, %d readers open", err, open)
	}
	if opened > 4 {
		t.Errorf("opened %d times for 3 readers", opened)
	}
	if _, err := newBody(context.Background(), o, func(context.Context) (cluster.Object, io.ReadCloser, error) {
		open++
		return cluster.Object{Size: 1}, &counted{bytes.NewReader(nil), &open}, nil
	}); err == nil || open != 0 {
		t.Errorf("another version was opened: %v", err)
	}
}

type counted struct {
	io.Reader
	open *int
}

func (c *counted) Close() error { *c.open--; return nil }
