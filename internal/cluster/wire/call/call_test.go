package call_test

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/softstate"
	"porcupine/internal/cluster/wire"
	"porcupine/internal/cluster/wire/call"
	"porcupine/internal/cluster/wire/field"
	"porcupine/internal/cluster/wire/wirepb"
)

// payload is what all requests and answers are.
type payload interface {
	Marshal() []byte
	Unmarshal(b []byte) error
}

// query and page give the soft state's own structs the same methods.
type query struct{ softstate.ListQuery }

func (q *query) Marshal() []byte { return call.MarshalListQuery(q.ListQuery) }
func (q *query) Unmarshal(b []byte) (err error) {
	q.ListQuery, err = call.UnmarshalListQuery(b)
	return err
}

type page struct{ softstate.ListPage }

func (p *page) Marshal() []byte { return call.MarshalListPage(&p.ListPage) }
func (p *page) Unmarshal(b []byte) (err error) {
	p.ListPage, err = call.UnmarshalListPage(b)
	return err
}

func exampleObject(id string) cluster.Object {
	return cluster.Object{
		ID: cluster.ObjectID{Type: "message", Owner: "u0", ID: id}, Timestamp: cluster.Timestamp{Time: 5, Node: 6},
		Replicas: cluster.NewReplicaSet(1, 2), Copies: 2, Size: 3, Sum: [32]byte{1}, Attr: []byte("a"),
	}
}

// form is one kind of payload: examples, its message in the schema, and what must be refused.
type form struct {
	name    string
	fresh   func() payload
	message func() proto.Message
	values  []payload
	hostile [][]byte
}

