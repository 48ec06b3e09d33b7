package layout

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"porcupine/internal/cluster"
)

var someKey = []byte("O\x00\x01a@b\x00message\x00id")

func someRecord() Record {
	return Record{
		Object: cluster.Object{
			Timestamp: cluster.Timestamp{Time: 1_700_000_000_000_000_000, Node: 7},
			Replicas:  cluster.NewReplicaSet(1, 7, 1<<63),
			Copies:    3,
			Attr:      []byte("folder=INBOX"),
			Size:      5, Sum: [32]byte{1, 2, 31: 9},
		},
		Number: 42, Chunked: true, Rewritten: true, Derived: true,
	}
}

var recordCases = []struct {
	name string
	in   Record
}{
	{"full", someRecord()},
	{"empty", Record{}},
	{"tombstone", Record{Object: cluster.Object{Deleted: true, Replicas: cluster.NewReplicaSet(3), Timestamp: cluster.Timestamp{Time: 1, Node: 1}}}},
	{"largest", Record{Object: cluster.Object{Attr: make([]byte, cluster.AttrSizeMax), Size: 1<<63 - 1,
		Replicas: cluster.NewReplicaSet(1, 2, 3, 4, 5, 6, 7, 8)}, Number: 1<<64 - 1}},
}

func TestRecord(t *testing.T) {
	for _, c := range recordCases {
		value := AppendRecord(nil, someKey, &c.in)
		got, rest, err := ParseRecord(someKey, append(value, "contents"...))
		if err != nil || !reflect.DeepEqual(got, c.in) || string(rest) != "contents" {
			t.Errorf("%s: ParseRecord = %+v, %q, %v, want %+v", c.name, got, rest, err, c.in)
		}
		c.in.Rewritten = true
		MarkRewritten(someKey, value)
		if got, _, err := ParseRecord(someKey, value); err != nil || !reflect.DeepEqual(got, c.in) {
			t.Errorf("%s: rewritten: ParseRecord = %+v, %v, want %+v", c.name, got, err, c.in)
		}
	}
}

// Every single damaged byte, every missing one and the wrong key are noticed (D5).
func TestD5_DamagedValues(t *testing.T) {
	r := someRecord()
	h := Header{Cached: 2, Fragments: []cluster.Fragment{{Type: "message", Replicas: cluster.NewReplicaSet(1, 2), Count: 3, Bytes: 4}}}
	chunk := append(make([]byte, ChunkHeadSize), "chunk contents"...)
	SealChunk(someKey, chunk)
	kinds := []struct {
		name  string
		value []byte
		parse func(key, value []byte) error
	}{
		{"record", AppendRecord(nil, someKey, &r), func(k, v []byte) error { _, _, err := ParseRecord(k, v); return err }},
		{"header", AppendHeader(nil, someKey, &h), func(k, v []byte) error { _, err := ParseHeader(k, v); return err }},
		{"chunk", chunk, func(k, v []byte) error { _, err := ParseChunk(k, v); return err }},
		{"meta", AppendMeta(nil, someKey, []byte("value")), func(k, v []byte) error { _, err := ParseMeta(k, v); return err }},
		{"derived", AppendDerived(nil, someKey, &derivedCases[0]), func(k, v []byte) error { _, err := ParseDerived(k, v); return err }},
		{"update", AppendUpdate(nil, someKey, &updateCases[0].in), func(k, v []byte) error { _, err := ParseUpdate(k, v); return err }},
		{"state", AppendState(nil, &State{Seq: 1, Time: 2, Objects: 3, Bytes: 4, Sole: 5, Records: 6, Retired: 7, Vaulted: 8, VaultBytes: 9}), func(_, v []byte) error { _, err := ParseState(v); return err }},
		{"format", AppendFormat(nil, &Format{Node: 7, Types: []cluster.TypeSpec{{Name: "set", Inline: true}, {Name: "user", Cached: true}}}), func(_, v []byte) error { _, err := ParseFormat(v); return err }},
	}
	for _, k := range kinds {
		if err := k.parse(someKey, k.value); err != nil {
			t.Errorf("%s: %v", k.name, err)
		}
		for i := range k.value {
			bad := bytes.Clone(k.value)
			bad[i] ^= 0x10
			if k.parse(someKey, bad) == nil {
				t.Errorf("%s: byte %d damaged: no error", k.name, i)
			}
			if k.parse(someKey, k.value[:i]) == nil {
				t.Errorf("%s: cut to %d bytes: no error", k.name, i)
			}
		}
		if k.name != "state" && k.name != "format" && k.parse([]byte("Oother"), k.value) == nil {
			t.Errorf("%s: under another key: no error", k.name)
		}
	}
}

