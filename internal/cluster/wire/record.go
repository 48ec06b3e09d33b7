package wire

import (
	"errors"
	"math"
	"strings"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/wire/field"
)

// AppendRecord writes the fields of a Record.
func AppendRecord(b []byte, rec *cluster.Record) []byte {
	b = field.Message(b, 1, func(b []byte) []byte { return AppendObjectID(b, rec.ID) })
	b = field.Message(b, 2, func(b []byte) []byte { return appendTimestamp(b, rec.Timestamp) })
	b = field.Bool(b, 3, rec.Deleted)
	b = field.PackedFixed(b, 4, rec.Replicas)
	b = field.PackedFixed(b, 5, rec.Targets)
	return field.Uint(b, 6, natural(rec.Retired))
}

// UnmarshalRecord reads what AppendRecord writes. The record has an id and a timestamp, and its
// replicas and targets are sets.
func UnmarshalRecord(b []byte) (rec cluster.Record, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			rec.ID = field.Decode(r, UnmarshalObjectID)
		case 2:
			rec.Timestamp = field.Decode(r, unmarshalTimestamp)
		case 3:
			rec.Deleted = r.Bool()
		case 4:
			rec.Replicas = replicas(r)
		case 5:
			rec.Targets = nodeSet(r, TargetsMax)
		case 6:
			rec.Retired = r.Count()
		}
	}
	if rec.ID.Owner == "" || rec.Timestamp.IsZero() {
		r.Fail("update record without an object or a timestamp")
	}
	return rec, r.Err()
}

// AppendRetirement writes the fields of a Retirement.
func AppendRetirement(b []byte, q *cluster.Retirement) []byte {
	b = field.Message(b, 1, func(b []byte) []byte { return AppendObjectID(b, q.ID) })
	b = field.Message(b, 2, func(b []byte) []byte { return appendTimestamp(b, q.Timestamp) })
	return field.PackedFixed(b, 3, q.Targets)
}

// UnmarshalRetirement reads what AppendRetirement writes. It has an id and a timestamp, and its
// targets are a set.
func UnmarshalRetirement(b []byte) (q cluster.Retirement, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			q.ID = field.Decode(r, UnmarshalObjectID)
		case 2:
			q.Timestamp = field.Decode(r, unmarshalTimestamp)
		case 3:
			q.Targets = nodeSet(r, TargetsMax)
		}
	}
	if q.ID.Owner == "" || q.Timestamp.IsZero() {
		r.Fail("retirement without an object or a timestamp")
	}
	return q, r.Err()
}

// Refusal is the text of an error in a Reply, a Derived or a Copy that was read: what the other node
// said. The Err there is a cluster.Error of that node's kind around it.
type Refusal struct{ Text string }

func (e *Refusal) Error() string { return e.Text }

// RefusalTextMax is how many bytes of an error's text travel in a Reply, a Derived or a Copy.
const RefusalTextMax = 512

// AppendReply writes the fields of a Reply. Of an error, its kind and its text are written.
func AppendReply(b []byte, p *replication.Reply) []byte {
	b = field.Uint(b, 1, uint64(p.Verdict))
	b = field.Message(b, 2, func(b []byte) []byte { return appendTimestamp(b, p.Have) })
	b = field.Bool(b, 3, p.Want)
	if p.Err == nil {
		return b
	}
	return field.Element(b, 4, func(b []byte) []byte { return appendRefusal(b, p.Err) })
}

// appendRefusal writes the fields of an error: its kind and its text.
func appendRefusal(b []byte, err error) []byte {
	b = field.Uint(b, 1, uint64(cluster.KindOf(err)))
	return field.String(b, 2, refusalText(err))
}

// refusalText is the text of an error, cut to what may travel.
func refusalText(err error) string {
	var read *Refusal
	if errors.As(err, &read) {
		err = read // passed on as it came
	}
	text := strings.ToValidUTF8(err.Error(), "?")
	return strings.ToValidUTF8(text[:min(len(text), RefusalTextMax)], "") // cut within a character
}

// UnmarshalReply reads what AppendReply writes. It says one thing: what became of the update, that
// its contents are wanted, or why it was refused.
func UnmarshalReply(b []byte) (p replication.Reply, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			p.Verdict = replication.Verdict(r.UintMax(uint64(replication.Older)))
		case 2:
			p.Have = field.Decode(r, unmarshalTimestamp)
		case 3:
			p.Want = r.Bool()
		case 4:
			p.Err = field.Decode(r, func(b []byte) (error, error) { return unmarshalRefusal(b, "apply at a target") })
		}
	}
	if p.Err == nil && !p.Want && (p.Verdict == 0 || p.Have.IsZero()) {
		r.Fail("reply of verdict %d with timestamp %v says nothing", p.Verdict, p.Have)
	}
	return p, r.Err()
}

// unmarshalRefusal reads what appendRefusal writes. op is what was refused.
func unmarshalRefusal(b []byte, op string) (error, error) { //nolint:revive // the value read is an error too
	e := &cluster.Error{Op: op}
	text := ""
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			e.Kind = cluster.Kind(min(r.Uint(), math.MaxUint8))
		case 2:
			text = r.String(RefusalTextMax)
		}
	}
	e.Err = &Refusal{Text: text}
	return e, r.Err()
}
