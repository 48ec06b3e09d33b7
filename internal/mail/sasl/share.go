package sasl

import (
	"context"
	"encoding/binary"
	"log/slog"
	"sync"
	"time"

	"porcupine/internal/cluster"
)

// methodGuard is how nodes tell each other how attempts to log in have ended.
const methodGuard = "login.ended"

// Limits of what nodes tell each other of logins.
const (
	newsMax     = 4096                   // events that wait to be told; further ones are not told
	newsBatch   = 512                    // events in one call
	newsEvery   = 100 * time.Millisecond // the wait for more of them
	newsTimeout = 2 * time.Second        // of one call
)

// The form of an event in a call: flags, the three hashes that are always there, that of the site, and the count
// taken back. Integers are big-endian.
const (
	newsVersion = 1
	eventLength = 1 + 4*8 + 4

	flagFailed = 1 << 0
	flagSite   = 1 << 1
)

// Peers is what a guard needs of the node to share its record.
type Peers interface {
	ID() cluster.NodeID
	View() *cluster.View
	Tell(ctx context.Context, to cluster.NodeID, method string, payload []byte) ([]byte, error)
	Serve(method string, handler func(ctx context.Context, from cluster.NodeID, payload []byte) ([]byte, error))
}

// Share makes the guard learn of attempts at other nodes. Call it once, before the node starts and the first
// login. The other way is Tell.
func (g *Guard) Share(node Peers) {
	g.news = make(chan event, newsMax)
	node.Serve(methodGuard, func(_ context.Context, _ cluster.NodeID, payload []byte) ([]byte, error) {
		events, err := parseEvents(payload)
		if err != nil {
			return nil, err
		}
		now := time.Now()
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, e := range events {
			g.record.learn(e, now)
		}
		return nil, nil
	})
}

// Tell tells the other members how attempts end here, until ctx ends. Call it after Share. A member that cannot be
// told misses it: its own count is what protects it then.
func (g *Guard) Tell(ctx context.Context, node Peers, log *slog.Logger) {
	for {
		batch := g.collect(ctx)
		if ctx.Err() != nil {
			return
		}
		payload := appendEvents(nil, batch)
		var all sync.WaitGroup
		for _, id := range node.View().IDs() {
			if id == node.ID() {
				continue
			}
			all.Go(func() {
				ctx, cancel := context.WithTimeout(ctx, newsTimeout)
				defer cancel()
				if _, err := node.Tell(ctx, id, methodGuard, payload); err != nil && ctx.Err() == nil {
					log.Debug("a node was not told of failed logins; it counts for itself", "node", id, "events", len(batch), "err", err)
				}
			})
		}
		all.Wait()
	}
}

// collect waits for an event and takes those that come soon after it.
func (g *Guard) collect(ctx context.Context) (batch []event) {
	select {
	case e := <-g.news:
		batch = append(batch, e)
	case <-ctx.Done():
		return nil
	}
	timer := time.NewTimer(newsEvery)
	defer timer.Stop()
	for len(batch) < newsBatch {
		select {
		case e := <-g.news:
			batch = append(batch, e)
		case <-timer.C:
			return batch
		case <-ctx.Done():
			return batch
		}
	}
	return batch
}

// publish queues an event for the other nodes; never blocks.
func (g *Guard) publish(e event) {
	select {
	case g.news <- e: // blocks for ever where nothing is shared, so that default is taken
	default:
	}
}

func appendEvents(b []byte, events []event) []byte {
	b = append(b, newsVersion)
	for _, e := range events {
		flags := byte(0)
		if e.failed {
			flags |= flagFailed
		}
		if e.keys.hasSite {
			flags |= flagSite
		}
		b = append(b, flags)
		for _, h := range []uint64{e.keys.pair, e.keys.network, e.keys.account, e.keys.site} {
			b = binary.BigEndian.AppendUint64(b, h)
		}
		b = binary.BigEndian.AppendUint32(b, uint32(e.taken))
	}
	return b
}

func parseEvents(b []byte) ([]event, error) {
	if len(b) == 0 || b[0] != newsVersion || (len(b)-1)%eventLength != 0 || len(b) > 1+newsBatch*eventLength {
		return nil, cluster.Errorf(cluster.KindInvalid, methodGuard, "%d bytes that this version does not read", len(b))
	}
	var events []event
	for b = b[1:]; len(b) > 0; b = b[eventLength:] {
		u64 := func(i int) uint64 { return binary.BigEndian.Uint64(b[1+8*i:]) }
		events = append(events, event{
			keys:   keys{pair: u64(0), network: u64(1), account: u64(2), site: u64(3), hasSite: b[0]&flagSite != 0},
			failed: b[0]&flagFailed != 0,
			taken:  int(min(binary.BigEndian.Uint32(b[1+4*8:]), failuresMax)),
		})
	}
	return events, nil
}