func TestObjectKey(t *testing.T) {
	long := cluster.ObjectID{Type: cluster.ObjectType(strings.Repeat("t", cluster.TypeLengthMax)),
		Owner: strings.Repeat("o", cluster.OwnerLengthMax), ID: strings.Repeat("\x00", cluster.ObjectIDLenMax)}
	for _, id := range []cluster.ObjectID{{Type: "message", Owner: "a@b", ID: "x\x00\xff"}, {Type: "t", Owner: "\xff", ID: ""}, long} {
		key := AppendObjectKey(nil, PrefixObject, 4095, id)
		p, b, got, err := ParseObjectKey(key)
		if err != nil || p != PrefixObject || b != 4095 || got != id {
			t.Errorf("ParseObjectKey(%q) = %c, %d, %v, %v, want %v", key, p, b, got, err, id)
		}
	}
	for _, key := range []string{"", "O", "O\x00", "X\x00\x01a\x00t\x00i", "O\x10\x00a\x00t\x00i", "O\x00\x00a", "O\x00\x00a\x00t", "O\x00\x00\x00t\x00i", "O\x00\x00a\x00T\x00i"} {
		if _, _, id, err := ParseObjectKey([]byte(key)); err == nil {
			t.Errorf("ParseObjectKey(%q) = %v, want an error", key, id)
		}
	}
}

// The order of the keys is the order of the ids, and one owner's or type's range holds its keys
// and no other's.
func TestKeyOrder(t *testing.T) {
	var ids []cluster.ObjectID
	for _, owner := range []string{"a", "a\x01", "a@b", "a@b.c", "aa", "\xff"} {
		for _, typ := range []cluster.ObjectType{"m", "ma", "n"} {
			for _, id := range []string{"\x00", "1", "1\x00", "\xff"} {
				ids = append(ids, cluster.ObjectID{Type: typ, Owner: owner, ID: id})
			}
		}
	}
	keys := make([][]byte, len(ids))
	for i, id := range ids {
		keys[i] = AppendObjectKey(nil, PrefixObject, 5, id)
	}
	for i, a := range ids {
		for j, b := range ids {
			if got, want := bytes.Compare(keys[i], keys[j]), a.Compare(b); got != want {
				t.Errorf("keys of %v and %v compare %d, want %d", a, b, got, want)
			}
			lower, upper := OwnerBounds(PrefixObject, 5, a.Owner, a.Type)
			in := bytes.Compare(keys[j], lower) >= 0 && bytes.Compare(keys[j], upper) < 0
			if want := a.Owner == b.Owner && a.Type == b.Type; in != want {
				t.Errorf("%v in the range of %s %s: %v, want %v", b, a.Owner, a.Type, in, want)
			}
		}
	}
	if !slices.IsSortedFunc([][]byte{AppendChunkKey(nil, 1, 255), AppendChunkKey(nil, 1, 256), AppendChunkKey(nil, 2, 0)}, bytes.Compare) {
		t.Error("chunk keys are not in order")
	}
	lower, upper := ChunkBounds(7)
	if k := AppendChunkKey(nil, 7, 1<<32-1); bytes.Compare(k, lower) < 0 || bytes.Compare(k, upper) >= 0 {
		t.Errorf("ChunkBounds(7) = %q, %q without %q", lower, upper, k)
	}
}

