package membership_test

import (
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
)

// M5, M6: however long a coordinator waits for answers, those who have promised wait for its view. Two nodes die
// at once: who finds out about one waits for the other's answer as long as it may, and there are two who find out.
func TestM5_LongReplyTimeout(t *testing.T) {
	for _, reply := range []time.Duration{50 * time.Millisecond, 400 * time.Millisecond, 0, time.Second, 2 * time.Second, 3 * time.Second, 10 * time.Second} {
		for seed := uint64(1); seed <= 10; seed++ {
			w := newWorld(seed)
			w.reply = reply
			for id := cluster.NodeID(1); id <= 6; id++ {
				w.boot(id, 1)
			}
			if _, ok := w.settle(1, 20*reply+20*time.Second); !ok {
				t.Fatalf("reply timeout %v, seed %d: the nodes do not find together", reply, seed)
			}
			w.run(time.Duration(seed) * 13 * time.Millisecond)
			w.crash(2)
			w.crash(4)
			most := 2*time.Second + 2*max(reply, 500*time.Millisecond)
			if _, ok := w.settle(1, most); !ok {
				t.Errorf("reply timeout %v, seed %d: %v after two nodes died they are members", reply, seed, most)
			}
			w.check(t)
		}
	}
}

// M5: a node that agrees to be merged and never answers in time, since it cannot make a promise durable as fast, does not cost
// the others a view every few seconds; when it answers again it is taken back within a minute.
func TestM5_NodeThatIsTooSlowToPromise(t *testing.T) {
	w := settled(t, 1, 3)
	slow := cluster.NodeID(4)
	mute := true
	w.drop = func(_ cluster.NodeID, m membership.Message) bool {
		return mute && m.Kind == membership.KindReply && m.From.ID == slow
	}
	w.boot(slow, 1, 2, 3)
	if n := w.installsSince(func() { w.run(5 * time.Minute) }); n > 16 {
		t.Errorf("%d views in five minutes, want at most 16", n)
	}
	if v := w.nodes[1].view; v.Contains(slow) {
		t.Errorf("view %v has a node that never answered", v.Epoch)
	}
	mute = false
	if d, ok := w.settle(1, 75*time.Second); !ok {
		t.Errorf("%v after it answers again, the node is no member", d)
	}
	w.check(t)
}
