package archive

import (
	"io"
	"slices"

	"porcupine/internal/cluster"
)

// Store is what is read of a store: *store.Store has it.
type Store interface {
	ScanBucket(b cluster.Bucket, fn func(cluster.Holding) error) (seq uint64, err error)
	List(owner string, t cluster.ObjectType) ([]cluster.Object, error)
	OpenBody(id cluster.ObjectID) (cluster.Object, io.ReadCloser, error)
}

// owners gives the owners of a bucket, ascending, and of each the types of its objects that are not
// cached.
func owners(s Store, b cluster.Bucket) (list []cluster.Holding, err error) {
	_, err = s.ScanBucket(b, func(h cluster.Holding) error {
		list = append(list, h)
		return nil
	})
	return list, err
}

// objects gives all objects of an owner, cached ones first, tombstones included.
func objects(s Store, h *cluster.Holding) (list []cluster.Object, err error) {
	for i := range h.Cached {
		list = append(list, h.Cached[i].Object)
	}
	var types []cluster.ObjectType
	for _, f := range h.Fragments {
		types = append(types, f.Type)
	}
	slices.Sort(types)
	for _, t := range slices.Compact(types) {
		of, err := s.List(h.Owner, t)
		if err != nil {
			return nil, err
		}
		list = append(list, of...)
	}
	return list, nil
}
