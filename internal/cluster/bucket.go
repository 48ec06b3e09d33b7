package cluster

import (
	"crypto/sha256"
	"encoding/binary"
)

// BucketCount is the number of buckets of the user map, fixed for the life of every cluster: the
// layout of the hard state depends on it.
const BucketCount = 4096

// Bucket is one of the BucketCount classes that owners are hashed to.
type Bucket uint16

// ID identifies a cluster. It is drawn at random when the cluster is made, is written in every
// node's certificate, and keys the bucket hash, so that nobody outside can choose names that
// fall into one bucket.
type ID [16]byte

// BucketOf gives the owner's bucket in the cluster with this id.
func (id ID) BucketOf(owner string) Bucket {
	var buf [128]byte
	b := append(buf[:0], id[:]...)
	b = append(b, owner...)
	sum := sha256.Sum256(b)
	return Bucket(binary.BigEndian.Uint16(sum[:]) % BucketCount)
}
