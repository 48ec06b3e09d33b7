package iowatch

import (
	"sync/atomic"
	"time"
)

// Deed is what somebody waits for the disk to do.
type Deed uint8

// The deeds that commits wait for. A flush or a compaction that takes long delays nobody for a while, so
// it is not among them.
const (
	DeedNone  Deed = iota
	DeedWrite      // writing to the log
	DeedSync       // an fsync of the log, or of the directory
	DeedMake       // making, recycling or closing a log
	DeedRead       // reading what an update touches
	DeedAsk        // asking how much room there is

	deedMax = DeedAsk
)

var deedNames = [...]string{"", "a write to the log", "an fsync", "the making of a log", "a read", "a question for the free space"}

// String says it for people.
func (d Deed) String() string {
	if d <= deedMax {
		return deedNames[d]
	}
	return "an unknown deed"
}

// Limits of what is watched at once.
const (
	// placesMax bounds the deeds watched at once. The log has one writer and the store one committer, so
	// more are not under way for long; what finds no place is not watched, while those that have
	// one are.
	placesMax = 8
	deedBits  = 3 // of a place; the rest is when it began
)

// Underway tells for how long the disk has owed an answer. Any goroutine may begin and end a deed.
type Underway struct {
	now    func() time.Time
	origin time.Time
	places [placesMax]atomic.Int64 // when it began, since origin, and what it is; 0: free
}

// NewUnderway makes one that reads now.
func NewUnderway(now func() time.Time) *Underway {
	return &Underway{now: now, origin: now().Add(-time.Nanosecond)} // no deed begins at 0
}

// Begin notes a deed that begins, and gives the place that End wants.
func (u *Underway) Begin(d Deed) int {
	stamp := max(1, int64(u.now().Sub(u.origin)))<<deedBits | int64(d)
	for i := range u.places {
		if u.places[i].CompareAndSwap(0, stamp) {
			return i
		}
	}
	return placesMax
}

// End notes the end of the deed that has the place.
func (u *Underway) End(place int) {
	if place < placesMax {
		u.places[place].Store(0)
	}
}

// Oldest gives for how long the oldest deed has been under way, and what it is: 0 and DeedNone if
// there is none.
func (u *Underway) Oldest() (time.Duration, Deed) {
	oldest := int64(0)
	for i := range u.places {
		if s := u.places[i].Load(); s != 0 && (oldest == 0 || s < oldest) {
			oldest = s
		}
	}
	if oldest == 0 {
		return 0, DeedNone
	}
	began := time.Duration(oldest >> deedBits)
	return max(time.Nanosecond, u.now().Sub(u.origin)-began), Deed(oldest & (1<<deedBits - 1))
}
