package talk

import (
	"encoding/binary"
	"time"

	"porcupine/internal/cluster/octets"
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

// reader goes through octets, and knows the order of fields and the limits of what is in them.
type reader struct {
	octets.Reader
	last int // the number of the last field
}

func newReader(op string, b []byte) *reader {
	r := &reader{Reader: octets.New(op, b)}
	if r.Left() > SizeMax {
		r.Fail("%d octets, at most %d allowed", r.Left(), SizeMax)
	}
	if v := r.U8(); r.Err() == nil && v != version {
		r.Fail("version %d: this program reads version %d", v, version)
	}
	return r
}

// field gives the number of the next field; 0 at the end or after a fault.
func (r *reader) field() int {
	if r.Err() != nil || r.Left() == 0 {
		return 0
	}
	f := int(r.U8())
	if f <= r.last {
		r.Fail("field %d comes after field %d", f, r.last)
		return 0
	}
	r.last = f
	return f
}

func (r *reader) uint(limit uint64) uint64 {
	v := r.Uvarint()
	if v > limit {
		r.Fail("the number %d is above %d", v, limit)
		return 0
	}
	return v
}

// some is uint of a field, which is not written if it is zero.
func (r *reader) some(limit uint64) uint64 {
	v := r.uint(limit)
	if v == 0 {
		r.Fail("a field is zero")
	}
	return v
}

// count reads how many elements follow, each of at least one octet.
func (r *reader) count(limit int) int {
	n := int(r.uint(uint64(limit)))
	if n > r.Left() {
		r.Fail("%d elements in %d octets", n, r.Left())
		return 0
	}
	return n
}

func (r *reader) text(limit int) string { return string(r.Take(int(r.uint(uint64(limit))))) }

func (r *reader) someText(limit int) string {
	s := r.text(limit)
	if s == "" {
		r.Fail("a field is empty")
	}
	return s
}

func (r *reader) id() (id [16]byte) {
	copy(id[:], r.Take(len(id)))
	return id
}

func (r *reader) someID() [16]byte {
	id := r.id()
	if id == [16]byte{} {
		r.Fail("a field is zero")
	}
	return id
}

func (r *reader) time() time.Time {
	switch r.U8() {
	case 0: // none, or a fault
		return time.Time{}
	case 1:
		at := time.Unix(0, int64(r.U64())).UTC()
		if r.Err() != nil {
			return time.Time{}
		}
		return at
	}
	r.Fail("a time is broken")
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
			r.Fail("a set of UIDs is out of order, or above the largest UID")
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
		r.Fail("a field is empty")
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
		r.Fail("a list is empty")
		return nil
	}
	list := make([]T, 0, min(n, 64)) // an element is larger than an octet
	for range n {
		var v T
		each(r, &v)
		if r.Err() != nil {
			return nil
		}
		list = append(list, v)
	}
	return list
}
