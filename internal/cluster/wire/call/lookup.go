package call

import (
	"porcupine/internal/cluster"
	"porcupine/internal/cluster/wire"
	"porcupine/internal/cluster/wire/field"
)

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
