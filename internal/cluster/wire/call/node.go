package call

import (
	"strings"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/wire"
	"porcupine/internal/cluster/wire/field"
)

// Marshal writes the request.
func (q *ServiceRequest) Marshal() []byte {
	b := field.String(nil, 1, q.Owner)
	b = field.String(b, 2, q.Method)
	return field.Bytes(b, 3, q.Payload)
}

// Unmarshal reads what Marshal writes. The payload is a copy.
func (q *ServiceRequest) Unmarshal(b []byte) error {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			q.Owner = r.Raw(cluster.OwnerLengthMax)
		case 2:
			q.Method = r.String(ServiceMethodMax)
		case 3:
			q.Payload = r.Bytes(ServiceSizeMax)
		}
	}
	need(r, "service call", q.Method != "", "method")
	return r.Err()
}

// Marshal writes the answer. A longer version than VersionLengthMax is cut.
func (a *StatusAnswer) Marshal() []byte {
	b := field.String(nil, 1, strings.ToValidUTF8(a.Version[:min(len(a.Version), VersionLengthMax)], ""))
	b = appendEpoch(b, 2, a.Epoch)
	b = field.Message(b, 3, func(b []byte) []byte { return wire.AppendLoad(b, &a.Load) })
	b = field.Uint(b, 4, uint64(max(a.Buckets, 0)))
	b = field.Uint(b, 5, uint64(max(a.Incomplete, 0)))
	b = field.Uint(b, 6, uint64(max(a.Pending, 0)))
	b = field.Uint(b, 7, uint64(max(a.Counted, 0)))
	return field.String(b, 8, a.Machine)
}

// Unmarshal reads what Marshal writes.
func (a *StatusAnswer) Unmarshal(b []byte) error {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			a.Version = r.String(VersionLengthMax)
		case 2:
			a.Epoch = readEpoch(r)
		case 3:
			a.Load = field.Decode(r, wire.UnmarshalLoad)
		case 4:
			a.Buckets = int(r.UintMax(cluster.BucketCount))
		case 5:
			a.Incomplete = int(r.UintMax(cluster.BucketCount))
		case 6:
			a.Pending = int(r.Count())
		case 7:
			a.Counted = r.Count()
		case 8:
			a.Machine = r.String(wire.NameLengthMax)
		}
	}
	return r.Err()
}
