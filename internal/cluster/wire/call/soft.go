package call

import (
	"math"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/softstate"
	"porcupine/internal/cluster/wire"
	"porcupine/internal/cluster/wire/field"
)

// Marshal writes the request.
func (q *PushRequest) Marshal() []byte {
	b := appendEpoch(nil, 1, q.Epoch)
	for i := range q.Holdings {
		b = field.Element(b, 2, func(b []byte) []byte { return wire.AppendHolding(b, &q.Holdings[i]) })
	}
	return field.PackedUints(b, 3, len(q.Complete), func(i int) uint64 { return uint64(q.Complete[i]) })
}

// Unmarshal reads what Marshal writes.
func (q *PushRequest) Unmarshal(b []byte) error {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			q.Epoch = readEpoch(r)
		case 2:
			if r.Room(len(q.Holdings), softstate.PushHoldingsMax) {
				q.Holdings = append(q.Holdings, readHolding(r))
			}
		case 3:
			r.PackedUints(softstate.PushCompleteMax, func(v uint64) {
				if v >= cluster.BucketCount {
					r.Fail("push: there is no bucket %d", v)
					return
				}
				q.Complete = append(q.Complete, cluster.Bucket(v))
			})
		}
	}
	need(r, "push", !q.Epoch.IsZero(), "epoch")
	return r.Err()
}

// Marshal writes the request.
func (q *LookupRequest) Marshal() []byte { return field.String(nil, 1, q.Owner) }

// Unmarshal reads what Marshal writes.
func (q *LookupRequest) Unmarshal(b []byte) error {
	r := field.Read(b)
	for r.Next() {
		if r.Num() == 1 {
			q.Owner = r.Raw(cluster.OwnerLengthMax)
		}
	}
	need(r, "lookup", q.Owner != "", "owner")
	return r.Err()
}

// Marshal writes the answer.
func (a *LookupAnswer) Marshal() []byte {
	return field.Message(nil, 1, func(b []byte) []byte { return wire.AppendEntry(b, &a.Entry) })
}

// Unmarshal reads what Marshal writes.
func (a *LookupAnswer) Unmarshal(b []byte) error {
	r := field.Read(b)
	for r.Next() {
		if r.Num() == 1 {
			a.Entry = field.Decode(r, wire.UnmarshalEntry)
		}
	}
	need(r, "lookup answer", a.Entry.Owner != "", "entry")
	return r.Err()
}

// MarshalListQuery writes the request for a page of a manager's cached objects.
func MarshalListQuery(q softstate.ListQuery) []byte {
	b := field.String(nil, 1, string(q.Type))
	b = field.Uint(b, 2, uint64(q.After.Bucket))
	b = field.String(b, 3, q.After.Owner)
	return field.Uint(b, 4, uint64(page(q.Max, softstate.ListMax)))
}

// UnmarshalListQuery reads what MarshalListQuery writes. Max is then between 1 and ListMax.
func UnmarshalListQuery(b []byte) (q softstate.ListQuery, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			q.Type = readType(r)
		case 2:
			q.After.Bucket = cluster.Bucket(r.UintMax(cluster.BucketCount - 1))
		case 3:
			q.After.Owner = r.Raw(cluster.OwnerLengthMax)
		case 4:
			q.Max = int(r.UintMax(math.MaxInt32))
		}
	}
	q.Max = page(q.Max, softstate.ListMax)
	need(r, "list query", q.Type != "", "type")
	return q, r.Err()
}

// listPageMax is how many objects a page may have: one fewer than asked for, and all of one more
// owner, since a page ends between owners.
const listPageMax = softstate.ListMax - 1 + wire.EntryPartsMax

// MarshalListPage writes a page of a manager's cached objects.
func MarshalListPage(p *softstate.ListPage) []byte {
	var b []byte
	for i := range p.Objects {
		b = field.Element(b, 1, func(b []byte) []byte { return wire.AppendCached(b, &p.Objects[i]) })
	}
	b = field.Uint(b, 2, uint64(p.Next.Bucket))
	b = field.String(b, 3, p.Next.Owner)
	b = field.Bool(b, 4, p.More)
	return field.Uint(b, 5, uint64(p.Knowledge))
}

// UnmarshalListPage reads what MarshalListPage writes.
func UnmarshalListPage(b []byte) (p softstate.ListPage, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			p.Objects = field.DecodeElement(r, p.Objects, listPageMax, wire.UnmarshalCached)
		case 2:
			p.Next.Bucket = cluster.Bucket(r.UintMax(cluster.BucketCount - 1))
		case 3:
			p.Next.Owner = r.Raw(cluster.OwnerLengthMax)
		case 4:
			p.More = r.Bool()
		case 5:
			p.Knowledge = wire.Knowledge(r)
		}
	}
	return p, r.Err()
}
