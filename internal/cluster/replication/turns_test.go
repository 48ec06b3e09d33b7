package replication

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"porcupine/internal/cluster"
)

// walked is Deadline as it is meant: the earliest turn of all peers.
func walked(l *Log) time.Time {
	at := time.Time{}
	for _, p := range l.peers {
		if !p.live || p.offer != 0 || len(p.line) == 0 {
			continue
		}
		if due := l.epoch.Add(max(p.line[0].due, p.until)); at.IsZero() || due.Before(at) {
			at = due
		}
	}
	return at
}

// TestDeadlineIsTheEarliestOfAllPeers: whatever happens, the heap of turns says what a walk over all peers would,
// and nothing that is due stays behind.
func TestDeadlineIsTheEarliestOfAllPeers(t *testing.T) {
	const most = 9
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1000, 0)
		l := NewLog(1, nil, 0)
		var out Output
		flying := map[uint64]Offer{}
		id := rapid.Custom(func(t *rapid.T) cluster.NodeID { return cluster.NodeID(rapid.IntRange(1, most).Draw(t, "node")) })
		some := rapid.Custom(func(t *rapid.T) cluster.ReplicaSet {
			return nodes(rapid.SliceOfN(id, 1, 4).Draw(t, "nodes")...)
		})
		record := rapid.Custom(func(t *rapid.T) cluster.Record {
			replicas := some.Draw(t, "replicas")
			return rec(fmt.Sprint("r", rapid.IntRange(0, 5).Draw(t, "object")), int64(rapid.IntRange(1, 3).Draw(t, "time")), replicas, replicas.Union(some.Draw(t, "targets")))
		})
		t.Repeat(map[string]func(*rapid.T){
			"added":   func(t *rapid.T) { out = l.Added(record.Draw(t, "record"), now) },
			"load":    func(t *rapid.T) { l.Load(record.Draw(t, "record"), now); out = Output{} },
			"install": func(t *rapid.T) { out = l.Install(some.Draw(t, "members").Union(nodes(1)), now) },
			"retired": func(t *rapid.T) {
				out = l.Retired([]cluster.Retirement{retirement(record.Draw(t, "record"))}, now)
			},
			"strike": func(t *rapid.T) { out = l.Strike(cluster.NodeID(rapid.IntRange(2, most).Draw(t, "node")), now) },
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 9000).Draw(t, "ms")) * time.Millisecond)
				out = l.Tick(now)
			},
			"deadline": func(*rapid.T) {
				if at := l.Deadline(); at.After(now) {
					now = at
				}
				out = l.Tick(now)
			},
			"answered": func(t *rapid.T) {
				number := uint64(rapid.IntRange(0, int(l.offers)).Draw(t, "number"))
				var answers []Answer
				var err error
				reply := Reply{Verdict: Same}
				switch rapid.IntRange(0, 3).Draw(t, "reply") {
				case 0:
					err = errors.New("away")
				case 1:
					reply = Reply{Err: errors.New("refused")}
				}
				for _, r := range flying[number].Items {
					if reply.Verdict == Same {
						reply.Have = r.Timestamp
					}
					answers = append(answers, Answer{ID: r.ID, Reply: reply})
				}
				delete(flying, number)
				out = l.Answered(number, answers, err, now)
			},
			"": func(t *rapid.T) {
				for _, o := range out.Offers {
					flying[o.Number] = o
				}
				out = Output{}
				if got, want := l.Deadline(), walked(l); !got.Equal(want) {
					t.Fatalf("Deadline = %v, want %v, the earliest of %d peers", got, want, len(l.peers))
				}
				if len(l.flying) != len(flying) {
					t.Fatalf("%d offers on their way, want %d", len(l.flying), len(flying))
				}
			},
		})
	})
}