func forms() []form {
	epoch := cluster.Epoch{Counter: 3, Coordinator: 4}
	other := exampleObject("z")
	other.ID.Owner = "u1"
	holding := cluster.Holding{Owner: "u0", Seq: 7, Fragments: []cluster.Fragment{{Type: "message", Count: 1}}}
	retirement := cluster.Retirement{ID: other.ID, Timestamp: other.Timestamp, Targets: cluster.NewReplicaSet(1, 2)}
	long := strings.Repeat("x", 1<<10)
	return []form{
		{
			"PushRequest", func() payload { return new(call.PushRequest) }, func() proto.Message { return new(wirepb.PushRequest) },
			[]payload{
				&call.PushRequest{Epoch: epoch},
				&call.PushRequest{Epoch: epoch, Holdings: []cluster.Holding{holding, {Owner: "gone"}}, Complete: []cluster.Bucket{0, 4095}},
			},
			[][]byte{
				nil,
				(&call.PushRequest{Epoch: epoch, Complete: []cluster.Bucket{cluster.BucketCount}}).Marshal(),
				(&call.PushRequest{Epoch: epoch, Complete: make([]cluster.Bucket, softstate.PushCompleteMax+1)}).Marshal(),
				(&call.PushRequest{Epoch: epoch, Holdings: slices.Repeat([]cluster.Holding{holding}, softstate.PushHoldingsMax+1)}).Marshal(),
			},
		},
		{
			"LookupRequest", func() payload { return new(call.LookupRequest) }, func() proto.Message { return new(wirepb.LookupRequest) },
			[]payload{&call.LookupRequest{Owner: "u0"}, &call.LookupRequest{Owner: "\xff"}},
			[][]byte{nil, (&call.LookupRequest{Owner: long}).Marshal()},
		},
		{
			"LookupAnswer", func() payload { return new(call.LookupAnswer) }, func() proto.Message { return new(wirepb.LookupAnswer) },
			[]payload{&call.LookupAnswer{Entry: cluster.Entry{Owner: "u0", Knowledge: cluster.Complete}}}, [][]byte{nil, {0x0a, 0}},
		},
		{
			"ApplyRequest", func() payload { return new(call.ApplyRequest) }, func() proto.Message { return new(wirepb.ApplyRequest) },
			[]payload{
				&call.ApplyRequest{},
				&call.ApplyRequest{Updates: []cluster.Update{{Object: exampleObject("a"), Previous: cluster.NewReplicaSet(9)}, {Object: other}}},
			},
			[][]byte{(&call.ApplyRequest{Updates: slices.Repeat([]cluster.Update{{Object: other}}, call.UpdatesMax+1)}).Marshal(), {0x0a, 0}},
		},
		{
			"ApplyAnswer", func() payload { return new(call.ApplyAnswer) }, func() proto.Message { return new(wirepb.ApplyAnswer) },
			[]payload{
				&call.ApplyAnswer{},
				&call.ApplyAnswer{Replies: []replication.Reply{
					{Verdict: replication.Newer, Have: other.Timestamp}, {Want: true}, {Verdict: replication.Older, Have: other.Timestamp},
					{Err: &cluster.Error{Kind: cluster.KindFull, Op: "apply at a target", Err: &wire.Refusal{Text: "full"}}},
				}},
			},
			[][]byte{(&call.ApplyAnswer{Replies: slices.Repeat([]replication.Reply{{Want: true}}, call.UpdatesMax+1)}).Marshal(), {0x0a, 0}},
		},
		{
			"RetireRequest", func() payload { return new(call.RetireRequest) }, func() proto.Message { return new(wirepb.RetireRequest) },
			[]payload{&call.RetireRequest{}, &call.RetireRequest{Retirements: []cluster.Retirement{retirement, retirement}}},
			[][]byte{(&call.RetireRequest{Retirements: slices.Repeat([]cluster.Retirement{retirement}, call.RetirementsMax+1)}).Marshal(), {0x0a, 0}},
		},
		{
			"ListRequest", func() payload { return new(call.ListRequest) }, func() proto.Message { return new(wirepb.ListRequest) },
			[]payload{&call.ListRequest{Owner: "u0", Type: "message", After: "\x00", Max: 1}, &call.ListRequest{Owner: "u0", Type: "t", Max: call.ListMax}},
			[][]byte{nil, (&call.ListRequest{Owner: "u0"}).Marshal(), (&call.ListRequest{Owner: "u0", Type: "t", After: long}).Marshal()},
		},
		{
			"ListAnswer", func() payload { return new(call.ListAnswer) }, func() proto.Message { return new(wirepb.ListAnswer) },
			[]payload{
				&call.ListAnswer{},
				&call.ListAnswer{Objects: []cluster.Object{exampleObject("a"), exampleObject("b"), other, exampleObject("c")}, More: true},
			},
			[][]byte{{0x0a, 0}, (&call.ListAnswer{Objects: slices.Repeat([]cluster.Object{other}, call.ListMax+1)}).Marshal()},
		},
		{
			"OpenRequest", func() payload { return new(call.OpenRequest) }, func() proto.Message { return new(wirepb.OpenRequest) },
			[]payload{&call.OpenRequest{ID: other.ID}}, [][]byte{nil, {0x0a, 3, 0x0a, 1, 'x'}},
		},
		{
			"OpenAnswer", func() payload { return new(call.OpenAnswer) }, func() proto.Message { return new(wirepb.OpenAnswer) },
			[]payload{&call.OpenAnswer{Object: other}}, [][]byte{nil, {0x0a, 0}},
		},
		{
			"RangeRequest", func() payload { return new(call.RangeRequest) }, func() proto.Message { return new(wirepb.RangeRequest) },
			[]payload{
				&call.RangeRequest{ID: other.ID}, &call.RangeRequest{ID: other.ID, Offset: 7, Length: 1 << 40}, &call.RangeRequest{ID: other.ID, Offset: 1, Length: -1},
			},
			[][]byte{nil, {0x0a, 3, 0x0a, 1, 'x'}, field.Uint((&call.RangeRequest{ID: other.ID}).Marshal(), 2, 1<<63), field.Uint((&call.RangeRequest{ID: other.ID}).Marshal(), 3, 1<<63)},
		},
		{
			"DerivedRequest", func() payload { return new(call.DerivedRequest) }, func() proto.Message { return new(wirepb.DerivedRequest) },
			[]payload{&call.DerivedRequest{Owner: "u0", Type: "message", IDs: []string{"a", "", "\xff"}}},
			[][]byte{
				nil, (&call.DerivedRequest{Owner: "u0", Type: "message"}).Marshal(), (&call.DerivedRequest{Owner: "u0", IDs: []string{"a"}}).Marshal(),
				(&call.DerivedRequest{Owner: "u0", Type: "t", IDs: make([]string, call.DerivedMax+1)}).Marshal(), (&call.DerivedRequest{Owner: "u0", Type: "t", IDs: []string{long}}).Marshal(),
			},
		},
		{
			"DerivedAnswer", func() payload { return new(call.DerivedAnswer) }, func() proto.Message { return new(wirepb.DerivedAnswer) },
			[]payload{&call.DerivedAnswer{Items: []cluster.Derived{
				{Data: []byte("data")}, {}, {Err: &cluster.Error{Kind: cluster.KindNotFound, Op: "read derived data", Err: &wire.Refusal{Text: "no"}}},
			}}},
			[][]byte{nil, (&call.DerivedAnswer{Items: make([]cluster.Derived, call.DerivedMax+1)}).Marshal()},
		},
		{
			"PiecesRequest", func() payload { return new(call.PiecesRequest) }, func() proto.Message { return new(wirepb.PiecesRequest) },
			[]payload{&call.PiecesRequest{Owner: "u0", Type: "message", Pieces: []cluster.Piece{{ID: "a", Offset: 7, Length: cluster.PieceSizeMax}, {}, {ID: "\xff", Length: 1}}}},
			[][]byte{
				nil, (&call.PiecesRequest{Owner: "u0", Type: "message"}).Marshal(), (&call.PiecesRequest{Owner: "u0", Pieces: []cluster.Piece{{ID: "a"}}}).Marshal(),
				(&call.PiecesRequest{Owner: "u0", Type: "t", Pieces: make([]cluster.Piece, call.PiecesMax+1)}).Marshal(),
				(&call.PiecesRequest{Owner: "u0", Type: "t", Pieces: []cluster.Piece{{ID: "a", Length: cluster.PieceSizeMax + 1}}}).Marshal(),
				(&call.PiecesRequest{Owner: "u0", Type: "t", Pieces: []cluster.Piece{{ID: long}}}).Marshal(),
			},
		},
		{
			"PiecesAnswer", func() payload { return new(call.PiecesAnswer) }, func() proto.Message { return new(wirepb.PiecesAnswer) },
			[]payload{&call.PiecesAnswer{Items: []cluster.Derived{
				{Data: []byte("octets")}, {}, {Err: &cluster.Error{Kind: cluster.KindCorrupt, Op: "read derived data", Err: &wire.Refusal{Text: "no"}}},
			}}},
			[][]byte{nil, (&call.PiecesAnswer{Items: make([]cluster.Derived, call.PiecesMax+1)}).Marshal()},
		},
		{
			"ContentsRequest", func() payload { return new(call.ContentsRequest) }, func() proto.Message { return new(wirepb.ContentsRequest) },
			[]payload{&call.ContentsRequest{Owner: "u0", Type: "set"}, &call.ContentsRequest{Owner: "u0", Type: "set", After: "\x00"}},
			[][]byte{nil, (&call.ContentsRequest{Owner: "u0"}).Marshal(), (&call.ContentsRequest{Owner: "u0", Type: "t", After: long}).Marshal()},
		},
		{
			"ContentsAnswer", func() payload { return new(call.ContentsAnswer) }, func() proto.Message { return new(wirepb.ContentsAnswer) },
			[]payload{&call.ContentsAnswer{}, &call.ContentsAnswer{More: true, Copies: []cluster.Copy{
				{Object: exampleObject("")}, {Object: exampleObject("a"), Contents: []byte("c")},
				{Object: cluster.Object{ID: exampleObject("b").ID}, Err: &cluster.Error{Kind: cluster.KindCorrupt, Op: "read contents", Err: &wire.Refusal{Text: "damaged"}}},
				{Object: other},
			}}},
			[][]byte{{0x0a, 0}, (&call.ContentsAnswer{Copies: slices.Repeat([]cluster.Copy{{Object: other}}, call.ContentsMax+1)}).Marshal()},
		},
		{
			"ServiceRequest", func() payload { return new(call.ServiceRequest) }, func() proto.Message { return new(wirepb.ServiceRequest) },
			[]payload{&call.ServiceRequest{Method: "m"}, &call.ServiceRequest{Owner: "u0", Method: "mail.lock", Payload: []byte("p")}},
			[][]byte{nil, (&call.ServiceRequest{Method: long}).Marshal(), (&call.ServiceRequest{Method: "m", Payload: make([]byte, call.ServiceSizeMax+1)}).Marshal()},
		},
		{
			"ListQuery", func() payload { return new(query) }, func() proto.Message { return new(wirepb.ListQuery) },
			[]payload{&query{softstate.ListQuery{Type: "user", Max: 10}}, &query{softstate.ListQuery{Type: "user", After: softstate.Cursor{Bucket: 4095, Owner: "o"}, Max: softstate.ListMax}}},
			[][]byte{
				nil, call.MarshalListQuery(softstate.ListQuery{Type: cluster.ObjectType(long)}),
				call.MarshalListQuery(softstate.ListQuery{Type: "t", After: softstate.Cursor{Bucket: cluster.BucketCount}}),
				call.MarshalListQuery(softstate.ListQuery{Type: "t", After: softstate.Cursor{Owner: long}}),
				field.Uint(field.String(nil, 1, "t"), 4, 1<<31),
			},
		},
		{
			"ListPage", func() payload { return new(page) }, func() proto.Message { return new(wirepb.ListPage) },
			[]payload{&page{}, &page{softstate.ListPage{
				Objects: []cluster.CachedObject{{Object: other, Contents: []byte("c")}}, Next: softstate.Cursor{Bucket: 1, Owner: "o"}, More: true, Knowledge: cluster.Complete,
			}}},
			[][]byte{
				{0x0a, 0}, call.MarshalListPage(&softstate.ListPage{Next: softstate.Cursor{Bucket: cluster.BucketCount}}),
				call.MarshalListPage(&softstate.ListPage{Next: softstate.Cursor{Owner: long}}),
				call.MarshalListPage(&softstate.ListPage{Objects: slices.Repeat([]cluster.CachedObject{{Object: other}}, softstate.ListMax+wire.EntryPartsMax)}),
			},
		},
		{
			"StatusAnswer", func() payload { return new(call.StatusAnswer) }, func() proto.Message { return new(wirepb.StatusAnswer) },
			[]payload{&call.StatusAnswer{}, &call.StatusAnswer{Version: "v1", Epoch: epoch, Load: cluster.Load{Pending: 1}, Buckets: 4096, Incomplete: 2, Pending: 3, Counted: 4, Machine: "rack 1"}},
			[][]byte{
				field.String(nil, 1, long), (&call.StatusAnswer{Buckets: 4097}).Marshal(), (&call.StatusAnswer{Incomplete: 4097}).Marshal(),
				field.Uint(nil, 6, 1<<63), field.String(nil, 8, long),
			},
		},
	}
}

