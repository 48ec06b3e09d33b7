package store

import (
	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store/internal/layout"
)

// Overhead is what replication takes in a store beside the objects themselves (thesis, "space overhead"),
// in bytes of keys and values before the engine compresses them.
type Overhead struct {
	ReplicaSets int64 // replica sets and numbers of copies wanted, in object records and headers
	Records     int64 // update records, those remembered after their retirement included
	RecordBytes int64 // which they take
}

// Overhead measures it, by reading every record: for an evaluation, not for every day.
func (s *Store) Overhead() (o Overhead, err error) {
	const name = "measure the space of replication"
	if err := s.enter(name); err != nil {
		return Overhead{}, err
	}
	defer s.gate.exit()
	sizes := map[layout.Prefix]func(key, value []byte) error{
		layout.PrefixObject: func(key, value []byte) error {
			r, _, err := layout.ParseRecord(key, value)
			o.ReplicaSets += setSize(r.Object.Replicas) + 1
			return err
		},
		layout.PrefixHeader: func(key, value []byte) error {
			h, err := layout.ParseHeader(key, value)
			for _, f := range h.Fragments {
				o.ReplicaSets += setSize(f.Replicas)
			}
			return err
		},
		layout.PrefixUpdate: func(key, value []byte) error {
			o.Records++
			o.RecordBytes += int64(len(key) + len(value))
			return nil
		},
	}
	for _, p := range []layout.Prefix{layout.PrefixObject, layout.PrefixHeader, layout.PrefixUpdate} {
		lower, upper := layout.Bounds(p)
		if err := s.each(s.db, lower, upper, sizes[p]); err != nil {
			return Overhead{}, within(name, err)
		}
	}
	return o, nil
}

// setSize gives the bytes of a replica set in a record: their number, and each node's id.
func setSize(set cluster.ReplicaSet) int64 { return 1 + 8*int64(len(set)) }