func TestHeaderAdd(t *testing.T) {
	var h Header
	ab, c := cluster.NewReplicaSet(1, 2), cluster.NewReplicaSet(3)
	steps := []struct {
		typ         cluster.ObjectType
		set         cluster.ReplicaSet
		count       int64
		bytes       int64
		changed, ok bool
		parts       int64
	}{
		{"m", c, 1, 10, true, true, 1},
		{"m", ab, 1, 10, true, true, 2},
		{"l", c, 1, 1, true, true, 3},
		{"m", c, 1, 5, false, true, 3},
		{"m", c, -1, -10, false, true, 3},
		{"m", c, -1, -5, true, true, 2},
		{"m", c, -1, -5, false, false, 2},
		{"l", c, -2, -1, false, false, 2},
	}
	for i, s := range steps {
		changed, ok := h.Add(s.typ, s.set, s.count, s.bytes)
		if changed != s.changed || ok != s.ok || h.Parts() != s.parts {
			t.Errorf("step %d: Add = %v, %v, %d parts, want %v, %v, %d", i, changed, ok, h.Parts(), s.changed, s.ok, s.parts)
		}
	}
}

func TestFormatVersion(t *testing.T) {
	value := AppendFormat(nil, &Format{Node: 1})
	for _, found := range []byte{0, FormatVersion + 1} {
		value[len(magic)+3] = found
		_, err := ParseFormat(value)
		var v *VersionError
		if !errors.As(err, &v) || v.Found != uint32(found) {
			t.Errorf("ParseFormat of version %d = %v, want a VersionError", found, err)
		}
	}
}

func FuzzRecord(f *testing.F) {
	for _, c := range recordCases {
		f.Add(AppendRecord(nil, someKey, &c.in))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		r, rest, err := ParseRecord(someKey, value)
		if err != nil {
			return
		}
		if got := append(AppendRecord(nil, someKey, &r), rest...); value[0] == recordVersion && !bytes.Equal(got, value) {
			t.Errorf("parsed and written again: %q, want %q", got, value)
		}
	})
}

// FuzzRecordSealed gets behind the checksum.
func FuzzRecordSealed(f *testing.F) {
	for _, c := range recordCases {
		v := AppendRecord(nil, someKey, &c.in)
		f.Add(v[:len(v)-crcSize])
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		value = appendCRC(bytes.Clone(value), someKey, 0)
		r, rest, err := ParseRecord(someKey, value)
		if err == nil && value[0] == recordVersion && !bytes.Equal(append(AppendRecord(nil, someKey, &r), rest...), value) {
			t.Errorf("%q is not written again as it was read", value)
		}
	})
}

func FuzzHeaderSealed(f *testing.F) {
	h := Header{Cached: 2, Fragments: []cluster.Fragment{{Type: "message", Replicas: cluster.NewReplicaSet(1, 2), Count: 3, Bytes: 4}}}
	v := AppendHeader(nil, nil, &h)
	f.Add(v[:len(v)-crcSize])
	f.Fuzz(func(t *testing.T, value []byte) {
		value = appendCRC(bytes.Clone(value), nil, 0)
		h, err := ParseHeader(nil, value)
		if err == nil && !bytes.Equal(AppendHeader(nil, nil, &h), value) {
			t.Errorf("%q is not written again as it was read", value)
		}
	})
}

