package transport_test

import (
	"sync"
	"testing"

	"go.uber.org/goleak"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/identity"
	"porcupine/internal/cluster/transport"
)

// grpcFabric opens ports on the loopback address, all of one cluster.
type grpcFabric struct {
	mu    sync.Mutex
	first *identity.Identity
	files map[cluster.NodeID]*identity.MemFiles
}

// identity gives a node's; the first of the cluster admits the others.
func (f *grpcFabric) identity(t *testing.T, id cluster.NodeID) *identity.Identity {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.files == nil {
		f.files = make(map[cluster.NodeID]*identity.MemFiles)
	}
	if files := f.files[id]; files != nil {
		i, err := identity.Load(files, identity.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	files := new(identity.MemFiles)
	f.files[id] = files
	if f.first == nil {
		i, err := identity.Init(files, identity.Options{Node: id})
		if err != nil {
			t.Fatal(err)
		}
		f.first = i
		return i
	}
	return joinThrough(t, f.first, files, id)
}

// joinThrough lets a node join by a port that serves nothing but that.
func joinThrough(t *testing.T, issuer *identity.Identity, files identity.Files, id cluster.NodeID) *identity.Identity {
	t.Helper()
	door := &identity.Door{Identity: issuer}
	port, err := transport.Open(transport.Config{Credentials: issuer, Listen: "127.0.0.1:0", Join: door.Serve})
	if err != nil {
		t.Fatal(err)
	}
	port.Serve(&host{id: issuer.Node()})
	defer closeLink(t, port)
	token, err := issuer.IssueToken([]string{port.Addr()}, 0)
	if err != nil {
		t.Fatal(err)
	}
	joined, _, err := identity.Join(t.Context(), files, token, identity.JoinOptions{Options: identity.Options{Node: id}})
	if err != nil {
		t.Fatal(err)
	}
	return joined
}

func (f *grpcFabric) open(t *testing.T, id cluster.NodeID, addr string) transport.Link {
	t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	port, err := transport.Open(transport.Config{Credentials: f.identity(t, id), Listen: addr})
	if err != nil {
		t.Fatal(err)
	}
	return port
}

var _ transport.Credentials = (*identity.Identity)(nil)

func TestPortConforms(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) }) // no goroutine of any link is left
	f := new(grpcFabric)
	conform(t, func(t *testing.T, test func(*testing.T, fabric)) { test(t, f) })
}
