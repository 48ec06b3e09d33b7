package layout

import (
	"encoding/binary"
	"fmt"

	"porcupine/internal/cluster"
)

// State is the value of StateKey: what the whole store amounts to. It is written in every commit.
type State struct {
	Seq     uint64 // sequence number of the commit
	Time    int64  // largest Timestamp.Time ever applied
	Objects int64  // objects held of types that are not cached, tombstones not counted
	Bytes   int64  // of the contents of all objects, cached ones too
	Sole    int64  // cached objects, tombstones not counted, that lie on this node alone

	Records    int64 // update records that propagate
	Retired    int64 // update records that are retired
	Vaulted    int64 // deleted objects in the vault
	VaultBytes int64 // of their contents, not part of Bytes
}

// AppendState appends the value of StateKey.
func AppendState(dst []byte, s *State) []byte {
	start := len(dst)
	dst = append(dst, stateVersion)
	for _, v := range [...]uint64{s.Seq, uint64(s.Time), uint64(s.Objects), uint64(s.Bytes), uint64(s.Sole),
		uint64(s.Records), uint64(s.Retired), uint64(s.Vaulted), uint64(s.VaultBytes)} {
		dst = binary.BigEndian.AppendUint64(dst, v)
	}
	return appendCRC(dst, StateKey(), start)
}

// ParseState reads the value of StateKey, as any format version wrote it.
func ParseState(value []byte) (State, error) {
	body, err := openCRC(StateKey(), value)
	if err != nil {
		return State{}, err
	}
	in := reader{b: body}
	version := in.versionTo(stateVersion)
	s := State{Seq: in.u64(), Time: int64(in.u64()), Objects: in.count("objects"), Bytes: in.count("bytes"), Sole: in.count("sole")}
	if version > 1 {
		s.Records, s.Retired = in.count("records"), in.count("retired records")
		s.Vaulted, s.VaultBytes = in.count("vaulted objects"), in.count("vault bytes")
	}
	return s, in.end()
}

const magic = "PORCUPINE"

// Format is the value of FormatKey: whose directory this is. It is written when the store is
// made, and again when a type is added or the format is upgraded.
type Format struct {
	Version uint32 // that was read; FormatVersion is what is written
	Cluster cluster.ID
	Node    cluster.NodeID
	Types   []cluster.TypeSpec // every type ever declared, ascending by name
}

// Where the contents of a type's objects lie.
const (
	kindApart  = 0
	kindCached = 1
	kindInline = 2
)

func kindOf(t *cluster.TypeSpec) byte {
	switch {
	case t.Cached:
		return kindCached
	case t.Inline:
		return kindInline
	}
	return kindApart
}

// VersionError says that a directory has a format version that this program does not read.
type VersionError struct{ Found uint32 }

func (e *VersionError) Error() string {
	return fmt.Sprintf("format version %d, this program reads versions %d to %d", e.Found, FormatOldest, FormatVersion)
}

// AppendFormat appends the value of FormatKey.
func AppendFormat(dst []byte, f *Format) []byte {
	start := len(dst)
	dst = append(dst, magic...)
	dst = binary.BigEndian.AppendUint32(dst, FormatVersion)
	dst = append(dst, f.Cluster[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(f.Node))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(f.Types)))
	for _, t := range f.Types {
		dst = appendName(dst, string(t.Name))
		dst = append(dst, kindOf(&t))
	}
	return appendCRC(dst, FormatKey(), start)
}

// ParseFormat reads the value of FormatKey. The magic and the version are read first, since all
// that follows may differ in another version: a *VersionError then.
func ParseFormat(value []byte) (Format, error) {
	var f Format
	head := reader{b: value}
	m, version := head.bytes(len(magic)), head.u32()
	switch {
	case head.err != nil:
		return f, head.err
	case string(m) != magic:
		return f, fmt.Errorf("format record starts with %q, want %q", m, magic)
	case version < FormatOldest || version > FormatVersion:
		return f, &VersionError{Found: version}
	}
	body, err := openCRC(FormatKey(), value)
	if err != nil {
		return f, err
	}
	f.Version = version
	in := reader{b: body[len(magic)+4:]}
	copy(f.Cluster[:], in.bytes(len(f.Cluster)))
	f.Node = cluster.NodeID(in.u64())
	for range in.u16() {
		t := cluster.TypeSpec{Name: in.objectType()}
		kind := in.u8()
		if last := len(f.Types) - 1; last >= 0 && f.Types[last].Name >= t.Name {
			in.fail("types are not ascending")
		}
		if kind > kindInline {
			in.fail("type %q is of kind %d", t.Name, kind)
		}
		t.Cached, t.Inline = kind == kindCached, kind == kindInline
		if in.err != nil {
			return f, in.err
		}
		f.Types = append(f.Types, t)
	}
	return f, in.end()
}

// AppendMeta appends the value of a MetaKey.
func AppendMeta(dst, key, value []byte) []byte {
	start := len(dst)
	return appendCRC(append(append(dst, valueVersion), value...), key, start)
}

// ParseMeta reads the value of a MetaKey; it points into what was read.
func ParseMeta(key, value []byte) ([]byte, error) {
	body, err := openCRC(key, value)
	if err != nil {
		return nil, err
	}
	in := reader{b: body}
	in.version()
	return in.b, in.err
}
