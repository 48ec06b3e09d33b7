package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc/connectivity"

	"porcupine/internal/cluster"
)

// TestDeadPeersAreLeftAlone: a node that cannot be reached is not dialled five times a second for minutes by all who ever
// called it, but for a moment only, or while somebody calls it.
func TestDeadPeersAreLeftAlone(t *testing.T) {
	p := newPeers(newIdentity(t, 1), func(context.Context, string) (net.Conn, error) {
		return nil, errors.New("nobody is there")
	}, new(pool))
	defer p.close()
	past := time.Now().Add(-2 * brokenIdleMax)
	conns := map[cluster.NodeID]*peerConns{}
	for id := cluster.NodeID(1); id <= 4; id++ {
		cc, c, err := p.acquire(cluster.Endpoint{ID: id, Addr: fmt.Sprint("a:", id)}, control)
		if err != nil {
			t.Fatal(err)
		}
		conns[id] = c
		if id == 4 {
			continue // never dialled
		}
		cc.Connect()
		for s := cc.GetState(); s != connectivity.TransientFailure; s = cc.GetState() {
			cc.WaitForStateChange(t.Context(), s)
		}
	}
	for id, c := range conns {
		if id != 2 { // a call is under way
			p.release(c)
		}
		if id != 3 { // called a moment ago
			c.used = past
		}
	}
	p.swept = time.Now().Add(-2 * sweepPeriod)
	_, other, err := p.acquire(cluster.Endpoint{ID: 9, Addr: "a:9"}, control)
	if err != nil {
		t.Fatal(err)
	}
	for id := range conns {
		if kept := p.known[peerKey{node: id}] != nil; kept != (id != 1) {
			t.Errorf("node %d is kept: %t", id, kept)
		}
	}
	p.release(other)
	p.release(conns[2])
}
