package call

import (
	"math"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/wire"
	"porcupine/internal/cluster/wire/field"
)

// Marshal writes the request.
func (q *RangeRequest) Marshal() []byte {
	b := field.Message(nil, 1, func(b []byte) []byte { return wire.AppendObjectID(b, q.ID) })
	b = field.Uint(b, 2, uint64(max(q.Offset, 0)))
	if q.Length < 0 {
		return field.Bool(b, 4, true)
	}
	return field.Uint(b, 3, uint64(q.Length))
}

// Unmarshal reads what Marshal writes.
func (q *RangeRequest) Unmarshal(b []byte) error {
	r, rest := field.Read(b), false
	for r.Next() {
		switch r.Num() {
		case 1:
			q.ID = field.Decode(r, wire.UnmarshalObjectID)
		case 2:
			q.Offset = int64(r.UintMax(math.MaxInt64))
		case 3:
			q.Length = int64(r.UintMax(math.MaxInt64))
		case 4:
			rest = r.Bool()
		}
	}
	if rest {
		q.Length = -1
	}
	need(r, "range", q.ID.Owner != "", "object id")
	return r.Err()
}

// Marshal writes the request.
func (q *DerivedRequest) Marshal() []byte {
	b := field.String(nil, 1, q.Owner)
	b = field.String(b, 2, string(q.Type))
	for _, id := range q.IDs {
		b = field.StringElement(b, 3, id)
	}
	return b
}

// Unmarshal reads what Marshal writes. There is at least one id.
func (q *DerivedRequest) Unmarshal(b []byte) error {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			q.Owner = r.Raw(cluster.OwnerLengthMax)
		case 2:
			q.Type = readType(r)
		case 3:
			if r.Room(len(q.IDs), DerivedMax) {
				q.IDs = append(q.IDs, r.Raw(cluster.ObjectIDLenMax))
			}
		}
	}
	need(r, "derived", q.Owner != "" && q.Type != "" && len(q.IDs) > 0, "owner, type and ids")
	return r.Err()
}

// Marshal writes the answer.
func (a *DerivedAnswer) Marshal() []byte { return marshalItems(a.Items) }

// Unmarshal reads what Marshal writes. The caller checks that there are not more items than ids.
func (a *DerivedAnswer) Unmarshal(b []byte) (err error) {
	a.Items, err = unmarshalItems(b, "derived answer", DerivedMax)
	return err
}

// marshalItems writes an answer that has nothing but an item for each thing that was asked for, in their order.
func marshalItems(items []cluster.Derived) []byte {
	size := 0
	for i := range items {
		size += len(items[i].Data) + 16
	}
	b := make([]byte, 0, size)
	for i := range items {
		b = field.Element(b, 1, func(b []byte) []byte { return wire.AppendDerived(b, &items[i]) })
	}
	return b
}

// unmarshalItems reads what marshalItems writes: 1 to most items.
func unmarshalItems(b []byte, what string, most int) (items []cluster.Derived, err error) {
	r := field.Read(b)
	for r.Next() {
		if r.Num() == 1 {
			items = field.DecodeElement(r, items, most, wire.UnmarshalDerived)
		}
	}
	need(r, what, len(items) > 0, "items")
	return items, r.Err()
}

// Marshal writes the request.
func (q *ContentsRequest) Marshal() []byte {
	b := field.String(nil, 1, q.Owner)
	b = field.String(b, 2, string(q.Type))
	return field.String(b, 3, q.After)
}

// Unmarshal reads what Marshal writes.
func (q *ContentsRequest) Unmarshal(b []byte) error {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			q.Owner = r.Raw(cluster.OwnerLengthMax)
		case 2:
			q.Type = readType(r)
		case 3:
			q.After = r.Raw(cluster.ObjectIDLenMax)
		}
	}
	need(r, "contents", q.Owner != "" && q.Type != "", "owner and type")
	return r.Err()
}

// Marshal writes the answer.
func (a *ContentsAnswer) Marshal() []byte {
	var b []byte
	var before cluster.ObjectID
	for i := range a.Copies {
		b = field.Element(b, 1, func(b []byte) []byte { return wire.AppendCopyAfter(b, before, &a.Copies[i]) })
		before = a.Copies[i].Object.ID
	}
	return field.Bool(b, 2, a.More)
}

// Unmarshal reads what Marshal writes.
func (a *ContentsAnswer) Unmarshal(b []byte) error {
	r := field.Read(b)
	var before cluster.ObjectID
	for r.Next() {
		switch r.Num() {
		case 1:
			a.Copies = field.DecodeElement(r, a.Copies, ContentsMax, func(b []byte) (c cluster.Copy, err error) {
				c, err = wire.UnmarshalCopyAfter(b, before)
				before = c.Object.ID
				return c, err
			})
		case 2:
			a.More = r.Bool()
		}
	}
	return r.Err()
}
