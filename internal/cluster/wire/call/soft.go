package call

import (
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
			q.Max = int(r.UintMax(1 << 31))
		}
	}
	q.Max = page(q.Max, softstate.ListMax)
	need(r, "list query", q.Type != "", "type")
	return q, r.Err()
}

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
			if r.Room(len(p.Objects), softstate.ListMax+cluster.HoldingPartsMax) {
				r.Message(func(b []byte) error {
					c, err := wire.UnmarshalCached(b)
					p.Objects = append(p.Objects, c)
					return err
				})
			}
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

// StatusAnswer is a node's own word on how it is.
type StatusAnswer struct {
	Version    string
	Epoch      cluster.Epoch
	Load       cluster.Load
	Buckets    int // managed
	Incomplete int // of them, not told in full by every member
	Pending    int // reports to managers not acknowledged yet
}

// versionMax bounds a program's version string.
const versionMax = 64

// Marshal writes the answer.
func (a *StatusAnswer) Marshal() []byte {
	b := field.String(nil, 1, a.Version)
	b = appendEpoch(b, 2, a.Epoch)
	b = field.Message(b, 3, func(b []byte) []byte { return wire.AppendLoad(b, &a.Load) })
	b = field.Uint(b, 4, uint64(max(a.Buckets, 0)))
	b = field.Uint(b, 5, uint64(max(a.Incomplete, 0)))
	return field.Uint(b, 6, uint64(max(a.Pending, 0)))
}

// Unmarshal reads what Marshal writes.
func (a *StatusAnswer) Unmarshal(b []byte) error {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			a.Version = r.String(versionMax)
		case 2:
			a.Epoch = readEpoch(r)
		case 3:
			r.Message(func(b []byte) (err error) {
				a.Load, err = wire.UnmarshalLoad(b)
				return err
			})
		case 4:
			a.Buckets = int(r.UintMax(cluster.BucketCount))
		case 5:
			a.Incomplete = int(r.UintMax(cluster.BucketCount))
		case 6:
			a.Pending = int(r.UintMax(1 << 40))
		}
	}
	return r.Err()
}
