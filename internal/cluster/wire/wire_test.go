package wire_test

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/wire"
	"porcupine/internal/cluster/wire/field"
	"porcupine/internal/cluster/wire/wirepb"
)

// format is how one word is written and read, and its message in the schema.
type format[T any] struct {
	name    string
	values  []T
	write   func(T) []byte
	read    func([]byte) (T, error)
	message func() proto.Message
	hostile [][]byte // must be refused; seeds too
}

// check holds the format against the schema: the generated code reads what we write, knows all of
// its fields, and what it writes we read.
func (f format[T]) check(t *testing.T) {
	t.Run(f.name, func(t *testing.T) {
		for _, want := range f.values {
			b := f.write(want)
			if got, err := f.read(b); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("read(write(%+v)) = %+v, %v", want, got, err)
			}
			m := f.message()
			if err := proto.Unmarshal(b, m); err != nil {
				t.Fatalf("the schema does not read %+v: %v", want, err)
			}
			if n := unknown(m.ProtoReflect()); n != 0 {
				t.Errorf("the schema does not know %d bytes of %+v", n, want)
			}
			again, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := f.read(again); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("read of the schema's bytes of %+v = %+v, %v", want, got, err)
			}
		}
		for _, b := range f.hostile {
			_, err := f.read(b)
			var e *cluster.Error
			if !errors.As(err, &e) || e.Kind != cluster.KindInvalid && e.Kind != cluster.KindLimit {
				t.Errorf("read of hostile %.40x = %v, want an error of kind invalid or limit", b, err)
			}
		}
	})
}

// unknown counts the bytes of a message and of those within it that its schema has no field for.
func unknown(m protoreflect.Message) int {
	n := len(m.GetUnknown())
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				n += unknown(v.List().Get(i).Message())
			}
		default:
			n += unknown(v.Message())
		}
		return true
	})
	return n
}

// fuzz reads anything: no panic, no allocation out of proportion, and what is read is read again
// from what is written of it.
func (f format[T]) fuzz(fz *testing.F) {
	const seedMax = 1 << 10 // large seeds make a slow fuzzer: a full user map is for TestFormats
	for _, v := range f.values {
		if b := f.write(v); len(b) <= seedMax {
			fz.Add(b)
		}
	}
	for _, b := range f.hostile {
		if len(b) <= seedMax {
			fz.Add(b)
		}
	}
	fz.Fuzz(func(t *testing.T, b []byte) {
		v, err := f.read(b)
		if err != nil {
			return
		}
		again, err := f.read(f.write(v))
		if err != nil || !reflect.DeepEqual(again, v) {
			t.Errorf("read(write(%+v)) = %+v, %v", v, again, err)
		}
	})
}

func appending[T any](f func([]byte, *T) []byte) func(T) []byte {
	return func(v T) []byte { return f(nil, &v) }
}

func stampFormat() format[cluster.Stamp] {
	return format[cluster.Stamp]{
		name: "Stamp", values: exampleStamps(), write: appending(wire.AppendStamp), read: wire.UnmarshalStamp,
		message: func() proto.Message { return new(wirepb.Stamp) },
		hostile: [][]byte{{0x09}, {0x0d, 0, 0, 0, 0}, {0x22, 2, 0x08}, {0x0b}, bytes.Repeat([]byte{0xff}, 20), {0x22, 11, 0x20, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}},
	}
}

func objectFormat() format[cluster.Object] {
	id := field.Message(nil, 1, func(b []byte) []byte { return wire.AppendObjectID(b, exampleObjects()[1].ID) })
	with := func(b []byte) []byte { return append(bytes.Clone(id), b...) }
	return format[cluster.Object]{
		name: "Object", values: exampleObjects(), write: appending(wire.AppendObject), read: wire.UnmarshalObject,
		message: func() proto.Message { return new(wirepb.Object) },
		hostile: [][]byte{
			nil, {0x0a, 3, 0x0a, 1, 'x'},
			with(field.PackedFixed(nil, 3, []cluster.NodeID{2, 1})), with(field.PackedFixed(nil, 3, []cluster.NodeID{1, 1})),
			with(field.PackedFixed(nil, 3, []cluster.NodeID{0, 1})), with(field.PackedFixed(nil, 3, make([]cluster.NodeID, cluster.ReplicaSetMax+1))),
			with(field.Bytes(nil, 3, []byte("seven b"))), with(field.Bytes(nil, 5, make([]byte, cluster.AttrSizeMax+1))),
			with(field.Uint(nil, 8, cluster.ReplicaSetMax+1)), with(field.Uint(nil, 6, cluster.ObjectSizeMax+1)), with(field.Bytes(nil, 7, make([]byte, 31))), with(field.Bytes(nil, 7, make([]byte, 33))),
			field.Message(nil, 1, func(b []byte) []byte {
				return wire.AppendObjectID(b, cluster.ObjectID{Type: "t", Owner: strings.Repeat("o", cluster.OwnerLengthMax+1)})
			}),
			field.Message(nil, 1, func(b []byte) []byte {
				return wire.AppendObjectID(b, cluster.ObjectID{Type: cluster.ObjectType(strings.Repeat("t", cluster.TypeLengthMax+1)), Owner: "o"})
			}),
		},
	}
}

