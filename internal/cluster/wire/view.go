package wire

import (
	"porcupine/internal/cluster"
	"porcupine/internal/cluster/wire/field"
)

// MembersMax is how many members a view may have.
const MembersMax = 4096

// appendView writes the fields of a View. The user map, 4,096 assignments, takes two tables and two
// indices for each bucket: some 8 KiB for up to 127 members, against 130 KiB written out.
func appendView(b []byte, v *cluster.View) []byte {
	b = field.Message(b, 1, func(b []byte) []byte { return AppendEpoch(b, v.Epoch) })
	for i := range v.Members {
		m := &v.Members[i]
		b = field.Element(b, 2, func(b []byte) []byte {
			b = field.Message(b, 1, func(b []byte) []byte { return appendEndpoint(b, m.Endpoint) })
			return field.Message(b, 2, func(b []byte) []byte { return AppendEpoch(b, m.Since) })
		})
	}
	managers, managerOf := table(v.Map, func(a cluster.Assignment) cluster.NodeID { return a.Manager })
	epochs, epochOf := table(v.Map, func(a cluster.Assignment) cluster.Epoch { return a.Epoch })
	b = field.PackedFixed(b, 3, managers)
	for _, e := range epochs {
		b = field.Element(b, 4, func(b []byte) []byte { return AppendEpoch(b, e) })
	}
	b = field.PackedUints(b, 5, len(managerOf), func(i int) uint64 { return uint64(managerOf[i]) })
	return field.PackedUints(b, 6, len(epochOf), func(i int) uint64 { return uint64(epochOf[i]) })
}

// table lists the distinct values of a map's assignments in the order of their first bucket, and
// the index of each bucket's.
func table[T comparable](m cluster.UserMap, value func(cluster.Assignment) T) (distinct []T, of []uint16) {
	index := make(map[T]uint16)
	of = make([]uint16, len(m))
	for b, a := range m {
		v := value(a)
		i, ok := index[v]
		if !ok {
			i = uint16(len(distinct)) // at most BucketCount
			index[v] = i
			distinct = append(distinct, v)
		}
		of[b] = i
	}
	return distinct, of
}

// unmarshalView reads what appendView writes. The view has its members in ascending order, a user
// map that is full or absent, and no manager that is not a member (M3).
func unmarshalView(b []byte) (*cluster.View, error) {
	var v cluster.View
	var managers []cluster.NodeID
	var epochs []cluster.Epoch
	var managerOf, epochOf []uint16
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			v.Epoch = field.Decode(r, UnmarshalEpoch)
		case 2:
			v.Members = field.DecodeElement(r, v.Members, MembersMax, unmarshalMember)
		case 3:
			managers = field.FixedList[cluster.NodeID](r, MembersMax)
		case 4:
			epochs = field.DecodeElement(r, epochs, cluster.BucketCount, UnmarshalEpoch)
		case 5:
			managerOf = indices(r)
		case 6:
			epochOf = indices(r)
		}
	}
	checkMembers(r, &v)
	for _, id := range managers {
		if !v.Contains(id) {
			r.Fail("view %v: manager %v is not a member", v.Epoch, id)
		}
	}
	if r.Err() == nil && len(managerOf)+len(epochOf) > 0 {
		v.Map = userMap(r, managers, epochs, managerOf, epochOf)
	}
	if r.Err() != nil {
		return nil, r.Err()
	}
	return &v, nil
}

func unmarshalMember(b []byte) (m cluster.Member, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			m.Endpoint = field.Decode(r, unmarshalEndpoint)
		case 2:
			m.Since = field.Decode(r, UnmarshalEpoch)
		}
	}
	if m.ID == cluster.NoNode {
		r.Fail("member without an id")
	}
	return m, r.Err()
}

func checkMembers(r *field.Reader, v *cluster.View) {
	for i := 1; i < len(v.Members); i++ {
		if v.Members[i-1].ID >= v.Members[i].ID {
			r.Fail("view %v: members are not in ascending order", v.Epoch)
		}
	}
}

func indices(r *field.Reader) []uint16 {
	list := make([]uint16, 0, min(len(r.View(field.SizeMax)), cluster.BucketCount))
	r.PackedUints(cluster.BucketCount, func(v uint64) {
		if v >= cluster.BucketCount {
			r.Fail("view: index %d is beyond every table", v)
			return
		}
		list = append(list, uint16(v))
	})
	return list
}

// userMap puts the map together from its tables.
func userMap(r *field.Reader, managers []cluster.NodeID, epochs []cluster.Epoch, managerOf, epochOf []uint16) cluster.UserMap {
	if len(managerOf) != cluster.BucketCount || len(epochOf) != cluster.BucketCount {
		r.Fail("view: user map of %d managers and %d epochs, want %d of each", len(managerOf), len(epochOf), cluster.BucketCount)
		return nil
	}
	m := make(cluster.UserMap, cluster.BucketCount)
	for b := range m {
		if int(managerOf[b]) >= len(managers) || int(epochOf[b]) >= len(epochs) {
			r.Fail("view: bucket %d has an index beyond its table", b)
			return nil
		}
		m[b] = cluster.Assignment{Manager: managers[managerOf[b]], Epoch: epochs[epochOf[b]]}
	}
	return m
}
