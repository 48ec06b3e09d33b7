package sim

import (
	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/wire"
	payload "porcupine/internal/cluster/wire/call"
)

// meter counts the octets that nodes send: the payloads of membership messages and pushes as they are
// on the wire, without the framing of transport, TLS and TCP. Runs for the account have none.
type meter struct {
	sent  []traffic // by node
	views map[viewSize]int
}

// traffic is what one node has sent.
type traffic struct{ messages, bytes int64 }

// viewSize is what the size of a message with a view depends on, but for a few octets: measuring a
// thousand of them one by one would take longer than all the rest of the run.
type viewSize struct {
	epoch       cluster.Epoch
	known, live int
}

func newMeter() *meter { return &meter{views: make(map[viewSize]int)} }

// count takes note of a packet on its way. What nodes say to themselves is not on a network.
func (m *meter) count(p *packet) {
	if m == nil || p.from == p.to {
		return
	}
	for len(m.sent) <= p.from.index {
		m.sent = append(m.sent, traffic{})
	}
	t := &m.sent[p.from.index]
	t.messages++
	t.bytes += int64(m.size(p))
}

// size gives the octets of a packet's payload.
func (m *meter) size(p *packet) int {
	switch {
	case p.request != nil && p.request.push != nil:
		q := p.request.push
		request := payload.PushRequest{Epoch: q.Epoch, Holdings: q.Holdings, Complete: q.Complete}
		return len(request.Marshal())
	case p.member.Kind == membership.KindView:
		s := viewSize{p.member.Epoch, len(p.member.Known), len(p.member.Lives)}
		n, ok := m.views[s]
		if !ok {
			n = len(wire.MarshalMessage(&p.member))
			m.views[s] = n
		}
		return n
	case p.member.Kind != 0:
		return len(wire.MarshalMessage(&p.member))
	}
	return 0 // an answer to a push is empty
}

// since gives what all nodes have sent since before, and what the one that sent most octets has.
func (m *meter) since(before []traffic) (all, most traffic) {
	for i, t := range m.sent {
		if i < len(before) {
			t.messages -= before[i].messages
			t.bytes -= before[i].bytes
		}
		all.messages += t.messages
		all.bytes += t.bytes
		if t.bytes > most.bytes {
			most = t
		}
	}
	return all, most
}
