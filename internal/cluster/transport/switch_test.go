package transport_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/transport"
)

// switchFabric plugs nodes into one switch.
type switchFabric struct {
	net   *transport.Switch
	count int
}

func (f *switchFabric) open(t *testing.T, id cluster.NodeID, addr string) transport.Link {
	t.Helper()
	if addr == "" {
		f.count++
		addr = fmt.Sprintf("node-%d", f.count)
	}
	port, err := f.net.Port(id, addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestSwitchConforms(t *testing.T) {
	conform(t, func(t *testing.T, test func(*testing.T, fabric)) {
		test(t, &switchFabric{net: transport.NewSwitch(1)})
	})
}

// TestSwitchConformsInBubble runs the suite on fake time, with delays: half an hour costs nothing.
func TestSwitchConformsInBubble(t *testing.T) {
	conform(t, func(t *testing.T, test func(*testing.T, fabric)) {
		synctest.Test(t, func(t *testing.T) {
			net := transport.NewSwitch(1)
			net.SetFaults(transport.Faults{DelayMin: 1e6, DelayMax: 20e6})
			test(t, &switchFabric{net: net})
		})
	})
}

// bubble runs f on fake time with three nodes on a switch, each of which counts the calls it gets.
func bubble(t *testing.T, seed uint64, f func(t *testing.T, net *transport.Switch, links []transport.Link, hosts []*host)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		net := transport.NewSwitch(seed)
		fabric := &switchFabric{net: net}
		var links []transport.Link
		var hosts []*host
		for i := range 3 {
			h := &host{id: cluster.NodeID(i + 1)}
			l := fabric.open(t, h.id, "")
			l.Serve(h)
			links, hosts = append(links, l), append(hosts, h)
		}
		f(t, net, links, hosts)
		for _, l := range links {
			closeLink(t, l)
		}
	})
}

// try calls node to from node from, counted from 0, with a second's patience.
func try(t *testing.T, links []transport.Link, from, to int) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := links[from].Call(ctx, cluster.Endpoint{ID: cluster.NodeID(to + 1), Addr: links[to].Addr()}, &transport.Request{Method: "m"})
	return err
}

// TestSwitchPartitions: what is cut is silent, one way or both, and nothing else is.
func TestSwitchPartitions(t *testing.T) {
	bubble(t, 1, func(t *testing.T, net *transport.Switch, links []transport.Link, hosts []*host) {
		check := func(state string, want [3][3]bool) {
			t.Helper()
			for from := range 3 {
				for to := range 3 {
					err := try(t, links, from, to)
					if (err == nil) != want[from][to] || err != nil && !transport.Unreachable(err) {
						t.Errorf("%s: call from %d to %d = %v, want success %v", state, from+1, to+1, err, want[from][to])
					}
				}
			}
		}
		all := [3][3]bool{{true, true, true}, {true, true, true}, {true, true, true}}
		check("at first", all)
		net.Cut(1, 2)
		_, _, before := hosts[0].counts()
		check("1 to 2 cut", [3][3]bool{{true, false, true}, {false, true, true}, {true, true, true}})
		if _, _, after := hosts[0].counts(); after != before+3 {
			t.Errorf("node 1 executed %d calls while its answers to 2 were cut, want all 3", after-before)
		}
		net.Heal(1, 2)
		check("healed", all)
		net.Partition([]cluster.NodeID{1}, []cluster.NodeID{2, 3})
		check("1 alone", [3][3]bool{{true, false, false}, {false, true, true}, {false, true, true}})
		net.Partition([]cluster.NodeID{1, 2}, []cluster.NodeID{3})
		check("3 alone", [3][3]bool{{true, true, false}, {true, true, false}, {false, false, true}})
		net.HealAll()
		check("all healed", all)
	})
}

// TestSwitchFaults: loss, duplication and delay come in the shares asked for, the same for the same
// seed, and requests overtake each other.
func TestSwitchFaults(t *testing.T) {
	const calls = 400
	type outcome struct {
		failed, handled int
		order           string
	}
	run := func(seed uint64) (got outcome) {
		bubble(t, seed, func(t *testing.T, net *transport.Switch, links []transport.Link, hosts []*host) {
			net.SetLinkFaults(1, 2, transport.Faults{Loss: 0.1, Duplicate: 0.25, DelayMin: time.Millisecond, DelayMax: 50 * time.Millisecond})
			for range calls {
				if try(t, links, 0, 1) != nil {
					got.failed++
				}
			}
			time.Sleep(time.Second) // fake: late duplicates arrive
			_, _, got.handled = hosts[1].counts()
			if err := try(t, links, 1, 2); err != nil {
				t.Errorf("a link without faults lost a call: %v", err)
			}

			arrived := make(chan string, 2*calls)
			hosts[1].handle = func(_ context.Context, _ cluster.NodeID, r *transport.Incoming) (*transport.Response, error) {
				arrived <- string(r.Payload)
				return nil, nil
			}
			net.SetLinkFaults(1, 2, transport.Faults{DelayMin: time.Millisecond, DelayMax: 50 * time.Millisecond})
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					to := cluster.Endpoint{ID: 2, Addr: links[1].Addr()}
					if _, err := links[0].Call(t.Context(), to, &transport.Request{Method: "m", Payload: []byte{byte('0' + i)}}); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait() // the calls are sent in order
			}
			wg.Wait()
			for range 8 {
				got.order += <-arrived
			}
		})
		return got
	}
	first, again, other := run(7), run(7), run(8)
	if first != again {
		t.Errorf("seed 7 gave %+v, then %+v", first, again)
	}
	if first == other || first.order == "01234567" {
		t.Errorf("seed 7 gave %+v, seed 8 %+v; want luck, and requests that overtake", first, other)
	}
	if first.failed < calls/20 || first.failed > calls/5 {
		t.Errorf("%d of %d calls lost, want about a tenth", first.failed, calls)
	}
	if extra := first.handled - (calls - first.failed); extra < calls/8 || extra > calls/2 {
		t.Errorf("%d executions more than answers, want about a quarter of %d", extra, calls)
	}
}

func TestSwitchAddressTaken(t *testing.T) {
	net := transport.NewSwitch(1)
	if _, err := net.Port(1, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Port(2, "a"); !cluster.IsKind(err, cluster.KindExists) {
		t.Errorf("second port at an address = %v, want kind exists", err)
	}
}