func updateFormat() format[cluster.Update] {
	return format[cluster.Update]{
		name: "Update", values: exampleUpdates(), write: appending(wire.AppendUpdate), read: wire.UnmarshalUpdate,
		message: func() proto.Message { return new(wirepb.Update) },
		hostile: [][]byte{nil, {0x0a, 0}, wire.AppendUpdate(nil, &cluster.Update{Object: exampleObjects()[1], Previous: manyNodes(wire.TargetsMax + 1)})},
	}
}

func recordFormat() format[cluster.Record] {
	values := exampleRecords()
	wide := values[1]
	wide.Targets = manyNodes(wire.TargetsMax + 1)
	early := values[1]
	early.Timestamp = cluster.Timestamp{}
	write := appending(wire.AppendRecord)
	return format[cluster.Record]{
		name: "Record", values: values, write: write, read: wire.UnmarshalRecord,
		message: func() proto.Message { return new(wirepb.Record) },
		hostile: [][]byte{nil, {0x0a, 0}, write(wide), write(early), field.Uint(write(values[0]), 6, 1<<63), field.PackedFixed(write(values[0]), 5, []cluster.NodeID{2, 1})},
	}
}

func retirementFormat() format[cluster.Retirement] {
	var values []cluster.Retirement
	for _, r := range exampleRecords() {
		values = append(values, cluster.Retirement{ID: r.ID, Timestamp: r.Timestamp, Targets: r.Targets})
	}
	wide := values[1]
	wide.Targets = manyNodes(wire.TargetsMax + 1)
	write := appending(wire.AppendRetirement)
	return format[cluster.Retirement]{
		name: "Retirement", values: values, write: write, read: wire.UnmarshalRetirement,
		message: func() proto.Message { return new(wirepb.Retirement) },
		hostile: [][]byte{nil, {0x0a, 0}, write(wide), write(cluster.Retirement{ID: wide.ID})},
	}
}

func replyFormat() format[replication.Reply] {
	return format[replication.Reply]{
		name: "Reply", values: exampleReplies(), write: appending(wire.AppendReply), read: wire.UnmarshalReply,
		message: func() proto.Message { return new(wirepb.Reply) },
		hostile: [][]byte{nil, {0x08, 1}, {0x08, 4}, {0x22, 3, 0x12, 1, 0xff}, field.Message(nil, 4, func(b []byte) []byte {
			return field.String(b, 2, strings.Repeat("x", wire.RefusalTextMax+1))
		})},
	}
}

// TestReplyOfAnyError: a target's error keeps its kind and as much of its text as may travel.
func TestReplyOfAnyError(t *testing.T) {
	for _, test := range []struct {
		err  error
		kind cluster.Kind
		text string
	}{
		{cluster.Errorf(cluster.KindFull, "put", "no room"), cluster.KindFull, "put: no room"},
		{errors.New("plain"), cluster.KindInternal, "plain"},
		{errors.New("a\xffb"), cluster.KindInternal, "a?b"},
		{errors.New(strings.Repeat("ä", wire.RefusalTextMax)), cluster.KindInternal, strings.Repeat("ä", wire.RefusalTextMax/2)},
		{errors.New("x" + strings.Repeat("ä", wire.RefusalTextMax)), cluster.KindInternal, "x" + strings.Repeat("ä", wire.RefusalTextMax/2-1)},
	} {
		got, err := wire.UnmarshalReply(wire.AppendReply(nil, &replication.Reply{Err: test.err}))
		var refusal *wire.Refusal
		if err != nil || !cluster.IsKind(got.Err, test.kind) || !errors.As(got.Err, &refusal) || refusal.Error() != test.text {
			t.Errorf("reply of %v = %v, %v; want kind %v with %q", test.err, got.Err, err, test.kind, test.text)
		}
	}
}

func refused(kind cluster.Kind, op, text string) error {
	return &cluster.Error{Kind: kind, Op: op, Err: &wire.Refusal{Text: text}}
}

func derivedFormat() format[cluster.Derived] {
	return format[cluster.Derived]{
		name: "Derived", write: appending(wire.AppendDerived), read: wire.UnmarshalDerived,
		values:  []cluster.Derived{{}, {Data: []byte("data")}, {Err: refused(cluster.KindNotFound, "read derived data", "no such object")}},
		message: func() proto.Message { return new(wirepb.Derived) },
		hostile: [][]byte{field.Bytes(nil, 1, make([]byte, cluster.DerivedSizeMax+1)), {0x12, 3, 0x12, 1, 0xff}},
	}
}

