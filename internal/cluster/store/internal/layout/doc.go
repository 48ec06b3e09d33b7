// Package layout turns the hard state's keys and values into bytes and back. It is pure: no
// I/O, no clock. docs/format.md describes every key and value byte by byte; that file and this
// package change together, and [FormatVersion] with them.
//
// All integers are big-endian, so that keys sort by number. Every value except contents ends
// in a CRC-32C over its key and its bytes: a value that lies under the wrong key, or that was
// changed in memory before the storage engine added its own checksum, is noticed.
package layout

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// FormatVersion is the version of everything described in docs/format.md. A directory of
// FormatOldest or later is read and upgraded; any other version is refused.
const (
	FormatVersion = 3
	FormatOldest  = 1
)

// The first byte of most values. Those of object records and of the state were 1 in format version
// 1 and are 2 since. Version 3 changed no value: it added inline types and derived data.
const (
	valueVersion  = 1
	recordVersion = 2
	stateVersion  = 2
)

const crcSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli) // read-only

// appendCRC closes a value: dst[start:] is the value so far, stored under key.
func appendCRC(dst, key []byte, start int) []byte {
	return binary.BigEndian.AppendUint32(dst, checksum(key, dst[start:]))
}

func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, key), castagnoli, value)
}

// openCRC checks a closed value and gives it without its checksum.
func openCRC(key, value []byte) ([]byte, error) {
	if len(value) < crcSize {
		return nil, fmt.Errorf("value of %d bytes is too short", len(value))
	}
	body := value[:len(value)-crcSize]
	if got, want := checksum(key, body), binary.BigEndian.Uint32(value[len(body):]); got != want {
		return nil, fmt.Errorf("checksum is %08x, want %08x", got, want)
	}
	return body, nil
}

// reader takes a value apart. After the first thing that is missing, all further ones are zero
// and err is set.
type reader struct {
	b   []byte
	err error
}

func (r *reader) bytes(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 || len(r.b) < n {
		r.err = fmt.Errorf("value ends early: want %d bytes, have %d", n, len(r.b))
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) u8() uint8 {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if b := r.bytes(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// count reads a u64 that must fit a non-negative int64.
func (r *reader) count(what string) int64 {
	v := r.u64()
	if v > 1<<63-1 {
		r.fail("%s %d is negative", what, int64(v))
		return 0
	}
	return int64(v)
}

func (r *reader) version() { r.versionTo(valueVersion) }

// versionTo reads the version of a value of which all versions up to newest are known.
func (r *reader) versionTo(newest uint8) uint8 {
	v := r.u8()
	if r.err == nil && (v == 0 || v > newest) {
		r.fail("value version %d, want 1 to %d", v, newest)
	}
	return v
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// end demands that nothing is left.
func (r *reader) end() error {
	if r.err == nil && len(r.b) != 0 {
		r.fail("%d bytes too many", len(r.b))
	}
	return r.err
}
