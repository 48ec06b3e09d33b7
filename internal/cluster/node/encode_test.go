package node

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/usermap"
	"porcupine/internal/cluster/wire"
)

// What is sent is what wire writes, whatever was sent before, and a round's views are written once.
func TestEncoder(t *testing.T) {
	view := func(counter uint64) *cluster.View {
		e := cluster.Epoch{Counter: counter, Coordinator: 1}
		v := &cluster.View{Epoch: e, Members: []cluster.Member{{Endpoint: cluster.Endpoint{ID: 1, Addr: "a:1"}, Since: e}, {Endpoint: cluster.Endpoint{ID: 2, Addr: "b:1"}, Since: e}}}
		v.Map = usermap.Assign(nil, v.Members, e)
		return v
	}
	one, two := view(1), view(2)
	lives := []membership.Life{{Boot: 1, Process: 2}, {Boot: 3, Process: 4}}
	base := membership.Message{Kind: membership.KindView, From: cluster.Endpoint{ID: 1, Addr: "a:1"}, Epoch: one.Epoch, View: one, Lives: lives, Member: true}
	with := func(change func(*membership.Message)) membership.Message {
		m := base
		change(&m)
		return m
	}
	contacts := []membership.Contact{{Known: cluster.Known{Endpoint: cluster.Endpoint{ID: 3, Addr: "c:1"}}}}
	messages := []membership.Message{
		base, base,
		with(func(m *membership.Message) { m.Member = false }),
		base,
		with(func(m *membership.Message) { m.Durable = 7 }),
		with(func(m *membership.Message) { m.View, m.Epoch = two, two.Epoch }),
		with(func(m *membership.Message) { m.Installed = two.Epoch }),
		with(func(m *membership.Message) { m.Lives = lives[:1] }),
		with(func(m *membership.Message) { m.Lives = nil }),
		with(func(m *membership.Message) { m.Known = contacts }),
		with(func(m *membership.Message) { m.Sole = true }),
		with(func(m *membership.Message) { m.Size = 9 }),
		with(func(m *membership.Message) { m.From.Addr = "d:1" }),
		{Kind: membership.KindPing, From: base.From, Nonce: 5},
		{Kind: membership.KindView, From: base.From},
		base,
	}
	var e encoder
	for i := range messages {
		if got, want := e.encode(&messages[i]), wire.MarshalMessage(&messages[i]); !bytes.Equal(got, want) {
			t.Errorf("message %d, %+v: encoded as another", i, messages[i])
		}
	}
	if a, b := e.encode(&base), e.encode(&base); &a[0] != &b[0] {
		t.Error("a view was written twice")
	}
}

// Whatever field of a message changes, also one that the key does not name yet: what is sent is what wire writes.
func TestEncoderKnowsEveryField(t *testing.T) {
	e1 := cluster.Epoch{Counter: 1, Coordinator: 1}
	v := &cluster.View{Epoch: e1, Members: []cluster.Member{{Endpoint: cluster.Endpoint{ID: 1, Addr: "a:1"}, Since: e1}}}
	v.Map = usermap.Assign(nil, v.Members, e1)
	other := *v
	other.Epoch.Counter++
	base := membership.Message{Kind: membership.KindView, From: v.Members[0].Endpoint, Epoch: e1, View: v, Lives: []membership.Life{{Boot: 1, Process: 2}},
		Known: []membership.Contact{{Known: cluster.Known{Endpoint: cluster.Endpoint{ID: 3, Addr: "c:1"}}}}}
	var e encoder
	changed := 0
	for _, path := range leaves(reflect.TypeFor[membership.Message]()) {
		m := base
		field := reflect.ValueOf(&m).Elem().FieldByIndex(path)
		name := reflect.TypeFor[membership.Message]().FieldByIndex(path).Name
		switch field.Kind() {
		case reflect.Bool:
			field.SetBool(!field.Bool())
		case reflect.Int:
			field.SetInt(field.Int() + 1)
		case reflect.Uint8, reflect.Uint64:
			field.SetUint(field.Uint() + 1)
		case reflect.String:
			field.SetString(field.String() + "x")
		case reflect.Slice:
			grown := reflect.MakeSlice(field.Type(), field.Len()+1, field.Len()+1)
			reflect.Copy(grown, field)
			field.Set(grown)
		case reflect.Pointer:
			field.Set(reflect.ValueOf(&other))
		default:
			t.Fatalf("field %s is a %v: teach this test to change one", name, field.Kind())
		}
		e.encode(&base)
		got, want := e.encode(&m), wire.MarshalMessage(&m)
		if !bytes.Equal(got, want) {
			t.Errorf("with another %s (field %v) the message before it is sent again: name the field in viewKey", name, path)
		}
		if !bytes.Equal(want, wire.MarshalMessage(&base)) {
			changed++
		}
	}
	if changed < 20 {
		t.Errorf("%d fields change what is sent; does this test change them?", changed)
	}
}

// leaves lists the places of all fields, those of structs inside included.
func leaves(t reflect.Type) (paths [][]int) {
	for i := range t.NumField() {
		if f := t.Field(i).Type; f.Kind() == reflect.Struct {
			for _, p := range leaves(f) {
				paths = append(paths, append([]int{i}, p...))
			}
			continue
		}
		paths = append(paths, []int{i})
	}
	return paths
}

// BenchmarkView writes a view of round 3 for one member after another, with and without the encoder: what a coordinator
// of so many nodes has to do for each of them.
func BenchmarkView(b *testing.B) {
	for _, n := range []int{30, 300, 1000} {
		m := membership.Message{Kind: membership.KindView, Epoch: cluster.Epoch{Counter: 100, Coordinator: 1 << 60}, Lives: make([]membership.Life, n)}
		v := &cluster.View{Epoch: m.Epoch}
		for i := range n {
			v.Members = append(v.Members, cluster.Member{Endpoint: cluster.Endpoint{ID: cluster.NodeID(i+1) << 52, Name: fmt.Sprintf("node%d.example.org", i),
				Addr: fmt.Sprintf("10.0.%d.%d:7000", i/250, i%250)}, Since: m.Epoch})
			m.Lives[i] = membership.Life{Boot: 5, Process: 1 << 62, In: m.Epoch, Durable: 1 << 40, Before: 1 << 39}
		}
		v.Map = usermap.Assign(nil, v.Members, m.Epoch)
		m.View = v
		b.Run(fmt.Sprintf("%d nodes, each anew", n), func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(float64(len(wire.MarshalMessage(&m))), "octets")
			}
		})
		b.Run(fmt.Sprintf("%d nodes, once", n), func(b *testing.B) {
			var e encoder
			for b.Loop() {
				e.encode(&m)
			}
		})
	}
}
