package node

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

// mustRefuse wants no change to be taken through a machine because of its clock, and none to be left.
func (m *machine) mustRefuse(when, id string, on ...cluster.NodeID) {
	m.w.Helper()
	err := m.tryPut(typeNote, "o", id, "contents", on...)
	var ahead *cluster.AheadError
	if !cluster.IsKind(err, cluster.KindUnavailable) || !errors.As(err, &ahead) {
		m.w.Errorf("%s: a change through %v = %v, want kind unavailable because of its clock", when, m.id, err)
	}
	if ts := m.node.JoinStamp(); !ts.IsZero() {
		m.w.Errorf("%s: node %v joins updates and stamps them %v", when, m.id, ts)
	}
	for _, at := range m.w.machines {
		if _, err := at.store.Get(cluster.ObjectID{Type: typeNote, Owner: "o", ID: id}); !cluster.IsKind(err, cluster.KindNotFound) {
			m.w.Errorf("%s: node %v has what was refused: %v", when, at.id, err)
		}
	}
}

// isRight wants a machine's timestamps, and what is durable of them, to be those of now.
func (m *machine) isRight(when string) {
	m.w.Helper()
	ts, err := m.node.timestamp(context.Background())
	if err != nil {
		m.w.Fatalf("%s: %v", when, err)
	}
	reserved, err := loadClock(m.store)
	limit := time.Now().Add(cluster.ClockSkewMax).UnixNano() // a restart begins after what was reserved
	if err != nil || ts.Time > limit || reserved > limit {
		m.w.Errorf("%s: timestamp %v, reserved until %v, %v; want now", when, ts, time.Unix(0, reserved), err)
	}
}

// Row 27: a clock that is ahead gives no timestamps, from its first moment on. When it is set, all is as it was, and
// after a restart too.
func TestFault27_ClockSetRightAgain(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		a.put(typeCard, "o", "card", "before", a.id, b.id, c.id)
		pass(20 * time.Second) // no stretch of the clock is reserved
		a.setClock(time.Hour)
		a.mustRefuse("at once", "ahead", a.id, b.id)
		pass(5 * time.Second)
		a.mustRefuse("when others were heard", "ahead", a.id, b.id)
		var short *cluster.Shortfall
		if err := c.tryPut(typeNote, "o", "by others", "contents", a.id, b.id); !errors.As(err, &short) || !short.Durable.Equal(ids(b)) {
			t.Errorf("a change through another node = %v, want it on node %v alone", err, b.id)
		}
		if err := c.tryPut(typeSet, "o", "set", "x", a.id, b.id); !errors.As(err, &short) || !short.Durable.Equal(ids(b)) {
			t.Errorf("an update that it may have to join = %v, want it on node %v alone", err, b.id)
		}
		if n := strings.Count(w.logged.String(), `msg="this node's clock is wrong"`); n != 1 {
			t.Errorf("said %d times within 5 s that a clock is wrong, want once", n)
		}
		if a.node.Metrics().Skewed == 0 {
			t.Error("Metrics().Skewed = 0 on the node whose clock is wrong: no alarm")
		}
		a.setClock(0)
		pass(time.Second)
		a.isRight("set right")
		a.put(typeNote, "o", "after", "contents", b.id, c.id)
		a.put(typeCard, "o", "card", "after", a.id, b.id, c.id)
		a.kill()
		a.start()
		w.settle(a, b, c)
		a.isRight("restarted")
		a.put(typeNote, "o", "restarted", "contents", a.id, c.id)
		w.await("what others changed meanwhile", 10*time.Minute, func() error {
			_, err := a.store.Get(cluster.ObjectID{Type: typeSet, Owner: "o", ID: "set"})
			_, err2 := a.store.Get(cluster.ObjectID{Type: typeNote, Owner: "o", ID: "by others"})
			return errors.Join(err, err2)
		})
		if got := string(c.lookup("o").Cached[0].Contents); got != "after" {
			t.Errorf("the card is %q, want what was last acknowledged", got)
		}
	})
}

// Row 27: of two nodes the one that is ahead gives no timestamps, since the other would refuse them, and the other
// goes on; left alone a node goes on by its own clock, whatever that is, and was.
func TestFault27_TwoNodes(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		b.setClock(-time.Hour)
		pass(cluster.ClockSkewMax + time.Second) // its timestamps stand still
		a.mustRefuse("the other is behind", "x", a.id, b.id)
		b.put(typeNote, "o", "y", "contents", b.id)
		b.setClock(0)
		pass(15 * time.Second) // as long as what came before counts
		a.put(typeNote, "o", "both right", "contents", a.id, b.id)
		b.kill()
		w.settle(a)
		a.setClock(time.Minute)
		a.put(typeNote, "o", "alone", "contents", a.id)
		a.setClock(0)
		a.put(typeNote, "o", "alone, set back", "contents", a.id)
		b.start()
		w.settle(a, b)
		a.mustRefuse("the other is back", "z", a.id, b.id)
		pass(time.Minute + time.Second)
		a.put(typeNote, "o", "a minute later", "contents", a.id, b.id)
	})
}

// Row 27: where the clocks of most are ahead, those go on, and the others are left behind until they are set.
func TestFault27_MostAreAhead(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		a.setClock(time.Hour)
		b.setClock(time.Hour)
		pass(time.Second)
		a.put(typeNote, "o", "x", "contents", a.id, b.id)
		b.put(typeNote, "o", "y", "contents", a.id, b.id)
		c.put(typeNote, "o", "z", "contents", c.id)
		c.setClock(time.Hour)
		pass(time.Second)
		c.put(typeNote, "o", "x", "changed", a.id, b.id, c.id)
	})
}

// Row 27: a process that starts with a clock that is ahead asks the others before it gives timestamps.
func TestFault27_StartedAhead(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		a.kill()
		w.settle(b, c)
		a.setClock(time.Hour)
		a.start()
		w.settle(a, b, c)
		a.mustRefuse("started", "x", a.id)
		a.kill()
		w.settle(b, c)
		a.setClock(0)
		a.start()
		w.settle(a, b, c)
		a.isRight("started with the right time")
		a.put(typeNote, "o", "x", "contents", a.id, b.id)
	})
}
