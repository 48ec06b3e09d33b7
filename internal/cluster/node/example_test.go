package node_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/node"
	"porcupine/internal/cluster/store"
	"porcupine/internal/cluster/transport"
)

// exampleNode is all that one node consists of.
type exampleNode struct {
	store    *store.Store
	link     transport.Link
	node     *node.Node
	counters *Counters
}

// startExample puts a node together: a disk (here in memory), a link (here to a network in this
// process), the node on both, a service on the node.
func startExample(net *transport.Switch, id cluster.NodeID, addr string, peers ...string) (*exampleNode, error) {
	clusterID := cluster.ID{1, 2, 3}
	s, err := store.Open(store.Config{FS: vfs.NewMem(), Dir: "data", ClusterID: clusterID, Node: id,
		Types: []cluster.TypeSpec{{Name: CounterType, Cached: true}}})
	if err != nil {
		return nil, err
	}
	link, err := net.Port(id, addr)
	if err != nil {
		return nil, err
	}
	n, err := node.New(node.Config{
		Self: cluster.Endpoint{ID: id, Name: addr, Addr: addr}, Cluster: clusterID,
		Store: s, Link: link, Peers: peers,
		Logger:  slog.New(slog.DiscardHandler),
		OnFatal: func(err error) { panic(err) }, // a real program ends the process in order
	})
	if err != nil {
		return nil, err
	}
	e := &exampleNode{s, link, n, NewCounters(n)}
	return e, n.Start()
}

// stop ends things in reverse order.
func (e *exampleNode) stop(ctx context.Context) {
	for _, err := range []error{e.node.Stop(ctx), e.link.Close(ctx), e.store.Close()} {
		if err != nil {
			fmt.Println("stop:", err)
		}
	}
}

// awaitMembers waits until the node's view has so many members and it knows all it has to.
func (e *exampleNode) awaitMembers(ctx context.Context, count int) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for len(e.node.View().Members) != count || e.node.Ready() != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			fmt.Println("not in time:", e.node.Ready())
			return
		}
	}
}

// Two nodes in one process, with a small service on them: what is counted at one node is read at
// the other, and is still there after the first has left.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	net := transport.NewSwitch(1)
	first, err := startExample(net, 1, "first")
	if err != nil {
		fmt.Println(err)
		return
	}
	second, err := startExample(net, 2, "second", "first")
	if err != nil {
		fmt.Println(err)
		return
	}
	first.awaitMembers(ctx, 2)
	second.awaitMembers(ctx, 2)

	for i := range 3 {
		if _, err := first.counters.Add(ctx, "visits", 1, "example", uint64(i+1)); err != nil {
			fmt.Println("add:", err)
		}
	}
	fmt.Println(second.counters.Value(ctx, "visits"))

	first.stop(ctx)
	second.awaitMembers(ctx, 1)
	fmt.Println(second.counters.Value(ctx, "visits"))
	second.stop(ctx)
	// Output:
	// 3 <nil>
	// 3 <nil>
}
