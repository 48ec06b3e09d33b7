package layout

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"porcupine/internal/cluster"
)

// Prefix is the first byte of a key: what kind of record it is.
type Prefix byte

// The prefixes. Small records lie together, before PrefixBody; contents, which are large and die
// young, lie behind them, and what is derived from them. The engine is told to end its tables at these
// borders (see [ContentsBorder]), so that moving contents never drags records along.
const (
	PrefixCached Prefix = 'C' // objects of cached types, contents included
	PrefixFormat Prefix = 'F' // the format record
	PrefixHeader Prefix = 'H' // one header an owner
	PrefixIntent Prefix = 'I' // contents being written in chunks
	PrefixMeta   Prefix = 'M' // small named values
	PrefixObject Prefix = 'O' // objects of the other types, contents included if the type is inline
	PrefixState  Prefix = 'S' // the state record
	PrefixUpdate Prefix = 'U' // update records, of objects of all types
	PrefixVault  Prefix = 'V' // deleted objects whose contents are kept, by object
	PrefixOldest Prefix = 'W' // the same by time of deletion
	PrefixBody   Prefix = 'b' // contents, or the head of chunked contents
	PrefixChunk  Prefix = 'c' // chunks of large contents
	PrefixDerive Prefix = 'd' // data derived from contents
)

// ContentsBorder gives the first border between records, bodies, chunks and derived data that lies
// behind a key; nil if there is none.
func ContentsBorder(key []byte) []byte {
	switch {
	case len(key) == 0 || Prefix(key[0]) < PrefixBody:
		return []byte{byte(PrefixBody)}
	case Prefix(key[0]) < PrefixChunk:
		return []byte{byte(PrefixChunk)}
	case Prefix(key[0]) < PrefixDerive:
		return []byte{byte(PrefixDerive)}
	}
	return nil
}

const (
	bucketSize = 2
	numberSize = 8
	indexSize  = 4
	separator  = 0 // ends the owner and the type in a key; neither may contain it
)

// FormatKey is the key of the format record, StateKey of the state record.
func FormatKey() []byte { return []byte{byte(PrefixFormat)} }

// StateKey is the key of the state record.
func StateKey() []byte { return []byte{byte(PrefixState)} }

// MetaKey is the key of a named value.
func MetaKey(name string) []byte { return append([]byte{byte(PrefixMeta)}, name...) }

// Bounds gives the key range of a prefix: [lower, upper).
func Bounds(p Prefix) (lower, upper []byte) { return []byte{byte(p)}, []byte{byte(p) + 1} }

// BucketBounds gives the key range of a prefix within a bucket.
func BucketBounds(p Prefix, b cluster.Bucket) (lower, upper []byte) {
	lower = binary.BigEndian.AppendUint16([]byte{byte(p)}, uint16(b))
	upper = binary.BigEndian.AppendUint16([]byte{byte(p)}, uint16(b)+1)
	return lower, upper
}

// OwnerBounds gives the key range of one owner's objects under PrefixCached or PrefixObject; a
// type narrows it to that type, "" means all.
func OwnerBounds(p Prefix, b cluster.Bucket, owner string, t cluster.ObjectType) (lower, upper []byte) {
	lower = appendOwner(p, b, owner)
	if t != "" {
		lower = append(append(lower, t...), separator)
	}
	upper = bytes.Clone(lower)
	upper[len(upper)-1] = separator + 1
	return lower, upper
}

func appendOwner(p Prefix, b cluster.Bucket, owner string) []byte {
	key := make([]byte, 0, 1+bucketSize+len(owner)+1+cluster.TypeLengthMax+1)
	key = binary.BigEndian.AppendUint16(append(key, byte(p)), uint16(b))
	return append(append(key, owner...), separator)
}

// AppendHeaderKey appends the key of an owner's header.
func AppendHeaderKey(dst []byte, b cluster.Bucket, owner string) []byte {
	dst = binary.BigEndian.AppendUint16(append(dst, byte(PrefixHeader)), uint16(b))
	return append(dst, owner...)
}

// ParseHeaderKey takes a header's key apart.
func ParseHeaderKey(key []byte) (cluster.Bucket, string, error) {
	if len(key) <= 1+bucketSize || Prefix(key[0]) != PrefixHeader {
		return 0, "", fmt.Errorf("header key %q: want prefix %q, bucket, owner", key, PrefixHeader)
	}
	b := cluster.Bucket(binary.BigEndian.Uint16(key[1:]))
	owner := string(key[1+bucketSize:])
	if err := checkNames(b, owner); err != nil {
		return 0, "", fmt.Errorf("header key %q: %w", key, err)
	}
	return b, owner, nil
}

// AppendObjectKey appends an object's key, under PrefixCached or PrefixObject, or the key of its
// update record, under PrefixUpdate.
func AppendObjectKey(dst []byte, p Prefix, b cluster.Bucket, id cluster.ObjectID) []byte {
	dst = binary.BigEndian.AppendUint16(append(dst, byte(p)), uint16(b))
	dst = append(append(dst, id.Owner...), separator)
	dst = append(append(dst, id.Type...), separator)
	return append(dst, id.ID...)
}

// AppendUpdateKey appends the key of an object's update record; objectKey is the object's, under
// any prefix.
func AppendUpdateKey(dst, objectKey []byte) []byte {
	return append(append(dst, byte(PrefixUpdate)), objectKey[1:]...)
}

