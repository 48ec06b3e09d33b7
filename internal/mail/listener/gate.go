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
	// IPv6 /64, which is what one customer has. All networks of one IPv6 /48 together may have
	// four times as many, or whoever has a /48 could take all of ConnectionsMax.
	PerNetworkMax int
	// HandshakesMax bounds the TLS handshakes at once; more wait for their turn. One network may
	// have a quarter of them, so that clients which connect and stay silent cannot keep others out.
	HandshakesMax int
}

// networksPerSite is how many networks' share all those of one IPv6 /48 may have.
const networksPerSite = 4

// handshakesShare is which part of HandshakesMax one network may have: one in so many.
const handshakesShare = 4

// Gate counts connections and refuses what is over the limit. It is safe for concurrent use.
type Gate struct {
	cfg        GateConfig
	handshakes chan struct{} // a slot for each handshake under way

	mu        sync.Mutex
	total     int
	byNetwork map[netip.Prefix]*guest // of networks with connections, so at most total entries
	bySite    map[netip.Prefix]int    // connections, of IPv6 /48s with any
}

// guest is a network with connections.
type guest struct {
	connections int
	handshakes  chan struct{} // a slot for each handshake of the network; nil before the first
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
		byNetwork:  make(map[netip.Prefix]*guest),
		bySite:     make(map[netip.Prefix]int),
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
	site, hasSite := mail.SiteOf(n)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.total >= g.cfg.ConnectionsMax {
		return ReasonTotal, false
	}
	if hasSite && g.bySite[site] >= networksPerSite*g.cfg.PerNetworkMax {
		return ReasonAddress, false
	}
	visitor := g.byNetwork[n]
	if visitor == nil {
		visitor = &guest{}
		g.byNetwork[n] = visitor
	}
	if visitor.connections >= g.cfg.PerNetworkMax {
		return ReasonAddress, false
	}
	g.total++
	visitor.connections++
	if hasSite {
		g.bySite[site]++
	}
	return "", true
}

// leave counts a connection out that enter let in.
func (g *Gate) leave(from netip.Addr) {
	n := mail.NetworkOf(from)
	site, hasSite := mail.SiteOf(n)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	if hasSite {
		if g.bySite[site]--; g.bySite[site] == 0 {
			delete(g.bySite, site)
		}
	}
	visitor := g.byNetwork[n]
	if visitor.connections--; visitor.connections == 0 {
		delete(g.byNetwork, n)
	}
}

// beginHandshake waits for a handshake slot of the network, then for one of all, and gives the
// function that gives both back.
func (g *Gate) beginHandshake(ctx context.Context, from netip.Addr) (end func(), err error) {
	own := g.handshakesOf(from)
	for i, slots := range []chan struct{}{own, g.handshakes} {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			if i > 0 {
				<-own
			}
			return nil, fmt.Errorf("wait for a TLS handshake slot (%d at once): %w", cap(slots), ctx.Err())
		}
	}
	return func() { <-g.handshakes; <-own }, nil
}

// handshakesOf gives the slots of the network of a connection that is inside.
func (g *Gate) handshakesOf(from netip.Addr) chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	visitor := g.byNetwork[mail.NetworkOf(from)]
	if visitor.handshakes == nil {
		visitor.handshakes = make(chan struct{}, max(1, g.cfg.HandshakesMax/handshakesShare))
	}
	return visitor.handshakes
}
