package softstate

import "porcupine/internal/cluster"

// placeID names a type and a replica set, of which a cluster has few and references many.
type placeID uint32

// nowhere is the place of a reference without a fragment.
const nowhere placeID = 0

// places numbers the pairs of type and replica set in use.
type places struct {
	all  []place // all[nowhere] is unused
	ids  map[placeKey]placeID
	free []placeID
}

type place struct {
	typ      cluster.ObjectType
	replicas cluster.ReplicaSet
	refs     int
}

type placeKey struct {
	typ      cluster.ObjectType
	replicas string // ReplicaSet.Key
}

func newPlaces() places { return places{all: make([]place, 1), ids: make(map[placeKey]placeID)} }

// retain gives the id of a pair and counts one more reference to it.
func (p *places) retain(t cluster.ObjectType, set cluster.ReplicaSet) placeID {
	key := placeKey{t, set.Key()}
	id, ok := p.ids[key]
	if !ok {
		if n := len(p.free); n > 0 {
			id, p.free = p.free[n-1], p.free[:n-1]
		} else {
			id = placeID(len(p.all))
			p.all = append(p.all, place{})
		}
		p.all[id] = place{typ: t, replicas: set}
		p.ids[key] = id
	}
	p.all[id].refs++
	return id
}

// release counts one reference less.
func (p *places) release(id placeID) {
	if id == nowhere {
		return
	}
	pl := &p.all[id]
	if pl.refs--; pl.refs == 0 {
		delete(p.ids, placeKey{pl.typ, pl.replicas.Key()})
		*pl = place{}
		p.free = append(p.free, id)
	}
}
