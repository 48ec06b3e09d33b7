package search

import (
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// Limits of a tree of keys. Compile refuses what is over them with cluster.KindLimit.
const (
	KeysMax   = 4096 // keys in a tree, And, Or and Not included
	DepthMax  = 100  // And, Or and Not inside each other
	NeedleMax = 1024 // octets of the text of one key, as UTF-8
	FieldMax  = 256  // octets of the name of a header field
	// NeedlesMax bounds the different texts that are looked for in the contents: each costs a pass over them.
	NeedlesMax = 64
)

// Op is what a key asks.
type Op uint8

// The operations. In brackets the members of Key that they use.
const (
	OpAll     Op = iota // every message
	OpAnd               // [Keys] all of them; none: every message
	OpOr                // [Keys] one of them at least; none: no message
	OpNot               // [Keys] not the one key given
	OpUIDs              // [UIDs] UID, a sequence set, or the saved result "$", translated by the caller
	OpFlag              // [Flag] the flag or keyword is set
	OpLarger            // [Number] RFC822.SIZE is larger, in octets
	OpSmaller           // [Number] RFC822.SIZE is smaller

	OpBefore // [Day] INTERNALDATE, in the zone in which the summary has it, its time disregarded
	OpOn
	OpSince
	OpSentBefore // [Day] the Date field, in the zone that it gives; a message without one matches none of these
	OpSentOn
	OpSentSince
	OpSavedBefore // [Day] SAVEDATE (RFC 8514)
	OpSavedOn
	OpSavedSince
	OpOlder   // [Number] WITHIN (RFC 5032): INTERNALDATE is at least so many seconds ago
	OpYounger // [Number] INTERNALDATE is at most so many seconds ago

	OpModSeq   // [Number] the modification sequence is that or larger (RFC 7162 §3.1.5)
	OpEmailID  // [Text] EMAILID (RFC 8474 §6)
	OpThreadID // [Text] THREADID, as ThreadID makes it

	OpHeader // [Field, Text] a field of that name has the text; the empty text: there is such a field
	OpBody   // [Text] RFC 9051 BODY
	OpText   // [Text] RFC 9051 TEXT

	opEnd
)

// Key is one search key. BCC, CC, FROM, SUBJECT and TO are OpHeader. NEW, OLD and RECENT need no key: nothing is
// recent here (RFC 9051 has no \Recent), so OLD is OpAll and the others are None.
//
// A key is plain data: it can be written as JSON and read again, to be evaluated where the messages are.
type Key struct {
	Op     Op
	Keys   []Key       `json:",omitempty"`
	UIDs   mail.UIDSet `json:",omitempty"`
	Flag   mail.Flag   `json:",omitempty"` // canonical
	Number uint64      `json:",omitempty"`
	Day    Day         `json:",omitempty"`
	Field  string      `json:",omitempty"` // without regard to case
	Text   string      `json:",omitempty"` // UTF-8; see DecodeText
}

// And is all of keys, Or any of them, Not the other messages, None no message.
func And(keys ...Key) Key { return Key{Op: OpAnd, Keys: keys} }

// Or is any of keys.
func Or(keys ...Key) Key { return Key{Op: OpOr, Keys: keys} }

// Not is the messages that key is not.
func Not(key Key) Key { return Key{Op: OpNot, Keys: []Key{key}} }

// None is no message.
func None() Key { return Key{Op: OpOr} }

// Flag is the messages with a flag or keyword, in its canonical form.
func Flag(f mail.Flag) Key { return Key{Op: OpFlag, Flag: f} }

// Header is the messages with text in a field of that name.
func Header(field, text string) Key { return Key{Op: OpHeader, Field: field, Text: text} }

// Day is a day of the calendar, counted from 1 January 1970, without a zone.
type Day int32

// DayOf gives the day that a moment falls on in its own location.
func DayOf(t time.Time) Day {
	y, m, d := t.Date()
	return Day(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / (24 * 3600)) // a whole number of days
}

// check counts the keys of a tree and refuses one that breaks a limit. Depth is bounded BEFORE anything else
// descends into the tree.
func (k *Key) check(depth int, count *int) error {
	const op = "compile search"
	*count++
	switch {
	case *count > KeysMax:
		return cluster.Errorf(cluster.KindLimit, op, "more than %d search keys", KeysMax)
	case depth > DepthMax:
		return cluster.Errorf(cluster.KindLimit, op, "search keys nested deeper than %d", DepthMax)
	case len(k.Text) > NeedleMax:
		return cluster.Errorf(cluster.KindLimit, op, "a text of %d octets to look for, at most %d", len(k.Text), NeedleMax)
	case len(k.Field) > FieldMax:
		return cluster.Errorf(cluster.KindLimit, op, "a field name of %d octets, at most %d", len(k.Field), FieldMax)
	case k.Op >= opEnd:
		return cluster.Errorf(cluster.KindInvalid, op, "unknown search key %d", k.Op)
	case k.Op == OpNot && len(k.Keys) != 1:
		return cluster.Errorf(cluster.KindInvalid, op, "NOT of %d keys", len(k.Keys))
	case k.Op == OpHeader && k.Field == "":
		return cluster.Errorf(cluster.KindInvalid, op, "HEADER without a field name")
	}
	for i := range k.Keys {
		if err := k.Keys[i].check(depth+1, count); err != nil {
			return err
		}
	}
	return nil
}
