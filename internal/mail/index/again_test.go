package index

import (
	"math/rand/v2"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/uidledger"
)

// D6: the stamps of a conditional STORE say of which request they are, whatever the clock says, and are hardly later than it. Those of
// any other STORE are as the clock gives them.
func TestD6_SignedStamps(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		q := &talk.Question{ModSeq: 7}
		q.Request[r.IntN(len(q.Request))] = byte(1 + r.IntN(255))
		other := &talk.Question{ModSeq: 7, Request: q.Request}
		other.Request[0]++
		at := cluster.Timestamp{Time: r.Int64N(2_000_000_000_000_000_000), Node: 3}
		got := signed(at, q)
		if got.Node != at.Node || got.Time < at.Time || got.Time >= at.Time+signSpan {
			t.Fatalf("the stamp %v became %v", at, got)
		}
		if again := signed(cluster.Timestamp{Time: got.Time + 1, Node: 3}, q); again.Time != got.Time+signSpan {
			t.Fatalf("the next stamp after %v = %v", got, again)
		}
		flags := []uidledger.Register{{Flag: "x", Stamp: cluster.Timestamp{Time: got.Time + 1}}, {Flag: "y", Stamp: got}}
		if !storedBy(q, flags) || storedBy(q, flags[:1]) || storedBy(other, flags) {
			t.Fatalf("%x and %x: which of them has written %v?", q.Request, other.Request, flags)
		}
		for _, plain := range []*talk.Question{{Request: q.Request}, {ModSeq: 7}} {
			if got := signed(at, plain); got != at {
				t.Fatalf("the stamp %v of %+v became %v", at, plain, got)
			}
		}
		if storedBy(&talk.Question{ModSeq: 7}, flags) {
			t.Fatal("a question without a number has written something")
		}
	}
}