func FuzzStateAndFormatSealed(f *testing.F) {
	v := AppendFormat(nil, &Format{Node: 7, Types: []cluster.TypeSpec{{Name: "message"}, {Name: "set", Inline: true}, {Name: "user", Cached: true}}})
	f.Add(v[:len(v)-crcSize])
	v = AppendState(nil, &State{Seq: 1})
	f.Add(v[:len(v)-crcSize])
	f.Fuzz(func(t *testing.T, value []byte) {
		as := appendCRC(bytes.Clone(value), FormatKey(), 0)
		if x, err := ParseFormat(as); err == nil && x.Version == FormatVersion && !bytes.Equal(AppendFormat(nil, &x), as) {
			t.Errorf("format %q is not written again as it was read", as)
		}
		as = appendCRC(bytes.Clone(value), StateKey(), 0)
		if x, err := ParseState(as); err == nil && as[0] == stateVersion && !bytes.Equal(AppendState(nil, &x), as) {
			t.Errorf("state %q is not written again as it was read", as)
		}
	})
}

var updateCases = []struct {
	name string
	in   Update
}{
	{"full", Update{Record: cluster.Record{Timestamp: cluster.Timestamp{Time: 5, Node: 7}, Deleted: true, Retired: 99,
		Replicas: cluster.NewReplicaSet(1), Targets: cluster.NewReplicaSet(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)}, Rewritten: true}},
	{"usual", Update{Record: cluster.Record{Timestamp: cluster.Timestamp{Time: 5, Node: 7}, Replicas: cluster.NewReplicaSet(1, 2), Targets: cluster.NewReplicaSet(1, 2)}}},
	{"deletion", Update{Record: cluster.Record{Timestamp: cluster.Timestamp{Time: 5, Node: 7}, Deleted: true, Targets: cluster.NewReplicaSet(1, 2)}}},
	{"empty", Update{}},
}

func TestUpdate(t *testing.T) {
	for _, c := range updateCases {
		got, err := ParseUpdate(someKey, AppendUpdate(nil, someKey, &c.in))
		if err != nil || !reflect.DeepEqual(got, c.in) {
			t.Errorf("%s: ParseUpdate = %+v, %v, want %+v", c.name, got, err, c.in)
		}
	}
	if n := len(AppendUpdate(nil, someKey, &updateCases[1].in)); n != 39 {
		t.Errorf("the record of a new object on two nodes has %d bytes, want 39", n)
	}
}

var derivedCases = []Derived{
	{Version: 1, Data: []byte("data")}, {Version: 1 << 31, Data: []byte{}}, {Version: 7, Failed: true, Data: []byte{}},
	{Version: 1, Data: make([]byte, cluster.DerivedSizeMax)},
}

func TestDerived(t *testing.T) {
	for _, want := range derivedCases {
		if got, err := ParseDerived(someKey, AppendDerived(nil, someKey, &want)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("ParseDerived = %+v, %v, want %+v", got, err, want)
		}
	}
	for _, bad := range []Derived{{Failed: true, Data: []byte("x")}, {Data: make([]byte, cluster.DerivedSizeMax+1)}} {
		if got, err := ParseDerived(someKey, AppendDerived(nil, someKey, &bad)); err == nil {
			t.Errorf("ParseDerived = %t, %d bytes, want an error", got.Failed, len(got.Data))
		}
	}
	key := AppendDerivedKey(nil, 42)
	if p, n, err := ParseNumberKey(key); err != nil || p != PrefixDerive || n != 42 || len(key) != DerivedKeySize {
		t.Errorf("ParseNumberKey(%q) = %c, %d, %v", key, p, n, err)
	}
	for _, border := range []struct{ key, want string }{{"O", "b"}, {"b1", "c"}, {"c1", "d"}, {"d1", ""}} {
		if got := ContentsBorder([]byte(border.key)); string(got) != border.want {
			t.Errorf("ContentsBorder(%q) = %q, want %q", border.key, got, border.want)
		}
	}
}