// TestForms holds each payload against the schema, both ways.
func TestForms(t *testing.T) {
	for _, f := range forms() {
		t.Run(f.name, func(t *testing.T) {
			for _, want := range f.values {
				b := want.Marshal()
				got := f.fresh()
				if err := got.Unmarshal(b); err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("Unmarshal(Marshal(%+v)) = %+v, %v", want, got, err)
				}
				clear(b)
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%+v changed with the bytes it was read from", got)
				}
				m := f.message()
				if err := proto.Unmarshal(want.Marshal(), m); err != nil || len(m.ProtoReflect().GetUnknown()) != 0 {
					t.Fatalf("the schema does not read %+v: %v", want, err)
				}
				again, err := proto.Marshal(m)
				if err != nil {
					t.Fatal(err)
				}
				got = f.fresh()
				if err := got.Unmarshal(again); err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("Unmarshal of the schema's bytes of %+v = %+v, %v", want, got, err)
				}
				news := field.Bytes(want.Marshal(), 1000, []byte("of a later version"))
				got = f.fresh()
				if err := got.Unmarshal(news); err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("Unmarshal with an unknown field = %+v, %v; want %+v", got, err, want)
				}
			}
			for _, b := range append(f.hostile, []byte{0x0a, 0xff}, []byte{0xff}) {
				err := f.fresh().Unmarshal(b)
				var e *cluster.Error
				if !errors.As(err, &e) || e.Kind != cluster.KindInvalid && e.Kind != cluster.KindLimit {
					t.Errorf("Unmarshal of hostile %.40x = %v, want an error of kind invalid or limit", b, err)
				}
			}
		})
	}
}

