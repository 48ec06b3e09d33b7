package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/identity"
	"porcupine/internal/cluster/store"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
)

// A mailbox of the reading benchmarks.
const (
	benchNotes = 100_000
	benchSets  = benchNotes / 64
	benchSet   = 4 << 10 // bytes of each
)

// BenchmarkReading reads what one owner has: 100,000 notes, what is derived from them (300 bytes each), and
// 1,562 objects of 4 KiB of an inline type. Locally, and over the real transport: TLS on the loopback, both sides in
// this process.
//
//	go test -run xxx -bench Reading -benchtime 5x ./internal/cluster/node
//
// On 2 cores that had other work too, objects a second: List 680,000 locally and 310,000 remotely, Derived
// 150,000 and 105,000, Contents 30,000 remotely (120 MB/s).
func BenchmarkReading(b *testing.B) {
	n, port := benchNode(b)
	ctx := context.Background()
	ids := fillBench(b, n.cfg.Store)
	remote := func(method string, payload []byte) []byte {
		resp, err := port.Call(ctx, cluster.Endpoint{ID: n.ID(), Addr: port.Addr()}, &transport.Request{Method: method, Payload: payload})
		if err != nil {
			b.Fatal(err)
		}
		return resp.Payload
	}
	run := func(name string, want int, read func() int) {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				if got := read(); got != want {
					b.Fatalf("%d objects, want %d", got, want)
				}
			}
			b.ReportMetric(float64(want)*float64(b.N)/b.Elapsed().Seconds(), "objects/s")
		})
	}
	run("List/local", benchNotes, func() int {
		list, err := n.List(ctx, n.ID(), "o", typeNote)
		if err != nil {
			b.Fatal(err)
		}
		return len(list)
	})
	run("List/remote", benchNotes, func() (count int) {
		for after, more := "", true; more; {
			var page call.ListAnswer
			if err := page.Unmarshal(remote(call.MethodList, (&call.ListRequest{Owner: "o", Type: typeNote, After: after}).Marshal())); err != nil {
				b.Fatal(err)
			}
			count, more, after = count+len(page.Objects), page.More, page.Objects[len(page.Objects)-1].ID.ID
		}
		return count
	})
	run("Derived/local", benchNotes, func() (count int) {
		for count < len(ids) {
			items, err := n.Derived(ctx, n.ID(), "o", typeNote, ids[count:])
			if err != nil {
				b.Fatal(err)
			}
			count += len(items)
		}
		return count
	})
	run("Derived/remote", benchNotes, func() (count int) {
		for count < len(ids) {
			var page call.DerivedAnswer
			part := ids[count:min(count+call.DerivedMax, len(ids))]
			if err := page.Unmarshal(remote(call.MethodDerived, (&call.DerivedRequest{Owner: "o", Type: typeNote, IDs: part}).Marshal())); err != nil {
				b.Fatal(err)
			}
			count += len(page.Items)
		}
		return count
	})
	run("Contents/remote", benchSets, func() (count int) {
		for after, more := "", true; more; {
			var page call.ContentsAnswer
			if err := page.Unmarshal(remote(call.MethodContents, (&call.ContentsRequest{Owner: "o", Type: typeSet, After: after}).Marshal())); err != nil {
				b.Fatal(err)
			}
			count, more, after = count+len(page.Copies), page.More, page.Copies[len(page.Copies)-1].Object.ID.ID
		}
		return count
	})
}

// benchNode is one node on a real port.
func benchNode(b *testing.B) (*Node, *transport.Port) {
	id, err := identity.Init(new(identity.MemFiles), identity.Options{Node: 1})
	if err != nil {
		b.Fatal(err)
	}
	var n *Node
	cfg := store.Config{
		FS: vfs.NewMem(), Dir: "data", ClusterID: id.Cluster(), Node: id.Node(), MinFree: 1, Types: derivingTypes(),
		Stamp: func() cluster.Timestamp { return n.JoinStamp() },
	}
	s, err := store.Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	port, err := transport.Open(transport.Config{Credentials: id, Listen: "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	n, err = New(Config{
		Self: cluster.Endpoint{ID: id.Node(), Name: "bench", Addr: port.Addr()}, Cluster: id.Cluster(), Store: s, Link: port,
		Logger: slog.New(slog.DiscardHandler), OnFatal: func(err error) { b.Error(err) },
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := n.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		for _, err := range []error{n.Stop(context.Background()), port.Close(context.Background()), s.Close()} {
			if err != nil {
				b.Error(err)
			}
		}
	})
	return n, port
}

// fillBench stores the mailbox and gives the ids of its notes in order.
func fillBench(b *testing.B, s Hard) []string {
	ids := make([]string, benchNotes)
	var wg sync.WaitGroup
	const writers = 32
	put := func(typ cluster.ObjectType, id string, contents []byte) {
		u := cluster.Update{Object: cluster.Object{
			ID: cluster.ObjectID{Type: typ, Owner: "o", ID: id}, Timestamp: cluster.Timestamp{Time: 1, Node: 1}, Replicas: cluster.NewReplicaSet(1),
			Attr: make([]byte, 60), Size: int64(len(contents)), Sum: sha256.Sum256(contents),
		}}
		if _, err := s.Apply(context.Background(), u, bytes.NewReader(contents)); err != nil {
			b.Error(err)
		}
	}
	for w := range writers {
		wg.Go(func() {
			for i := w; i < benchNotes; i += writers {
				sum := sha256.Sum256(fmt.Append(nil, i)) // ids are random, as those of messages
				ids[i] = fmt.Sprintf("%x", sum[:16])
				put(typeNote, ids[i], bytes.Repeat([]byte{'x'}, 400))
			}
			for i := w; i < benchSets; i += writers {
				put(typeSet, fmt.Sprintf("folder%08x", i), bytes.Repeat([]byte{'x'}, benchSet))
			}
		})
	}
	wg.Wait()
	list, err := s.List("o", typeNote)
	if err != nil {
		b.Fatal(err)
	}
	for i := range list {
		ids[i] = list[i].ID.ID
	}
	return ids
}

// derivingTypes are testTypes with 300 bytes derived from each note.
func derivingTypes() []cluster.TypeSpec {
	types := testTypes()
	types[0].Derive = func(contents io.ReaderAt, _ int64) ([]byte, error) {
		data := make([]byte, 300)
		_, err := contents.ReadAt(data, 0)
		return data, err
	}
	return types
}
