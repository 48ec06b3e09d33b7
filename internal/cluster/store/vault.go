package store

import (
	"io"

	"porcupine/internal/cluster"
)

var errNotBuilt = cluster.Errorf(cluster.KindInternal, "store", "being built")

// OpenVaulted gives a deleted object and its contents out of the vault, as OpenBody does for a live
// one. deleted is Vaulted.Deleted.
func (s *Store) OpenVaulted(id cluster.ObjectID, deleted int64) (cluster.Object, io.ReadCloser, error) {
	return cluster.Object{}, nil, errNotBuilt
}
