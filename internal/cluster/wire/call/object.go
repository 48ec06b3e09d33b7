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
		if r.Num() == 1 && r.Room(len(q.Updates), UpdatesMax) {
			r.Message(func(b []byte) error {
				u, err := wire.UnmarshalUpdate(b)
				q.Updates = append(q.Updates, u)
				return err
			})
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
		if r.Num() == 1 && r.Room(len(a.Replies), UpdatesMax) {
			r.Message(func(b []byte) error {
				p, err := wire.UnmarshalReply(b)
				a.Replies = append(a.Replies, p)
				return err
			})
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
		if r.Num() == 1 && r.Room(len(q.Retirements), RetirementsMax) {
			r.Message(func(b []byte) error {
				v, err := wire.UnmarshalRetirement(b)
				q.Retirements = append(q.Retirements, v)
				return err
			})
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
			if !r.Room(len(a.Objects), ListMax) {
				continue
			}
			r.Message(func(b []byte) error {
				o, err := wire.UnmarshalObjectAfter(b, before)
				a.Objects = append(a.Objects, o)
				before = o.ID
				return err
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
			r.Message(func(b []byte) (err error) {
				q.ID, err = wire.UnmarshalObjectID(b)
				return err
			})
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
			r.Message(func(b []byte) (err error) {
				a.Object, err = wire.UnmarshalObject(b)
				return err
			})
		}
	}
	need(r, "open answer", a.Object.ID.Owner != "", "object")
	return r.Err()
}
