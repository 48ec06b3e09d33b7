package node_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"sync"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/node"
)

// Counters is a second service, small enough to read in a minute: replicated counters. It shows
// what a service needs of a node, and that the node knows nothing of mail.
//
// A counter is one cached object, whose owner is the counter's name, on two nodes if there are two.
// It is changed by its manager only, one change at a time, so no two changes overtake each other in
// one epoch. A change carries the number that its client gave it: when an answer is lost and the
// method is called again, perhaps at the next manager, it is not counted twice.
type Counters struct {
	node *node.Node
	mu   sync.Mutex // never held across a call
	busy map[string]chan struct{}
}

// CounterType is the type of a counter's object.
const CounterType cluster.ObjectType = "counter"

const methodAdd = "counter.add"

// counter is the contents of a counter's object.
type counter struct {
	Value int64             `json:"value"`
	Last  map[string]uint64 `json:"last"` // the last change of each client
}

type addition struct {
	Name   string `json:"name"`
	Delta  int64  `json:"delta"`
	Client string `json:"client"`
	Number uint64 `json:"number"` // grows with each change of the client
}

// NewCounters registers the service with a node, before it starts.
func NewCounters(n *node.Node) *Counters {
	c := &Counters{node: n, busy: make(map[string]chan struct{})}
	n.Serve(methodAdd, c.serveAdd)
	return c
}

// Add changes a counter and gives its new value. Number must grow with each change of a client.
func (c *Counters) Add(ctx context.Context, name string, delta int64, client string, number uint64) (int64, error) {
	payload, err := json.Marshal(addition{name, delta, client, number})
	if err != nil {
		return 0, err
	}
	answer, err := c.node.Ask(ctx, name, methodAdd, payload)
	if err != nil {
		return 0, err
	}
	var value int64
	return value, json.Unmarshal(answer, &value)
}

// Value reads a counter. KindNotFound: proven that there is none.
func (c *Counters) Value(ctx context.Context, name string) (int64, error) {
	e, err := c.node.Lookup(ctx, name)
	if err != nil {
		return 0, err
	}
	o, ok := e.Find(CounterType, "")
	switch {
	case ok:
		var k counter
		return k.Value, decode(o.Contents, &k)
	case e.Knowledge == cluster.Conclusive:
		return 0, cluster.Errorf(cluster.KindNotFound, "counter "+name, "there is none")
	}
	return 0, cluster.Errorf(cluster.KindUnavailable, "counter "+name, "not known now")
}

func decode(b []byte, k *counter) error {
	if err := json.Unmarshal(b, k); err != nil {
		return cluster.Errorf(cluster.KindCorrupt, "counter", "%w", err)
	}
	return nil
}

// serveAdd makes a change at the counter's manager.
func (c *Counters) serveAdd(ctx context.Context, _ cluster.NodeID, payload []byte) ([]byte, error) {
	var a addition
	if err := json.Unmarshal(payload, &a); err != nil {
		return nil, cluster.Errorf(cluster.KindInvalid, "counter", "%w", err)
	}
	unlock, err := c.lock(ctx, a.Name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	e, ok := c.node.LocalEntry(ctx, a.Name)
	if !ok {
		return nil, cluster.Errorf(cluster.KindUnavailable, "counter "+a.Name, "it has another manager now")
	}
	k := counter{Last: map[string]uint64{}}
	old, exists := e.Find(CounterType, "")
	switch {
	case e.Knowledge == cluster.Partial, !exists && e.Knowledge != cluster.Conclusive:
		return nil, cluster.Errorf(cluster.KindUnavailable, "counter "+a.Name, "its value is not known now")
	case exists:
		if err := decode(old.Contents, &k); err != nil {
			return nil, err
		}
	}
	if k.Last[a.Client] < a.Number {
		k.Value += a.Delta
		k.Last[a.Client] = a.Number
	}
	// Stored even if it was counted before: the call that counted it may not have reached all nodes.
	if err := c.store(ctx, a.Name, &e, old.Object.Replicas, &k); err != nil {
		return nil, err
	}
	return json.Marshal(k.Value)
}

// store replaces the object on its nodes, or on others in the place of those that are away.
func (c *Counters) store(ctx context.Context, name string, e *cluster.Entry, old cluster.ReplicaSet, k *counter) error {
	contents, err := json.Marshal(k)
	if err != nil {
		return err
	}
	v := c.node.View()
	var on, previous cluster.ReplicaSet
	for _, id := range old {
		if v.Contains(id) {
			on, previous = append(on, id), append(previous, id)
		}
	}
	if missing := min(2, c.node.KnownNodes()) - len(on); missing > 0 {
		more, err := c.node.Choose(*e, CounterType, missing, missing, on, nil)
		if err != nil {
			return err
		}
		if len(more) < missing {
			return cluster.Errorf(cluster.KindUnavailable, "counter "+name, "too few nodes are there")
		}
		on = cluster.NewReplicaSet(append(on, more...)...)
	}
	return c.node.Update(ctx, cluster.Update{
		Object: cluster.Object{ID: cluster.ObjectID{Type: CounterType, Owner: name}, Replicas: on,
			Size: int64(len(contents)), Sum: sha256.Sum256(contents)},
		Previous: previous,
	}, bytes.NewReader(contents))
}

// lock waits for its turn with a counter.
func (c *Counters) lock(ctx context.Context, name string) (unlock func(), err error) {
	for {
		c.mu.Lock()
		wait := c.busy[name]
		if wait == nil {
			mine := make(chan struct{})
			c.busy[name] = mine
			c.mu.Unlock()
			return func() {
				c.mu.Lock()
				defer c.mu.Unlock()
				delete(c.busy, name)
				close(mine)
			}, nil
		}
		c.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, cluster.Errorf(cluster.KindUnavailable, "counter "+name, "%w", context.Cause(ctx))
		}
	}
}