// TestBounds: numbers that a sender leaves to the receiver, or gets wrong, are within their limits.
func TestBounds(t *testing.T) {
	for _, test := range []struct{ asked, want int }{{-1, call.ListMax}, {0, call.ListMax}, {7, 7}, {call.ListMax + 1, call.ListMax}} {
		var got call.ListRequest
		if err := got.Unmarshal((&call.ListRequest{Owner: "o", Type: "t", Max: test.asked}).Marshal()); err != nil || got.Max != test.want {
			t.Errorf("ListRequest of %d = %d, %v; want %d", test.asked, got.Max, err, test.want)
		}
	}
	for _, test := range []struct{ asked, want int }{{-1, softstate.ListMax}, {0, softstate.ListMax}, {7, 7}, {softstate.ListMax + 1, softstate.ListMax}} {
		got, err := call.UnmarshalListQuery(call.MarshalListQuery(softstate.ListQuery{Type: "t", Max: test.asked}))
		if err != nil || got.Max != test.want {
			t.Errorf("ListQuery of %d = %d, %v; want %d", test.asked, got.Max, err, test.want)
		}
	}
	// A version of any length, cut within a character too, and numbers that make no sense.
	var got call.StatusAnswer
	want := strings.Repeat("v", call.VersionLengthMax-1)
	if err := got.Unmarshal((&call.StatusAnswer{Version: want + "ä", Buckets: -1, Pending: -1, Counted: -1}).Marshal()); err != nil || got != (call.StatusAnswer{Version: want}) {
		t.Errorf("StatusAnswer = %+v, %v; want version %q and nothing else", got, err, want)
	}
	// Knowledge from the future proves nothing (V1).
	page, err := call.UnmarshalListPage(call.MarshalListPage(&softstate.ListPage{Knowledge: 99}))
	if err != nil || page.Knowledge != cluster.Partial {
		t.Errorf("ListPage of knowledge 99 = %v, %v; want partial", page.Knowledge, err)
	}
}

