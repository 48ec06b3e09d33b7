package store_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store"
)

// Example stores a message, reads it back and deletes it.
func Example() {
	s, err := store.Open(store.Config{
		FS: vfs.NewMem(), Dir: "data", ClusterID: cluster.ID{1}, Node: 7,
		Types: []cluster.TypeSpec{{Name: "message"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	text := []byte("Subject: hello\r\n\r\nHi.\r\n")
	message := cluster.Object{
		ID:        cluster.ObjectID{Type: "message", Owner: "ann@example.test", ID: "1"},
		Timestamp: cluster.Timestamp{Time: 1, Node: 7},
		Replicas:  cluster.NewReplicaSet(7),
		Size:      int64(len(text)),
		Sum:       sha256.Sum256(text),
	}
	r, err := s.Apply(ctx, cluster.Update{Object: message}, bytes.NewReader(text)) // durable from here on
	fmt.Println("applied:", r.Applied, "tell the manager:", r.Announce, err)

	h, err := s.Holding("ann@example.test")
	fmt.Println("fragments:", len(h.Fragments), "messages:", h.Fragments[0].Count, err)

	_, body, err := s.OpenBody(message.ID)
	if err != nil {
		fmt.Println(err)
		return
	}
	got, err := io.ReadAll(body)
	fmt.Println("same bytes:", bytes.Equal(got, text), err, body.Close())

	gone := cluster.Object{ID: message.ID, Timestamp: cluster.Timestamp{Time: 2, Node: 7}, Deleted: true}
	results, err := s.Accept(ctx, []cluster.Update{{Object: gone, Previous: message.Replicas}})
	fmt.Println("applied:", results[0].Applied, "tell the manager:", results[0].Announce, err)
	fmt.Println("closed:", s.Close())
	// Output:
	// applied: true tell the manager: true <nil>
	// fragments: 1 messages: 1 <nil>
	// same bytes: true <nil> <nil>
	// applied: true tell the manager: true <nil>
	// closed: <nil>
}
