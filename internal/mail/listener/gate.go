package listener

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"porcupine/internal/mail"
)

// Defaults of GateConfig.
const (
	ConnectionsMaxDefault = 10_000
	PerNetworkMaxDefault  = 200
	HandshakesMaxDefault  = 64
)

// GateConfig holds the limits of a Gate; zero means the default.
type GateConfig struct {
	ConnectionsMax int // at once, over all Servers that share the gate
	// PerNetworkMax bounds the connections at once from one network: one IPv4 address, or one
	// IPv6 /64, which is what one customer has.
	PerNetworkMax int
	HandshakesMax int // TLS handshakes at once; more wait for their turn
}

// Gate counts connections and refuses what is over the limit. It is safe for concurrent use.
type Gate struct {
	cfg        GateConfig
	handshakes chan struct{} // a slot for each handshake under way

	mu        sync.Mutex
	total     int
	byNetwork map[netip.Prefix]int // no zero entries, so at most total entries
}

// NewGate makes a gate; an error says which limit is negative.
func NewGate(cfg GateConfig) (*Gate, error) {
	for _, l := range []struct {
		name     string
		value    *int
		fallback int
	}{
		{"ConnectionsMax", &cfg.ConnectionsMax, ConnectionsMaxDefault},
		{"PerNetworkMax", &cfg.PerNetworkMax, PerNetworkMaxDefault},
		{"HandshakesMax", &cfg.HandshakesMax, HandshakesMaxDefault},
	} {
		if *l.value < 0 {
			return nil, fmt.Errorf("listener gate: %s is %d; want a positive number, or 0 for the default", l.name, *l.value)
		}
		if *l.value == 0 {
			*l.value = l.fallback
		}
	}
	return &Gate{
		cfg:        cfg,
		handshakes: make(chan struct{}, cfg.HandshakesMax),
		byNetwork:  make(map[netip.Prefix]int),
	}, nil
}

// Connections gives the number of connections inside.
func (g *Gate) Connections() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.total
}

// enter counts a connection in; ok is false, with the reason, if a limit is reached.
func (g *Gate) enter(from netip.Addr) (why Reason, ok bool) {
	n := mail.NetworkOf(from)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.total >= g.cfg.ConnectionsMax {
		return ReasonTotal, false
	}
	if g.byNetwork[n] >= g.cfg.PerNetworkMax {
		return ReasonAddress, false
	}
	g.total++
	g.byNetwork[n]++
	return "", true
}

// leave counts a connection out that enter let in.
func (g *Gate) leave(from netip.Addr) {
	n := mail.NetworkOf(from)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	if g.byNetwork[n]--; g.byNetwork[n] == 0 {
		delete(g.byNetwork, n)
	}
}

// beginHandshake waits for a handshake slot; the caller gives it back with endHandshake.
func (g *Gate) beginHandshake(ctx context.Context) error {
	select {
	case g.handshakes <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for a TLS handshake slot (%d at once): %w", g.cfg.HandshakesMax, ctx.Err())
	}
}

func (g *Gate) endHandshake() { <-g.handshakes }
