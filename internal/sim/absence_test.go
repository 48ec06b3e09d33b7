package sim

import (
	"testing"
	"time"
)

// TestV1_ChangedAloneAfterADeletionElsewhere: a user is removed while one holder of the profile is alone, and changed there afterwards. The
// change is newer, so the user lives when they meet: until then nobody may be told for good that there is none.
func TestV1_ChangedAloneAfterADeletionElsewhere(t *testing.T) {
	w := atRest(t, 5)
	c := w.client
	c.until = 1 << 62
	u := c.users[0]
	step := func(at *node, op changeOp, exists bool) {
		c.change(at, u, op)
		w.run(time.Duration(w.now) + 20*time.Second)
		if u.busy = false; u.exists != exists {
			t.Fatalf("%v at %v: %s", op, at, w.states(u.profile()))
		}
	}
	step(w.nodes[0], changeAdd, true)
	lone := w.byID[w.oracle.newest[u.profile()].Replicas[0]]
	other := w.nodes[(lone.index+1)%len(w.nodes)]
	for _, n := range w.nodes {
		if n != lone {
			w.cut(n, lone, true)
			w.cut(lone, n, true)
		}
	}
	w.run(time.Duration(w.now) + 90*time.Second)
	step(other, changeRemove, false)
	step(lone, changeReplace, true)
	c.retrieve(other, u, false, nil)
	w.run(time.Duration(w.now) + 20*time.Second)
	if w.check.failure != nil {
		t.Fatal(w.check.failure)
	}
}
