package call

import (
	"math"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/wire"
	"porcupine/internal/cluster/wire/field"
)

// Marshal writes the request.
func (q *ApplyRequest) Marshal() []byte {
	var b []byte
	for i := range q.Updates {
		b = field.Element(b, 1, func(b []byte) []byte { return wire.AppendUpdate(b, &q.Updates[i]) })
	}
	return b
}

// Unmarshal reads what Marshal writes.
func (q *ApplyRequest) Unmarshal(b []byte) error {
	r := field.Read(b)
	for r.Next() {
		if r.Num() == 1 {
			q.Updates = field.DecodeElement(r, q.Updates, UpdatesMax, wire.UnmarshalUpdate)
		}
	}
	return r.Err()
}

// Marshal writes the answer.
func (a *ApplyAnswer) Marshal() []byte {
	var b []byte
	for i := range a.Replies {
		b = field.Element(b, 1, func(b []byte) []byte { return wire.AppendReply(b, &a.Replies[i]) })
	}
	return b
}

// Unmarshal reads what Marshal writes. The caller checks that there are as many replies as updates.
func (a *ApplyAnswer) Unmarshal(b []byte) error {
	r := field.Read(b)
	for r.Next() {
		if r.Num() == 1 {
			a.Replies = field.DecodeElement(r, a.Replies, UpdatesMax, wire.UnmarshalReply)
		}
	}
	return r.Err()
}

// Marshal writes the request.
func (q *RetireRequest) Marshal() []byte {
	var b []byte
	for i := range q.Retirements {
		b = field.Element(b, 1, func(b []byte) []byte { return wire.AppendRetirement(b, &q.Retirements[i]) })
	}
	return b
}

// Unmarshal reads what Marshal writes.
func (q *RetireRequest) Unmarshal(b []byte) error {
	r := field.Read(b)
	for r.Next() {
		if r.Num() == 1 {
			q.Retirements = field.DecodeElement(r, q.Retirements, RetirementsMax, wire.UnmarshalRetirement)
		}
	}
	return r.Err()
}

// Marshal writes the request.
func (q *ListRequest) Marshal() []byte {
	b := field.String(nil, 1, q.Owner)
	b = field.String(b, 2, string(q.Type))
	b = field.String(b, 3, q.After)
	return field.Uint(b, 4, uint64(page(q.Max, ListMax)))
}

// Unmarshal reads what Marshal writes. Max is then between 1 and ListMax.
func (q *ListRequest) Unmarshal(b []byte) error {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			q.Owner = r.Raw(cluster.OwnerLengthMax)
		case 2:
			q.Type = readType(r)
		case 3:
			q.After = r.Raw(cluster.ObjectIDLenMax)
		case 4:
			q.Max = int(r.UintMax(math.MaxInt32))
		}
	}
	q.Max = page(q.Max, ListMax)
	need(r, "list", q.Owner != "" && q.Type != "", "owner and type")
	return r.Err()
}

// Marshal writes the answer.
func (a *ListAnswer) Marshal() []byte {
	var b []byte
	var before cluster.ObjectID
	for i := range a.Objects {
		b = field.Element(b, 1, func(b []byte) []byte { return wire.AppendObjectAfter(b, before, &a.Objects[i]) })
		before = a.Objects[i].ID
	}
	return field.Bool(b, 2, a.More)
}

// Unmarshal reads what Marshal writes.
func (a *ListAnswer) Unmarshal(b []byte) error {
	r := field.Read(b)
	var before cluster.ObjectID
	for r.Next() {
		switch r.Num() {
		case 1:
			a.Objects = field.DecodeElement(r, a.Objects, ListMax, func(b []byte) (o cluster.Object, err error) {
				o, err = wire.UnmarshalObjectAfter(b, before)
				before = o.ID
				return o, err
			})
		case 2:
			a.More = r.Bool()
		}
	}
	return r.Err()
}

// Marshal writes the request.
func (q *OpenRequest) Marshal() []byte {
	return field.Message(nil, 1, func(b []byte) []byte { return wire.AppendObjectID(b, q.ID) })
}

// Unmarshal reads what Marshal writes.
func (q *OpenRequest) Unmarshal(b []byte) error {
	r := field.Read(b)
	for r.Next() {
		if r.Num() == 1 {
			q.ID = field.Decode(r, wire.UnmarshalObjectID)
		}
	}
	need(r, "open", q.ID.Owner != "", "object id")
	return r.Err()
}

// Marshal writes the answer.
func (a *OpenAnswer) Marshal() []byte {
	return field.Message(nil, 1, func(b []byte) []byte { return wire.AppendObject(b, &a.Object) })
}

// Unmarshal reads what Marshal writes.
func (a *OpenAnswer) Unmarshal(b []byte) error {
	r := field.Read(b)
	for r.Next() {
		if r.Num() == 1 {
			a.Object = field.Decode(r, wire.UnmarshalObject)
		}
	}
	need(r, "open answer", a.Object.ID.Owner != "", "object")
	return r.Err()
}
