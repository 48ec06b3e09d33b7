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
	// ConnectionsMax bounds the connections at once over all Servers that share the gate. A tenth is kept for each of
	// their services, so that many clients of one cannot keep those of another out.
	ConnectionsMax int
	// PerNetworkMax bounds the connections at once from one network: one IPv4 address, or one
	// IPv6 /64, which is what one customer has. All networks of one IPv6 /48 together may have
	// four times as many, or whoever has a /48 could take all of ConnectionsMax.
	PerNetworkMax int
	// HandshakesMax bounds the TLS handshakes that compute at once; more wait for their turn. One network may
	// have a quarter of them, all networks of one IPv6 /48 half. What waits for its client has no turn.
	HandshakesMax int
}

// reserveShare is which part of ConnectionsMax is kept for each service: one in so many.
const reserveShare = 10

// networksPerSite is how many networks' share all those of one IPv6 /48 may have.
const networksPerSite = 4

// Which part of HandshakesMax one network, and all of one site, may have: one in so many.
const (
	handshakesShare     = 4
	handshakesSiteShare = 2
)

// Gate counts connections and refuses what is over the limit. It is safe for concurrent use.
type Gate struct {
	cfg        GateConfig
	handshakes chan struct{} // a slot for each handshake under way

	mu        sync.Mutex
	total     int
	byService map[string]int          // connections, of every service that shares the gate
	byNetwork map[netip.Prefix]*guest // of networks with connections, so at most total entries
	bySite    map[netip.Prefix]*guest // of IPv6 /48s with connections
}

// guest is a network, or a site, with connections.
type guest struct {
	connections int
	handshakes  chan struct{} // a slot for each handshake from there; nil before the first
}

// slots gives the guest's slots for handshakes, so many of them.
func (v *guest) slots(n int) chan struct{} {
	if v.handshakes == nil {
		v.handshakes = make(chan struct{}, max(1, n))
	}
	return v.handshakes
}

// arrive counts a connection from a network or site in.
func arrive(guests map[netip.Prefix]*guest, from netip.Prefix) {
	v := guests[from]
	if v == nil {
		v = &guest{}
		guests[from] = v
	}
	v.connections++
}

// depart counts it out.
func depart(guests map[netip.Prefix]*guest, from netip.Prefix) {
	v := guests[from]
	if v.connections--; v.connections == 0 {
		delete(guests, from)
	}
}

// connectionsOf counts the connections from a network or site.
func connectionsOf(guests map[netip.Prefix]*guest, from netip.Prefix) int {
	if v := guests[from]; v != nil {
		return v.connections
	}
	return 0
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
		byService:  make(map[string]int),
		byNetwork:  make(map[netip.Prefix]*guest),
		bySite:     make(map[netip.Prefix]*guest),
	}, nil
}

// Connections gives the number of connections inside.
func (g *Gate) Connections() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.total
}

// addService begins to keep places for a service.
func (g *Gate) addService(service string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.byService[service] += 0
}

// placesLocked gives how many connections a service may have now: all but those that others have or that are kept for them.
func (g *Gate) placesLocked(service string) int {
	places := g.cfg.ConnectionsMax
	for other, connections := range g.byService {
		if other != service {
			places -= max(connections, g.cfg.ConnectionsMax/reserveShare)
		}
	}
	return places
}

// enter counts a connection to a service in; ok is false, with the reason, if a limit is reached.
func (g *Gate) enter(service string, from netip.Addr) (why Reason, ok bool) {
	n := mail.NetworkOf(from)
	site, hasSite := mail.SiteOf(n)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.byService[service] >= g.placesLocked(service) {
		return ReasonTotal, false
	}
	if hasSite && connectionsOf(g.bySite, site) >= networksPerSite*g.cfg.PerNetworkMax || connectionsOf(g.byNetwork, n) >= g.cfg.PerNetworkMax {
		return ReasonAddress, false
	}
	g.total++
	g.byService[service]++
	arrive(g.byNetwork, n)
	if hasSite {
		arrive(g.bySite, site)
	}
	return "", true
}

// leave counts a connection out that enter let in.
func (g *Gate) leave(service string, from netip.Addr) {
	n := mail.NetworkOf(from)
	site, hasSite := mail.SiteOf(n)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	g.byService[service]--
	depart(g.byNetwork, n)
	if hasSite {
		depart(g.bySite, site)
	}
}

// beginHandshake waits for a handshake slot of the network, for one of its site, then for one of all,
// and gives the function that gives them back.
func (g *Gate) beginHandshake(ctx context.Context, from netip.Addr) (end func(), err error) {
	var taken []chan struct{}
	end = func() {
		for _, slots := range taken {
			<-slots
		}
	}
	for _, slots := range g.handshakeSlots(from) {
		select {
		case slots <- struct{}{}:
			taken = append(taken, slots)
		case <-ctx.Done():
			end()
			return nil, fmt.Errorf("wait for a TLS handshake slot (%d at once): %w", cap(slots), ctx.Err())
		}
	}
	return end, nil
}

// handshakeSlots gives the slots that a connection needs one each of, the narrowest first. The connection is inside.
func (g *Gate) handshakeSlots(from netip.Addr) []chan struct{} {
	n := mail.NetworkOf(from)
	site, hasSite := mail.SiteOf(n)
	g.mu.Lock()
	defer g.mu.Unlock()
	all := []chan struct{}{g.byNetwork[n].slots(g.cfg.HandshakesMax / handshakesShare)}
	if hasSite {
		all = append(all, g.bySite[site].slots(g.cfg.HandshakesMax/handshakesSiteShare))
	}
	return append(all, g.handshakes)
}
