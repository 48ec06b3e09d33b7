package feed

import (
	"porcupine/internal/cluster"
	"porcupine/internal/cluster/wire"
	"porcupine/internal/cluster/wire/field"
)

// The methods of the feed. Their payloads are written as the calls between nodes are: fields by number, of which a
// reader skips those that it does not know.
const (
	methodSubscribe = "feed.subscribe" // subscribeRequest; place
	methodRenew     = "feed.renew"     // renewRequest; renewAnswer
	methodChanges   = "feed.changes"   // changesRequest; changesAnswer
)

// seqMax is more than anybody counts to.
const seqMax = 1 << 62

// partsMax bounds the subscriptions in one call that tells changes.
const partsMax = BatchMax

// subscribeRequest asks for a subscription. Asking twice is asking once.
type subscribeRequest struct {
	number uint64 // 1: the subscriber's own for it
	owner  string // 2
	types  []cluster.ObjectType
}

func (q *subscribeRequest) marshal() []byte {
	b := field.Fixed(nil, 1, q.number)
	b = field.String(b, 2, q.owner)
	for _, t := range q.types {
		b = field.StringElement(b, 3, string(t))
	}
	return b
}

func (q *subscribeRequest) unmarshal(b []byte) error {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			q.number = r.Fixed()
		case 2:
			q.owner = r.Raw(cluster.OwnerLengthMax)
		case 3:
			if r.Room(len(q.types), TypesMax) {
				q.types = append(q.types, cluster.ObjectType(r.Raw(cluster.TypeLengthMax)))
			}
		}
	}
	if q.number == 0 || q.owner == "" || len(q.types) == 0 {
		r.Fail("subscription %d of owner %q to %d types: something is missing", q.number, q.owner, len(q.types))
	}
	return r.Err()
}

// place is how far a subscription has come at its holder.
type place struct {
	life uint64 // 1; 0: the holder does not know the subscription
	seq  uint64 // 2
}

func (p place) marshal() []byte { return field.Uint(field.Fixed(nil, 1, p.life), 2, p.seq) }

func (p *place) unmarshal(b []byte) error {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			p.life = r.Fixed()
		case 2:
			p.seq = r.Uint()
		}
	}
	return r.Err()
}

// renewRequest renews the leases of subscriptions.
type renewRequest struct {
	numbers []uint64 // 1
}

func (q *renewRequest) marshal() []byte { return field.PackedFixed(nil, 1, q.numbers) }

func (q *renewRequest) unmarshal(b []byte) error {
	r := field.Read(b)
	for r.Next() {
		if r.Num() == 1 {
			q.numbers = field.FixedList[uint64](r, RenewMax)
		}
	}
	return r.Err()
}

// renewAnswer says of each of them, in order, up to where it has been told, or lost.
type renewAnswer struct {
	places []place // 1
}

func (a *renewAnswer) marshal() []byte {
	var b []byte
	for _, p := range a.places {
		b = field.Element(b, 1, func(b []byte) []byte { return append(b, p.marshal()...) })
	}
	return b
}

func (a *renewAnswer) unmarshal(b []byte) error {
	r := field.Read(b)
	for r.Next() {
		if r.Num() == 1 {
			a.places = field.DecodeElement(r, a.places, RenewMax, func(b []byte) (p place, err error) {
				err = p.unmarshal(b)
				return p, err
			})
		}
	}
	return r.Err()
}

// part is the changes of one subscription.
type part struct {
	number  uint64           // 1
	place   place            // 2: of the first change; without changes, of the next one
	changes []cluster.Change // 3: the objects; 4: their states
}

func (p *part) append(b []byte) []byte {
	b = field.Fixed(b, 1, p.number)
	b = field.Bytes(b, 2, p.place.marshal())
	var before cluster.ObjectID
	for i := range p.changes {
		o := &p.changes[i].Object
		b = field.Element(b, 3, func(b []byte) []byte { return wire.AppendObjectAfter(b, before, o) })
		before = o.ID
	}
	return field.PackedUints(b, 4, len(p.changes), func(i int) uint64 { return uint64(p.changes[i].State) })
}

func (p *part) unmarshal(b []byte) error {
	r := field.Read(b)
	var before cluster.ObjectID
	states := 0
	for r.Next() {
		switch r.Num() {
		case 1:
			p.number = r.Fixed()
		case 2:
			r.Message(p.place.unmarshal)
		case 3:
			p.changes = field.DecodeElement(r, p.changes, BatchMax, func(b []byte) (cluster.Change, error) {
				o, err := wire.UnmarshalObjectAfter(b, before)
				before = o.ID
				return cluster.Change{Object: o}, err
			})
		case 4:
			r.PackedUints(BatchMax, func(v uint64) {
				if states < len(p.changes) && v <= uint64(cluster.ChangeRemoved) { // what is not known means: ask
					p.changes[states].State = cluster.ChangeState(v)
				}
				states++
			})
		}
	}
	if p.number == 0 || p.place.life == 0 || p.place.seq == 0 || p.place.seq > seqMax || states != len(p.changes) {
		r.Fail("changes of subscription %d, life %d: %d objects, %d states", p.number, p.place.life, len(p.changes), states)
	}
	return r.Err()
}

// changesRequest tells changes.
type changesRequest struct {
	parts []part // 1
}

func (q *changesRequest) marshal() []byte {
	var b []byte
	for i := range q.parts {
		b = field.Element(b, 1, q.parts[i].append)
	}
	return b
}

func (q *changesRequest) unmarshal(b []byte) error {
	r := field.Read(b)
	for r.Next() {
		if r.Num() == 1 {
			q.parts = field.DecodeElement(r, q.parts, partsMax, func(b []byte) (p part, err error) {
				err = p.unmarshal(b)
				return p, err
			})
		}
	}
	return r.Err()
}

// changesAnswer names the subscriptions that the subscriber does not have: the holder forgets them.
type changesAnswer struct {
	unknown []uint64 // 1
}

func (a *changesAnswer) marshal() []byte { return field.PackedFixed(nil, 1, a.unknown) }

func (a *changesAnswer) unmarshal(b []byte) error {
	r := field.Read(b)
	for r.Next() {
		if r.Num() == 1 {
			a.unknown = field.FixedList[uint64](r, partsMax)
		}
	}
	return r.Err()
}