func copyFormat() format[cluster.Copy] {
	o := exampleObjects()[1]
	return format[cluster.Copy]{
		name:  "Copy",
		write: func(c cluster.Copy) []byte { return wire.AppendCopyAfter(nil, cluster.ObjectID{}, &c) },
		read:  func(b []byte) (cluster.Copy, error) { return wire.UnmarshalCopyAfter(b, cluster.ObjectID{}) },
		values: []cluster.Copy{
			{Object: o, Contents: []byte("contents")}, {Object: exampleObjects()[0]},
			{Object: cluster.Object{ID: o.ID}, Err: refused(cluster.KindCorrupt, "read contents", "damaged")},
		},
		message: func() proto.Message { return new(wirepb.Copy) },
		hostile: [][]byte{nil, {0x0a, 0}, wire.AppendCopyAfter(nil, cluster.ObjectID{}, &cluster.Copy{Object: o, Contents: make([]byte, cluster.CachedSizeMax+1)})},
	}
}

func holdingFormat() format[cluster.Holding] {
	mixed := exampleHoldings()[1]
	mixed.Owner = "another"
	many := cluster.Holding{Owner: "o", Fragments: make([]cluster.Fragment, cluster.HoldingPartsMax+1)}
	for i := range many.Fragments {
		many.Fragments[i].Type = "t"
	}
	write := appending(wire.AppendHolding)
	return format[cluster.Holding]{
		name: "Holding", values: exampleHoldings(), write: write, read: wire.UnmarshalHolding,
		message: func() proto.Message { return new(wirepb.Holding) },
		hostile: [][]byte{nil, write(mixed), write(many), write(cluster.Holding{Owner: "o", Fragments: []cluster.Fragment{{}}}), {0x0a, 1, 'o', 0x1a, 0}},
	}
}

func entryFormat() format[cluster.Entry] {
	return format[cluster.Entry]{
		name: "Entry", values: exampleEntries(), write: appending(wire.AppendEntry), read: wire.UnmarshalEntry,
		message: func() proto.Message { return new(wirepb.Entry) },
		hostile: [][]byte{nil, {0x0a, 1, 'o', 0x12, 0}},
	}
}

func viewFormat() format[*cluster.View] {
	broken := func(change func(*cluster.View)) []byte {
		v := exampleView(3)
		change(v)
		return wire.MarshalView(v)
	}
	return format[*cluster.View]{
		name: "View", values: []*cluster.View{{}, exampleView(1), exampleView(3), exampleView(300), unmapped(2)}, write: wire.MarshalView, read: wire.UnmarshalView,
		message: func() proto.Message { return new(wirepb.View) },
		hostile: [][]byte{
			broken(func(v *cluster.View) { v.Members[0], v.Members[1] = v.Members[1], v.Members[0] }),
			broken(func(v *cluster.View) { v.Members[1] = v.Members[0] }),
			broken(func(v *cluster.View) { v.Members[0].ID = 0 }),
			broken(func(v *cluster.View) { v.Map[17].Manager = 99 }),
			broken(func(v *cluster.View) { v.Map = v.Map[1:] }),
			broken(func(v *cluster.View) { v.Members[0].Addr = strings.Repeat("a", wire.AddrLengthMax+1) }),
			broken(func(v *cluster.View) { v.Members[0].Name = "\xff" }),
			broken(func(v *cluster.View) { v.Members[1], v.Map = v.Members[0], nil }),
			broken(func(v *cluster.View) { v.Map = v.Map[:2] }),
			field.PackedUints(nil, 5, cluster.BucketCount+1, func(int) uint64 { return 0 }),
			field.PackedUints(field.PackedUints(nil, 5, cluster.BucketCount, func(int) uint64 { return 0 }), 6, cluster.BucketCount, func(int) uint64 { return 0 }),
			field.PackedUints(nil, 6, 1, func(int) uint64 { return cluster.BucketCount }),
		},
	}
}

func messageFormat() format[*membership.Message] {
	var values []*membership.Message
	for _, m := range exampleMessages() {
		values = append(values, &m)
	}
	return format[*membership.Message]{
		name: "Message", values: values, write: wire.MarshalMessage, read: wire.UnmarshalMessage,
		message: func() proto.Message { return new(wirepb.MembershipMessage) },
		hostile: [][]byte{nil, {0x08, 0x80, 0x02}, {0x08, 1, 0x72, 0}, {0x08, 1, 0x8a, 1, 2, 0x12, 0}},
	}
}

