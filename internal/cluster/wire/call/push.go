package call

import (
	"math"

	"porcupine/internal/cluster"
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
			if r.Room(len(q.Holdings), HoldingsMax) {
				q.Holdings = append(q.Holdings, readHolding(r))
			}
		case 3:
			r.PackedUints(cluster.BucketCount, func(v uint64) {
				if v >= cluster.BucketCount {
					r.Fail("push: there is no bucket %d", v)
					return
				}
				q.Complete = append(q.Complete, cluster.Bucket(v))
			})
		}
	}
	return r.Err()
}

// Marshal writes the request.
func (q *RegisterRequest) Marshal() []byte {
	b := appendEpoch(nil, 1, q.Epoch)
	return field.Message(b, 2, func(b []byte) []byte { return wire.AppendHolding(b, &q.Holding) })
}

// Unmarshal reads what Marshal writes.
func (q *RegisterRequest) Unmarshal(b []byte) error {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			q.Epoch = readEpoch(r)
		case 2:
			q.Holding = readHolding(r)
		}
	}
	need(r, "register", q.Holding.Owner != "", "holding")
	return r.Err()
}

// Marshal writes the request.
func (q *LookupRequest) Marshal() []byte {
	b := field.String(nil, 1, q.Owner)
	return field.Uint(b, 2, uint64(q.Need))
}

// Unmarshal reads what Marshal writes.
func (q *LookupRequest) Unmarshal(b []byte) error {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			q.Owner = r.Raw(cluster.OwnerLengthMax)
		case 2:
			q.Need = wire.Knowledge(r)
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
			r.Message(func(b []byte) (err error) {
				a.Entry, err = wire.UnmarshalEntry(b)
				return err
			})
		}
	}
	need(r, "lookup answer", a.Entry.Owner != "", "entry")
	return r.Err()
}

// Marshal writes the request.
func (q *OwnersRequest) Marshal() []byte {
	b := field.String(nil, 1, string(q.Type))
	b = field.Uint(b, 2, uint64(q.Bucket))
	b = field.String(b, 3, q.After)
	return field.Uint(b, 4, uint64(page(q.Max, OwnersMax)))
}

// Unmarshal reads what Marshal writes. Max is then between 1 and OwnersMax.
func (q *OwnersRequest) Unmarshal(b []byte) error {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			q.Type = readType(r)
		case 2:
			q.Bucket = cluster.Bucket(r.UintMax(cluster.BucketCount - 1))
		case 3:
			q.After = r.Raw(cluster.OwnerLengthMax)
		case 4:
			q.Max = int(r.UintMax(math.MaxInt32))
		}
	}
	q.Max = page(q.Max, OwnersMax)
	need(r, "owners", q.Type != "", "type")
	return r.Err()
}

// Marshal writes the answer.
func (a *OwnersAnswer) Marshal() []byte {
	var b []byte
	for _, owner := range a.Owners {
		b = field.StringElement(b, 1, owner)
	}
	b = field.Uint(b, 2, uint64(a.Bucket))
	return field.Bool(b, 3, a.More)
}

// Unmarshal reads what Marshal writes.
func (a *OwnersAnswer) Unmarshal(b []byte) error {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			owner := r.Raw(cluster.OwnerLengthMax)
			need(r, "owners answer", owner != "", "owner")
			if r.Room(len(a.Owners), OwnersMax) {
				a.Owners = append(a.Owners, owner)
			}
		case 2:
			a.Bucket = cluster.Bucket(r.UintMax(cluster.BucketCount - 1))
		case 3:
			a.More = r.Bool()
		}
	}
	return r.Err()
}

// page is the number of elements that an answer may have when most is the limit.
func page(asked, most int) int {
	if asked <= 0 || asked > most {
		return most
	}
	return asked
}

// need makes a missing part the fault of a message.
func need(r *field.Reader, message string, ok bool, part string) {
	if !ok {
		r.Fail("%s without %s", message, part)
	}
}

func appendEpoch(b []byte, n field.Number, e cluster.Epoch) []byte {
	return field.Message(b, n, func(b []byte) []byte { return wire.AppendEpoch(b, e) })
}

func readEpoch(r *field.Reader) (e cluster.Epoch) {
	r.Message(func(b []byte) (err error) {
		e, err = wire.UnmarshalEpoch(b)
		return err
	})
	return e
}

func readHolding(r *field.Reader) (h cluster.Holding) {
	r.Message(func(b []byte) (err error) {
		h, err = wire.UnmarshalHolding(b)
		return err
	})
	return h
}

func readType(r *field.Reader) cluster.ObjectType {
	return cluster.ObjectType(r.String(cluster.TypeLengthMax))
}