func TestVaultKeys(t *testing.T) {
	object := AppendObjectKey(nil, PrefixObject, 1, cluster.ObjectID{Type: "message", Owner: "a@b", ID: "id"})
	at := cluster.Timestamp{Time: 1000, Node: 7}
	key := AppendVaultKey(nil, object, at)
	b, id, deletion, err := ParseVaultKey(key)
	if err != nil || b != 1 || id.ID != "id" || deletion != at {
		t.Errorf("ParseVaultKey(%q) = %d, %v, %v, %v", key, b, id, deletion, err)
	}
	oldest := AppendOldestKey(nil, key)
	if got, err := ParseOldestKey(oldest); err != nil || !bytes.Equal(got, key) {
		t.Errorf("ParseOldestKey(%q) = %q, %v, want %q", oldest, got, err, key)
	}
	lower, upper := VaultBounds(object, 1000, 1000)
	if bytes.Compare(key, lower) < 0 || bytes.Compare(key, upper) >= 0 {
		t.Errorf("VaultBounds = %q, %q without %q", lower, upper, key)
	}
	later := AppendOldestKey(nil, AppendVaultKey(nil, []byte("O\x00\x00a\x00m\x00i"), cluster.Timestamp{Time: 1001, Node: 1}))
	if bytes.Compare(oldest, later) >= 0 {
		t.Error("the keys are not in order of time")
	}
	for _, bad := range []string{"", "V", "W", string(key[:len(key)-1]), string(oldest[:20]), "W" + string(make([]byte, 8)) + string(key[1:])} {
		if _, _, id, err := ParseVaultKey([]byte(bad)); err == nil && bad != string(key[:len(key)-1]) {
			t.Errorf("ParseVaultKey(%q) = %v, want an error", bad, id)
		}
		if got, err := ParseOldestKey([]byte(bad)); err == nil {
			t.Errorf("ParseOldestKey(%q) = %q, want an error", bad, got)
		}
	}
}

// Values of format version 1, written by hand, are read.
func TestVersion1Values(t *testing.T) {
	record := []byte{1, flagRewritten}
	record = append(record, 0, 0, 0, 0, 0, 0, 0, 10) // time
	record = append(record, 0, 0, 0, 0, 0, 0, 0, 7)  // node
	record = append(record, 0, 0, 0, 0, 0, 0, 0, 42) // number
	record = append(record, 0, 0, 0, 0, 0, 0, 0, 5)  // size
	record = append(record, make([]byte, 32)...)
	record = append(record, 1, 0, 0, 0, 0, 0, 0, 0, 7) // replicas
	record = append(record, 0, 2, 'h', 'i')
	record = appendCRC(record, someKey, 0)
	want := Record{Object: cluster.Object{Timestamp: cluster.Timestamp{Time: 10, Node: 7}, Replicas: cluster.NewReplicaSet(7), Attr: []byte("hi"), Size: 5},
		Number: 42, Rewritten: true}
	if got, rest, err := ParseRecord(someKey, record); err != nil || len(rest) != 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("ParseRecord = %+v, %q, %v, want %+v", got, rest, err, want)
	}
	state := append([]byte{1}, make([]byte, 40)...)
	state[8], state[16], state[24], state[32], state[40] = 1, 2, 3, 4, 5
	state = appendCRC(state, StateKey(), 0)
	if got, err := ParseState(state); err != nil || got != (State{Seq: 1, Time: 2, Objects: 3, Bytes: 4, Sole: 5}) {
		t.Errorf("ParseState = %+v, %v", got, err)
	}
	format := AppendFormat(nil, &Format{Node: 7})
	format[len(magic)+3] = 1
	format = appendCRC(format[:len(format)-crcSize], FormatKey(), 0)
	if got, err := ParseFormat(format); err != nil || got.Version != 1 || got.Node != 7 {
		t.Errorf("ParseFormat = %+v, %v", got, err)
	}
}

func FuzzUpdateSealed(f *testing.F) {
	for _, c := range updateCases {
		v := AppendUpdate(nil, someKey, &c.in)
		f.Add(v[:len(v)-crcSize])
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		value = appendCRC(bytes.Clone(value), someKey, 0)
		u, err := ParseUpdate(someKey, value)
		if err == nil && !bytes.Equal(AppendUpdate(nil, someKey, &u), value) {
			t.Errorf("%q is not written again as it was read", value)
		}
	})
}