func persistentFormat() format[*membership.Persistent] {
	var values []*membership.Persistent
	for _, p := range examplePersistent() {
		values = append(values, &p)
	}
	return format[*membership.Persistent]{
		name: "Persistent", values: values, write: wire.MarshalPersistent, read: wire.UnmarshalPersistent,
		message: func() proto.Message { return new(wirepb.MembershipPersistent) }, hostile: [][]byte{{0x12, 0}, {0x22, 0}},
	}
}

func TestFormats(t *testing.T) {
	stampFormat().check(t)
	objectFormat().check(t)
	updateFormat().check(t)
	holdingFormat().check(t)
	entryFormat().check(t)
	viewFormat().check(t)
	messageFormat().check(t)
	persistentFormat().check(t)
	recordFormat().check(t)
	retirementFormat().check(t)
	replyFormat().check(t)
	derivedFormat().check(t)
	copyFormat().check(t)
}

func FuzzStamp(f *testing.F)      { stampFormat().fuzz(f) }
func FuzzObject(f *testing.F)     { objectFormat().fuzz(f) }
func FuzzUpdate(f *testing.F)     { updateFormat().fuzz(f) }
func FuzzHolding(f *testing.F)    { holdingFormat().fuzz(f) }
func FuzzEntry(f *testing.F)      { entryFormat().fuzz(f) }
func FuzzView(f *testing.F)       { viewFormat().fuzz(f) }
func FuzzMessage(f *testing.F)    { messageFormat().fuzz(f) }
func FuzzPersistent(f *testing.F) { persistentFormat().fuzz(f) }
func FuzzRecord(f *testing.F)     { recordFormat().fuzz(f) }
func FuzzRetirement(f *testing.F) { retirementFormat().fuzz(f) }
func FuzzReply(f *testing.F)      { replyFormat().fuzz(f) }
func FuzzDerived(f *testing.F)    { derivedFormat().fuzz(f) }
func FuzzCopy(f *testing.F)       { copyFormat().fuzz(f) }

// TestNextVersion: fields that this version does not know are skipped, at every level.
func TestNextVersion(t *testing.T) {
	news := field.Bytes(field.Uint(field.Fixed(nil, 100, 1), 101, 2), 102, []byte("news"))
	news = append(news, 0xbd, 0x06, 1, 2, 3, 4) // field 103, a fixed32
	want := exampleObjects()[1]
	id := field.Message(nil, 1, func(b []byte) []byte { return append(wire.AppendObjectID(b, want.ID), news...) })
	b := append(append(wire.AppendObject(nil, &want), id...), news...)
	if got, err := wire.UnmarshalObject(b); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("object with news = %+v, %v; want %+v", got, err, want)
	}
	// A degree of knowledge from the future proves nothing (V1).
	e := wire.AppendEntry(nil, &cluster.Entry{Owner: "o", Knowledge: 99})
	if got, err := wire.UnmarshalEntry(e); err != nil || got.Knowledge != cluster.Partial {
		t.Errorf("entry of knowledge 99 = %v, %v; want partial", got.Knowledge, err)
	}
}

// TestCopies: nothing that is read refers to the bytes given.
func TestCopies(t *testing.T) {
	want := exampleEntries()[1]
	b := wire.AppendEntry(nil, &want)
	got, err := wire.UnmarshalEntry(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("entry changed with the bytes it was read from: %+v", got)
	}
}

// TestViewSize: a view of a large cluster is small.
func TestViewSize(t *testing.T) {
	for n, most := range map[int]int{3: 20 << 10, 1000: 96 << 10} {
		if size := len(wire.MarshalView(exampleView(n))); size > most {
			t.Errorf("view of %d members takes %d bytes, want at most %d", n, size, most)
		}
	}
}

// TestHostileAllocation: what is allocated stays within a small multiple of what was sent.
func TestHostileAllocation(t *testing.T) {
	const size, factor = 1 << 20, 64
	element := func(b []byte) []byte { return bytes.Repeat(b, size/len(b)) }
	small := wire.AppendHolding(nil, &cluster.Holding{Owner: "o"})
	inHolding := append([]byte{0x0a, 1, 'o'}, element([]byte{0x12, 3, 0x0a, 1, 't'})...)
	for name, f := range map[string]func() error{
		"empty members":   func() error { _, err := wire.UnmarshalView(element([]byte{0x12, 0})); return err },
		"empty epochs":    func() error { _, err := wire.UnmarshalView(element([]byte{0x22, 0})); return err },
		"fragments":       func() error { _, err := wire.UnmarshalHolding(inHolding); return err },
		"repeated fields": func() error { _, err := wire.UnmarshalHolding(element(small)); return err },
		"long indices": func() error {
			_, err := wire.UnmarshalView(field.Bytes(nil, 5, make([]byte, size)))
			return err
		},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_ = f() // refused or not
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > size*factor {
			t.Errorf("%s: %d bytes allocated for %d", name, got, size)
		}
	}
}
