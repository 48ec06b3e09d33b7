package wire

import (
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/wire/field"
)

// Limits of names.
const (
	NameLengthMax = 255 // bytes of a node's name
	AddrLengthMax = 255 // bytes of host:port
)

// AppendEpoch writes the fields of an Epoch.
func AppendEpoch(b []byte, e cluster.Epoch) []byte {
	b = field.Uint(b, 1, e.Counter)
	return field.Fixed(b, 2, uint64(e.Coordinator))
}

// UnmarshalEpoch reads what AppendEpoch writes.
func UnmarshalEpoch(b []byte) (e cluster.Epoch, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			e.Counter = r.Uint()
		case 2:
			e.Coordinator = cluster.NodeID(r.Fixed())
		}
	}
	return e, r.Err()
}

// appendTimestamp writes the fields of a Timestamp.
func appendTimestamp(b []byte, t cluster.Timestamp) []byte {
	b = field.Fixed(b, 1, uint64(t.Time))
	return field.Fixed(b, 2, uint64(t.Node))
}

// unmarshalTimestamp reads what appendTimestamp writes.
func unmarshalTimestamp(b []byte) (t cluster.Timestamp, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			t.Time = int64(r.Fixed())
		case 2:
			t.Node = cluster.NodeID(r.Fixed())
		}
	}
	return t, r.Err()
}

// AppendLoad writes the fields of a Load.
func AppendLoad(b []byte, l *cluster.Load) []byte {
	b = field.Uint(b, 1, natural(l.Pending))
	b = field.Uint(b, 2, natural(l.Commit))
	b = field.Bool(b, 3, l.DiskFull)
	b = field.Uint(b, 4, natural(l.DiskFree))
	b = field.Uint(b, 5, natural(l.Objects))
	b = field.Uint(b, 6, natural(l.Owners))
	b = field.Bool(b, 7, l.Draining)
	b = field.Bool(b, 8, l.Sole)
	return field.Fixed(b, 9, uint64(l.Machine))
}

// natural is what is written of a number that cannot be negative: a negative one counts as none.
func natural[T ~int | ~int64](v T) uint64 { return uint64(max(v, 0)) }

// UnmarshalLoad reads what AppendLoad writes.
func UnmarshalLoad(b []byte) (l cluster.Load, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			l.Pending = int(r.Count())
		case 2:
			l.Commit = time.Duration(r.Count())
		case 3:
			l.DiskFull = r.Bool()
		case 4:
			l.DiskFree = r.Count()
		case 5:
			l.Objects = r.Count()
		case 6:
			l.Owners = r.Count()
		case 7:
			l.Draining = r.Bool()
		case 8:
			l.Sole = r.Bool()
		case 9:
			l.Machine = cluster.Machine(r.Fixed())
		}
	}
	return l, r.Err()
}

// AppendStamp writes the fields of a Stamp.
func AppendStamp(b []byte, s *cluster.Stamp) []byte {
	b = field.Fixed(b, 1, uint64(s.From))
	b = field.Message(b, 2, func(b []byte) []byte { return AppendEpoch(b, s.Epoch) })
	b = field.Message(b, 3, func(b []byte) []byte { return appendTimestamp(b, s.Clock) })
	return field.Message(b, 4, func(b []byte) []byte { return AppendLoad(b, &s.Load) })
}

// UnmarshalStamp reads what AppendStamp writes.
func UnmarshalStamp(b []byte) (s cluster.Stamp, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			s.From = cluster.NodeID(r.Fixed())
		case 2:
			s.Epoch = field.Decode(r, UnmarshalEpoch)
		case 3:
			s.Clock = field.Decode(r, unmarshalTimestamp)
		case 4:
			s.Load = field.Decode(r, UnmarshalLoad)
		}
	}
	return s, r.Err()
}

// appendEndpoint writes the fields of an Endpoint.
func appendEndpoint(b []byte, e cluster.Endpoint) []byte {
	b = field.Fixed(b, 1, uint64(e.ID))
	b = field.String(b, 2, e.Name)
	return field.String(b, 3, e.Addr)
}

// unmarshalEndpoint reads what appendEndpoint writes.
func unmarshalEndpoint(b []byte) (e cluster.Endpoint, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			e.ID = cluster.NodeID(r.Fixed())
		case 2:
			e.Name = r.String(NameLengthMax)
		case 3:
			e.Addr = r.String(AddrLengthMax)
		}
	}
	return e, r.Err()
}
