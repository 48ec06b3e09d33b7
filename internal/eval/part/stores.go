package part

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store"
)

const (
	messageType cluster.ObjectType = "message"
	profileType cluster.ObjectType = "user"
)

// Small limits for stores of which many are open at once.
const (
	storeMinFree  = 64 << 20
	storeMemTable = 4 << 20
	storeCache    = 16 << 20
)

// attrSize is what a profile has besides its contents: addresses, password, quota.
const attrSize = 200

func clusterID() cluster.ID { return cluster.ID{1, 2, 3} }

// openStore makes the store of a node below dir.
func openStore(dir string, node cluster.NodeID) (*store.Store, error) {
	return store.Open(store.Config{
		Dir: filepath.Join(dir, fmt.Sprint("node", node)), ClusterID: clusterID(), Node: node,
		Types:   []cluster.TypeSpec{{Name: messageType}, {Name: profileType, Cached: true}},
		MinFree: storeMinFree, CacheSize: storeCache, MemTableSize: storeMemTable,
	})
}

// openStores makes the stores of nodes 1 to n.
func openStores(dir string, n int) (list []*store.Store, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, closeStores(list))
			list = nil
		}
	}()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for i := range n {
		s, err := openStore(dir, cluster.NodeID(i+1))
		if err != nil {
			return list, err
		}
		list = append(list, s)
	}
	return list, nil
}

func closeStores(list []*store.Store) (err error) {
	for _, s := range list {
		err = errors.Join(err, s.Close())
	}
	return err
}

// userNames gives so many names, evenly over the buckets given. That names fall where they are wanted is the work of trying:
// the hash is SHA-256.
func userNames(users int, buckets []cluster.Bucket) []string {
	room := make([]int, cluster.BucketCount)
	for i := range users {
		room[buckets[i%len(buckets)]]++
	}
	names, id := make([]string, 0, users), clusterID()
	for i := 0; len(names) < users; i++ {
		name := fmt.Sprintf("user%d@example.test", i)
		if b := id.BucketOf(name); room[b] > 0 {
			room[b]--
			names = append(names, name)
		}
	}
	return names
}

// firstBuckets gives the buckets below n.
func firstBuckets(n int) []cluster.Bucket {
	list := make([]cluster.Bucket, n)
	for i := range list {
		list[i] = cluster.Bucket(i)
	}
	return list
}

// userObjects gives what one user has on the disks of two nodes: a profile and one message.
func userObjects(name string, number int, at cluster.ReplicaSet) []cluster.Update {
	stamp := cluster.Timestamp{Time: int64(number) + 1, Node: at[0]}
	object := func(t cluster.ObjectType, id string, attr []byte) cluster.Update {
		return cluster.Update{Object: cluster.Object{
			ID: cluster.ObjectID{Type: t, Owner: name, ID: id}, Timestamp: stamp, Replicas: at, Attr: attr, Sum: sha256.Sum256(nil),
		}}
	}
	return []cluster.Update{
		object(profileType, "profile", bytes.Repeat([]byte{'p'}, attrSize)),
		object(messageType, fmt.Sprintf("%016x", number), nil),
	}
}

// keep makes updates durable in the store, and their records retired, a few thousand at a time.
func keep(ctx context.Context, s *store.Store, updates []cluster.Update) error {
	for chunk := range slices.Chunk(updates, store.AcceptMax/2) {
		results, err := s.Accept(ctx, chunk)
		if err != nil {
			return err
		}
		var over []cluster.Retirement
		for _, r := range results {
			if r.Err != nil {
				return r.Err
			}
			if r.Record != nil {
				over = append(over, cluster.Retirement{ID: r.Record.ID, Timestamp: r.Record.Timestamp, Targets: r.Record.Targets})
			}
		}
		if err := s.Retire(ctx, over); err != nil {
			return err
		}
	}
	return nil
}
