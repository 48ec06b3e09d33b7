package transport_test

import (
	"fmt"
	"testing"
	"testing/synctest"

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
