package layout

import (
	"encoding/binary"

	"porcupine/internal/cluster"
)

// Record is the value of an object's key: the object without its id, and where its contents lie.
type Record struct {
	Object cluster.Object // ID is not part of the value
	// Number names the contents under PrefixBody; 0: there are none (empty, deleted, or of a
	// cached or inline type, whose contents follow the record in the same value).
	Number uint64
	// Chunked: the contents lie under PrefixChunk, in chunks of ChunkSize.
	Chunked bool
	// Rewritten: the key was written more than once since it was last absent. A key written
	// once may be removed by a single deletion, which vanishes together with what it removes.
	Rewritten bool
	// Derived: there is a record under PrefixDerive, of the same number. It was written once if
	// Rewritten is not set.
	Derived bool
}

// ChunkSize is the most contents that lie in one value, and the size of each chunk but the last.
// The engine looks for a flipped bit in a block that it finds damaged, at a cost that grows with
// the square of the block: 64 KiB costs it about a second, 128 KiB three.
const ChunkSize = 64 << 10

// Bits of a record's flags.
const (
	flagDeleted   = 1 << 0
	flagChunked   = 1 << 1
	flagRewritten = 1 << 2
	flagDerived   = 1 << 3
	flagsKnown    = flagDeleted | flagChunked | flagRewritten | flagDerived
)

const flagsOffset = 1

// RecordTail is the length of what follows the attributes in an appended record.
const RecordTail = crcSize

// AppendRecord appends the value of an object's key, but for the contents of a cached or inline type.
func AppendRecord(dst, key []byte, r *Record) []byte {
	start := len(dst)
	o := &r.Object
	dst = append(dst, recordVersion, r.flags())
	dst = binary.BigEndian.AppendUint64(dst, uint64(o.Timestamp.Time))
	dst = binary.BigEndian.AppendUint64(dst, uint64(o.Timestamp.Node))
	dst = binary.BigEndian.AppendUint64(dst, r.Number)
	dst = binary.BigEndian.AppendUint64(dst, uint64(o.Size))
	dst = append(dst, o.Sum[:]...)
	dst = appendReplicas(dst, o.Replicas)
	dst = append(dst, byte(o.Copies))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(o.Attr)))
	dst = append(dst, o.Attr...)
	return appendCRC(dst, key, start)
}

func (r *Record) flags() byte {
	var f byte
	if r.Object.Deleted {
		f |= flagDeleted
	}
	if r.Chunked {
		f |= flagChunked
	}
	if r.Rewritten {
		f |= flagRewritten
	}
	if r.Derived {
		f |= flagDerived
	}
	return f
}

// MarkRewritten sets Rewritten in an appended record.
func MarkRewritten(key, record []byte) {
	record[flagsOffset] |= flagRewritten
	body := record[:len(record)-crcSize]
	binary.BigEndian.PutUint32(record[len(body):], checksum(key, body))
}

// ParseRecord reads the value of an object's key, as any format version wrote it. rest is what follows the record: the contents
// of a cached or inline type, nothing for the others. Attr and rest point into the value; the object's ID
// is left empty.
func ParseRecord(key, value []byte) (r Record, rest []byte, err error) {
	in := reader{b: value}
	version := in.versionTo(recordVersion)
	flags := in.u8()
	o := &r.Object
	o.Timestamp.Time = int64(in.u64())
	o.Timestamp.Node = cluster.NodeID(in.u64())
	r.Number = in.u64()
	o.Size = in.count("size")
	copy(o.Sum[:], in.bytes(len(o.Sum)))
	o.Replicas = in.replicas()
	if version > 1 {
		o.Copies = int(in.u8())
	}
	o.Attr = in.bytes(int(in.u16()))
	in.bytes(crcSize)
	if in.err != nil {
		return r, nil, in.err
	}
	if _, err := openCRC(key, value[:len(value)-len(in.b)]); err != nil {
		return r, nil, err
	}
	if flags&^flagsKnown != 0 {
		in.fail("unknown flags %08b", flags)
	}
	if o.Copies > cluster.ReplicaSetMax {
		in.fail("%d copies are wanted: at most %d", o.Copies, cluster.ReplicaSetMax)
	}
	if len(o.Attr) > cluster.AttrSizeMax {
		in.fail("attributes of %d bytes: at most %d", len(o.Attr), cluster.AttrSizeMax)
	}
	if len(o.Attr) == 0 {
		o.Attr = nil
	}
	o.Deleted = flags&flagDeleted != 0
	r.Chunked = flags&flagChunked != 0
	r.Rewritten = flags&flagRewritten != 0
	r.Derived = flags&flagDerived != 0
	return r, in.b, in.err
}

func appendReplicas(dst []byte, s cluster.ReplicaSet) []byte {
	dst = append(dst, byte(len(s)))
	for _, id := range s {
		dst = binary.BigEndian.AppendUint64(dst, uint64(id))
	}
	return dst
}

func (r *reader) replicas() cluster.ReplicaSet {
	s := r.nodes()
	if len(s) > cluster.ReplicaSetMax {
		r.fail("replica set of %d nodes: at most %d", len(s), cluster.ReplicaSetMax)
	}
	return s
}

// nodes reads a set of at most 255 nodes.
func (r *reader) nodes() cluster.ReplicaSet {
	n := int(r.u8())
	if r.err != nil || n == 0 {
		return nil
	}
	s := make(cluster.ReplicaSet, n)
	for i := range s {
		s[i] = cluster.NodeID(r.u64())
		if i > 0 && s[i] <= s[i-1] || s[i] == cluster.NoNode {
			r.fail("set of nodes is not ascending")
		}
	}
	return s
}

// AppendBody appends the value of contents that fit one chunk, or, without contents, the head
// of chunked ones: the key of the object they belong to, then the contents.
func AppendBody(dst, objectKey, contents []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(objectKey)))
	return append(append(dst, objectKey...), contents...)
}

// ParseBody reads what AppendBody wrote; both point into the value. The contents are not
// checked here: their SHA-256 stands in the object's record.
func ParseBody(value []byte) (objectKey, contents []byte, err error) {
	in := reader{b: value}
	objectKey = in.bytes(int(in.u16()))
	return objectKey, in.b, in.err
}

// ChunkHeadSize is the length of what stands before the contents in a chunk's value.
const ChunkHeadSize = crcSize

// SealChunk writes the head of a chunk's value, whose contents stand at value[ChunkHeadSize:].
func SealChunk(key, value []byte) {
	binary.BigEndian.PutUint32(value, checksum(key, value[ChunkHeadSize:]))
}

// ParseChunk gives a chunk's contents, which point into the value, after checking them.
func ParseChunk(key, value []byte) ([]byte, error) {
	in := reader{b: value}
	want := in.u32()
	if in.err != nil {
		return nil, in.err
	}
	if got := checksum(key, in.b); got != want {
		in.fail("checksum is %08x, want %08x", got, want)
	}
	if len(in.b) == 0 || len(in.b) > ChunkSize {
		in.fail("chunk of %d bytes: want 1 to %d", len(in.b), ChunkSize)
	}
	return in.b, in.err
}

// Chunks gives how many chunks contents of that size have.
func Chunks(size int64) uint32 { return uint32((size + ChunkSize - 1) / ChunkSize) }
