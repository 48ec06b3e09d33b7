package talk

import (
	"encoding/binary"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

const version = 1

// writer appends fields. A field's number goes before what is written, by begin.
type writer struct{ b []byte }

func (w *writer) uint(v uint64)   { w.b = binary.AppendUvarint(w.b, v) }
func (w *writer) raw(p []byte)    { w.b = append(w.b, p...) }
func (w *writer) text(s string)   { w.uint(uint64(len(s))); w.b = append(w.b, s...) }
func (w *writer) begin(field int) { w.b = append(w.b, byte(field)) }

func (w *writer) time(t time.Time) {
	if t.IsZero() {
		w.uint(0)
		return
	}
	w.b = append(w.b, 1)
	w.b = binary.BigEndian.AppendUint64(w.b, uint64(t.UnixNano()))
}

func (w *writer) set(s mail.UIDSet) {
	w.uint(uint64(len(s)))
	var end mail.UID
	for _, r := range s {
		w.uint(uint64(r.First - end))
		w.uint(uint64(r.Last - r.First))
		end = r.Last
	}
}

func (w *writer) flags(fs []mail.Flag) {
	w.uint(uint64(len(fs)))
	for _, f := range fs {
		w.text(string(f))
	}
}

func (w *writer) uids(us []mail.UID) {
	w.uint(uint64(len(us)))
	for _, u := range us {
		w.uint(uint64(u))
	}
}

// Fields that are left out when they are zero.

func (w *writer) fieldUint(field int, v uint64) {
	if v != 0 {
		w.begin(field)
		w.uint(v)
	}
}

func (w *writer) fieldText(field int, s string) {
	if s != "" {
		w.begin(field)
		w.text(s)
	}
}

func (w *writer) fieldID(field int, id [16]byte) {
	if id != [16]byte{} {
		w.begin(field)
		w.raw(id[:])
	}
}

func (w *writer) fieldBool(field int, on bool) {
	if on {
		w.begin(field)
	}
}

func (w *writer) fieldSet(field int, s mail.UIDSet) {
	if len(s) > 0 {
		w.begin(field)
		w.set(s)
	}
}

// fieldList writes a list that is not empty.
func fieldList[T any](w *writer, field int, list []T, each func(*writer, *T)) {
	if len(list) == 0 {
		return
	}
	w.begin(field)
	w.uint(uint64(len(list)))
	for i := range list {
		each(w, &list[i])
	}
}

// reader goes through bytes; after the first fault it gives zeros.
type reader struct {
	op   string
	rest []byte
	err  error
	last int // the number of the last field
}

func newReader(op string, b []byte) *reader {
	r := &reader{op: op, rest: b}
	if len(b) > SizeMax {
		r.fail("%d octets, at most %d allowed", len(b), SizeMax)
	} else if v := r.u8(); r.err == nil && v != version {
		r.fail("version %d: this program reads version %d", v, version)
	}
	return r
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = cluster.Errorf(cluster.KindInvalid, r.op, format, args...)
		r.rest = nil
	}
}

// field gives the number of the next field; 0 at the end or after a fault.
func (r *reader) field() int {
	if r.err != nil || len(r.rest) == 0 {
		return 0
	}
	f := int(r.u8())
	if f <= r.last {
		r.fail("field %d comes after field %d", f, r.last)
		return 0
	}
	r.last = f
	return f
}

func (r *reader) take(n int) []byte {
	if n < 0 || len(r.rest) < n {
		r.fail("broken off: %d octets left, %d wanted", len(r.rest), n)
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) u8() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint(limit uint64) uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || n > 1 && r.rest[n-1] == 0 || v > limit {
		r.fail("a number is broken, or above %d", limit)
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// some is uint of a field, which is not written if it is zero.
func (r *reader) some(limit uint64) uint64 {
	v := r.uint(limit)
	if v == 0 {
		r.fail("a field is zero")
	}
	return v
}

// count reads how many elements follow, each of at least one octet.
func (r *reader) count(limit int) int {
	n := int(r.uint(uint64(limit)))
	if n > len(r.rest) {
		r.fail("%d elements in %d octets", n, len(r.rest))
		return 0
	}
	return n
}

func (r *reader) text(limit int) string { return string(r.take(int(r.uint(uint64(limit))))) }

func (r *reader) someText(limit int) string {
	s := r.text(limit)
	if s == "" {
		r.fail("a field is empty")
	}
	return s
}

func (r *reader) id() (id [16]byte) {
	copy(id[:], r.take(len(id)))
	return id
}

func (r *reader) someID() [16]byte {
	id := r.id()
	if id == [16]byte{} {
		r.fail("a field is zero")
	}
	return id
}

func (r *reader) time() time.Time {
	switch r.u8() {
	case 0:
		return time.Time{}
	case 1:
		if b := r.take(8); b != nil {
			return time.Unix(0, int64(binary.BigEndian.Uint64(b))).UTC()
		}
		return time.Time{}
	}
	r.fail("a time is broken")
	return time.Time{}
}

func (r *reader) uid() mail.UID { return mail.UID(r.uint(1<<32 - 1)) }

func (r *reader) set() mail.UIDSet {
	n := r.count(RangesMax)
	if n == 0 {
		return nil
	}
	s := make(mail.UIDSet, 0, n)
	var end uint64
	for i := range n {
		first := end + r.uint(1<<32-1)
		last := first + r.uint(1<<32-1)
		if first == 0 || i > 0 && first < end+2 || last > 1<<32-1 {
			r.fail("a set of UIDs is out of order, or above the largest UID")
			return nil
		}
		s = append(s, mail.UIDRange{First: mail.UID(first), Last: mail.UID(last)})
		end = last
	}
	return s
}

func (r *reader) someSet() mail.UIDSet {
	s := r.set()
	if len(s) == 0 {
		r.fail("a field is empty")
	}
	return s
}

func (r *reader) flags(limit int) []mail.Flag {
	n := r.count(limit)
	if n == 0 {
		return nil
	}
	fs := make([]mail.Flag, 0, n)
	for range n {
		fs = append(fs, mail.Flag(r.text(FlagSizeMax)))
	}
	return fs
}

func (r *reader) uids() []mail.UID {
	n := r.count(PageMax)
	if n == 0 {
		return nil
	}
	us := make([]mail.UID, 0, n)
	for range n {
		us = append(us, r.uid())
	}
	return us
}

// readList reads a list that is not empty.
func readList[T any](r *reader, limit int, each func(*reader, *T)) []T {
	n := r.count(limit)
	if n == 0 {
		r.fail("a list is empty")
		return nil
	}
	list := make([]T, 0, min(n, 64)) // an element is larger than an octet
	for range n {
		var v T
		each(r, &v)
		if r.err != nil {
			return nil
		}
		list = append(list, v)
	}
	return list
}

func (r *reader) end() error { return r.err }