func FuzzVaultKeys(f *testing.F) {
	key := AppendVaultKey(nil, someKey, cluster.Timestamp{Time: 1000, Node: 7})
	f.Add(key)
	f.Add(AppendOldestKey(nil, key))
	f.Fuzz(func(t *testing.T, key []byte) {
		if b, id, at, err := ParseVaultKey(key); err == nil {
			object := AppendObjectKey(nil, PrefixObject, b, id)
			if !bytes.Equal(AppendVaultKey(nil, object, at), key) {
				t.Errorf("vault key %q is not written again as it was read", key)
			}
		}
		if vault, err := ParseOldestKey(key); err == nil && !bytes.Equal(AppendOldestKey(nil, vault), key) {
			t.Errorf("key %q is not written again as it was read", key)
		}
	})
}

func FuzzValues(f *testing.F) {
	f.Add(AppendBody(nil, someKey, []byte("contents")))
	chunk := append(make([]byte, ChunkHeadSize), "chunk contents"...)
	SealChunk(someKey, chunk)
	f.Add(chunk)
	f.Add(AppendMeta(nil, someKey, []byte("value")))
	for i := range derivedCases {
		f.Add(AppendDerived(nil, someKey, &derivedCases[i]))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		if key, contents, err := ParseBody(value); err == nil && !bytes.Equal(AppendBody(nil, key, contents), value) {
			t.Errorf("contents %q are not written again as they were read", value)
		}
		if m, err := ParseMeta(someKey, value); err == nil && !bytes.Equal(AppendMeta(nil, someKey, m), value) {
			t.Errorf("meta %q is not written again as it was read", value)
		}
		if d, err := ParseDerived(someKey, value); err == nil && !bytes.Equal(AppendDerived(nil, someKey, &d), value) {
			t.Errorf("derived data %q is not written again as it was read", value)
		}
		sealed := appendCRC(bytes.Clone(value), someKey, 0) // behind the checksum
		if d, err := ParseDerived(someKey, sealed); err == nil && !bytes.Equal(AppendDerived(nil, someKey, &d), sealed) {
			t.Errorf("derived data %q is not written again as it was read", sealed)
		}
		if c, err := ParseChunk(someKey, value); err == nil && !bytes.Equal(c, value[ChunkHeadSize:]) {
			t.Errorf("chunk %q is read as %q", value, c)
		}
	})
}

func FuzzKeys(f *testing.F) {
	f.Add(someKey)
	f.Add(AppendHeaderKey(nil, 5, "a@b"))
	f.Add(AppendBodyKey(nil, 5))
	f.Add(AppendChunkKey(nil, 5, 6))
	f.Add(AppendDerivedKey(nil, 5))
	f.Fuzz(func(t *testing.T, key []byte) {
		if p, b, id, err := ParseObjectKey(key); err == nil && !bytes.Equal(AppendObjectKey(nil, p, b, id), key) {
			t.Errorf("object key %q is not written again as it was read", key)
		}
		if b, owner, err := ParseHeaderKey(key); err == nil && !bytes.Equal(AppendHeaderKey(nil, b, owner), key) {
			t.Errorf("header key %q is not written again as it was read", key)
		}
		if p, n, err := ParseNumberKey(key); err == nil && p == PrefixBody && !bytes.Equal(AppendBodyKey(nil, n), key) {
			t.Errorf("body key %q is not written again as it was read", key)
		}
		if p, n, err := ParseNumberKey(key); err == nil && p == PrefixDerive && !bytes.Equal(AppendDerivedKey(nil, n), key) {
			t.Errorf("derived key %q is not written again as it was read", key)
		}
		if n, i, err := ParseChunkKey(key); err == nil && !bytes.Equal(AppendChunkKey(nil, n, i), key) {
			t.Errorf("chunk key %q is not written again as it was read", key)
		}
	})
}