// ParseObjectKey takes the key of an object or of an update record apart.
func ParseObjectKey(key []byte) (Prefix, cluster.Bucket, cluster.ObjectID, error) {
	var id cluster.ObjectID
	if len(key) < 1+bucketSize || Prefix(key[0]) != PrefixCached && Prefix(key[0]) != PrefixObject && Prefix(key[0]) != PrefixUpdate {
		return 0, 0, id, fmt.Errorf("object key %q: want prefix %q, %q or %q and a bucket", key, PrefixCached, PrefixObject, PrefixUpdate)
	}
	b := cluster.Bucket(binary.BigEndian.Uint16(key[1:]))
	owner, rest, ok1 := bytes.Cut(key[1+bucketSize:], []byte{separator})
	typ, last, ok2 := bytes.Cut(rest, []byte{separator})
	if !ok1 || !ok2 {
		return 0, 0, id, fmt.Errorf("object key %q: owner and type do not end", key)
	}
	id = cluster.ObjectID{Type: cluster.ObjectType(typ), Owner: string(owner), ID: string(last)}
	if err := checkNames(b, id.Owner); err != nil {
		return 0, 0, id, fmt.Errorf("object key %q: %w", key, err)
	}
	if err := CheckID(id); err != nil {
		return 0, 0, id, fmt.Errorf("object key %q: %w", key, err)
	}
	return Prefix(key[0]), b, id, nil
}

func checkNames(b cluster.Bucket, owner string) error {
	if b >= cluster.BucketCount {
		return fmt.Errorf("bucket %d: want less than %d", b, cluster.BucketCount)
	}
	return CheckOwner(owner)
}

// CheckOwner says why an owner's name cannot be stored.
func CheckOwner(owner string) error {
	switch {
	case owner == "":
		return fmt.Errorf("owner is empty")
	case len(owner) > cluster.OwnerLengthMax:
		return fmt.Errorf("owner has %d bytes: at most %d", len(owner), cluster.OwnerLengthMax)
	case strings.IndexByte(owner, separator) >= 0:
		return fmt.Errorf("owner %q contains a zero byte", owner)
	}
	return nil
}

// CheckType says why an object type's name cannot be stored.
func CheckType(t cluster.ObjectType) error {
	if t == "" || len(t) > cluster.TypeLengthMax {
		return fmt.Errorf("type %q: want 1 to %d letters", t, cluster.TypeLengthMax)
	}
	for i := range len(t) {
		if t[i] < 'a' || t[i] > 'z' {
			return fmt.Errorf("type %q: want lower-case letters only", t)
		}
	}
	return nil
}

// CheckID says why an object's names cannot be stored.
func CheckID(id cluster.ObjectID) error {
	if err := CheckType(id.Type); err != nil {
		return err
	}
	if err := CheckOwner(id.Owner); err != nil {
		return err
	}
	if len(id.ID) > cluster.ObjectIDLenMax { // empty: the one object of its type that the owner has
		return fmt.Errorf("id has %d bytes: at most %d", len(id.ID), cluster.ObjectIDLenMax)
	}
	return nil
}

// BodyKeySize, ChunkKeySize and DerivedKeySize are the lengths of the keys of bodies, of chunks and of
// derived data.
const (
	BodyKeySize    = 1 + numberSize
	ChunkKeySize   = 1 + numberSize + indexSize
	DerivedKeySize = 1 + numberSize
)

// AppendBodyKey appends the key of contents.
func AppendBodyKey(dst []byte, number uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, byte(PrefixBody)), number)
}

// AppendDerivedKey appends the key of what is derived from the contents of that number.
func AppendDerivedKey(dst []byte, number uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, byte(PrefixDerive)), number)
}

// AppendIntentKey appends the key of the intent record of chunked contents.
func AppendIntentKey(dst []byte, number uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, byte(PrefixIntent)), number)
}

// AppendChunkKey appends the key of one chunk of contents.
func AppendChunkKey(dst []byte, number uint64, index uint32) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, byte(PrefixChunk)), number)
	return binary.BigEndian.AppendUint32(dst, index)
}

// ChunkBounds gives the key range of all chunks of contents.
func ChunkBounds(number uint64) (lower, upper []byte) {
	lower = AppendChunkKey(nil, number, 0)
	upper = binary.BigEndian.AppendUint64([]byte{byte(PrefixChunk)}, number+1)
	return lower, upper
}

// ParseNumberKey takes the key of contents, of derived data or of an intent apart.
func ParseNumberKey(key []byte) (Prefix, uint64, error) {
	if len(key) != 1+numberSize || Prefix(key[0]) != PrefixBody && Prefix(key[0]) != PrefixIntent && Prefix(key[0]) != PrefixDerive {
		return 0, 0, fmt.Errorf("key %q: want prefix %q, %q or %q and a number", key, PrefixBody, PrefixIntent, PrefixDerive)
	}
	return Prefix(key[0]), binary.BigEndian.Uint64(key[1:]), nil
}

// ParseChunkKey takes a chunk's key apart.
func ParseChunkKey(key []byte) (number uint64, index uint32, err error) {
	if len(key) != ChunkKeySize || Prefix(key[0]) != PrefixChunk {
		return 0, 0, fmt.Errorf("chunk key %q: want prefix %q, number, index", key, PrefixChunk)
	}
	return binary.BigEndian.Uint64(key[1:]), binary.BigEndian.Uint32(key[1+numberSize:]), nil
}