// TestListAnswerIsCompact: an owner's listing does not repeat the owner.
func TestListAnswerIsCompact(t *testing.T) {
	o := exampleObject("id")
	one := (&call.ListAnswer{Objects: slices.Repeat([]cluster.Object{o}, 1)}).Marshal()
	two := (&call.ListAnswer{Objects: slices.Repeat([]cluster.Object{o}, 2)}).Marshal()
	alone := len(wire.AppendObject(nil, &o))
	if more := len(two) - len(one); more >= alone || bytes.Count(two, []byte(o.ID.Owner)) != 1 {
		t.Errorf("second object takes %d bytes, alone %d", more, alone)
	}
}

// FuzzPayloads: the first byte chooses the payload.
func FuzzPayloads(f *testing.F) {
	all := forms()
	for i, form := range all {
		for _, v := range form.values {
			f.Add(append([]byte{byte(i)}, v.Marshal()...))
		}
		for _, b := range form.hostile {
			f.Add(append([]byte{byte(i)}, b[:min(len(b), 1<<10)]...))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		form := all[int(b[0])%len(all)]
		first, second := form.fresh(), form.fresh()
		if first.Unmarshal(b[1:]) != nil {
			return
		}
		if err := second.Unmarshal(first.Marshal()); err != nil || !reflect.DeepEqual(first, second) {
			t.Errorf("%s: Unmarshal(Marshal(%+v)) = %+v, %v", form.name, first, second, err)
		}
	})
}
