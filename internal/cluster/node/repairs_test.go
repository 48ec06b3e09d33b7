package node

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/softstate"
)

// wantKnowledge checks what a node proves of an owner that does not exist, whose bucket it manages itself.
func (m *machine) wantKnowledge(when string, want cluster.Knowledge) {
	m.w.Helper()
	if e := m.lookup(m.managed(1)[0]); e.Knowledge != want {
		m.w.Errorf("%s: Knowledge = %v, want %v", when, e.Knowledge, want)
	}
}

// V1, decision 0019: a node of four is struck. What it shared with the others has other copies ten minutes later; from
// then on a node that is restarted proves as much as one that is not while another is away. Before that it does not.
func TestV1_RepairsAfterAStrikeAreRemembered(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 4)
		a, b, c, d := w.machines[0], w.machines[1], w.machines[2], w.machines[3]
		restart := func() {
			w.Helper()
			if err := a.stop(); err != nil {
				t.Error(err)
			}
			c.kill()
			w.settle(b)
			a.start()
			w.settle(a, b)
		}
		d.kill()
		w.settle(a, b, c)
		if err := b.node.Forget(context.Background(), d.id); err != nil {
			t.Fatal(err)
		}
		var failed atomic.Bool
		a.failWrites(func(name string) error {
			if name == repairsName && failed.CompareAndSwap(false, true) {
				return cluster.Errorf(cluster.KindUnavailable, "test", "disk failed")
			}
			return nil
		})
		pass(softstate.RepairTime / 2)
		restart()
		a.wantKnowledge("restarted after half of the time, one is away", cluster.Complete)
		if i := slices.IndexFunc(a.node.Known(), func(k cluster.Known) bool { return k.ID == c.id }); i < 0 || !a.node.Known()[i].Sole {
			t.Errorf("status does not tell why nothing is proven: %+v", a.node.Known())
		}
		c.start()
		w.settle(a, b, c)
		a.wantKnowledge("nobody is away", cluster.Conclusive)

		pass(softstate.RepairTime + 2*repairsRetry)
		if !failed.Load() || !strings.Contains(w.logged.String(), "not durable; it is tried again") {
			t.Error("no write has failed, or nobody was told")
		}
		restart()
		a.wantKnowledge("restarted after the time, one is away", cluster.Conclusive)
		b.wantKnowledge("not restarted, one is away", cluster.Conclusive)
	})
}

// Who starts without what was remembered, or with something that cannot be read, watches anew. A disk that cannot be read at
// all is a reason not to start.
func TestLoadRepairs(t *testing.T) {
	known := softstate.Repaired{Struck: cluster.ReplicaSet{5, 1 << 60}, By: cluster.ReplicaSet{1, 2, 3}}
	whole := appendRepaired(nil, known)
	newer := append([]byte{repairsVersion + 1}, whole[1:]...)
	huge := append([]byte{repairsVersion}, bytes.Repeat([]byte{0xff}, 9)...)
	for _, c := range []struct {
		name  string
		value []byte
		fails error
		want  softstate.Repaired
		warns bool
		err   bool
	}{
		{name: "whole", value: whole, want: known},
		{name: "nothing of it", fails: cluster.Errorf(cluster.KindNotFound, "test", "no such value")},
		{name: "empty", value: nil, warns: true},
		{name: "newer", value: newer, warns: true},
		{name: "cut", value: whole[:len(whole)-1], warns: true},
		{name: "cut before the second set", value: whole[:2+2*8], warns: true},
		{name: "a huge number", value: append(huge, 1), warns: true},
		{name: "longer", value: append(slices.Clone(whole), 0), warns: true},
		{name: "damaged", fails: cluster.Errorf(cluster.KindCorrupt, "test", "sum"), warns: true},
		{name: "not read", fails: errors.New("i/o error"), err: true},
	} {
		w := newWorld(t, 0)
		n := &Node{cfg: Config{Store: metaStore{value: c.value, err: c.fails}}, log: w.log}
		got, err := loadRepairs(n)
		switch warned := strings.Contains(w.logged.String(), "found out anew"); {
		case (err != nil) != c.err, warned != c.warns:
			t.Errorf("%s: %v, warned %v", c.name, err, warned)
		case err == nil && (!got.durable.Equal(c.want) || !got.Repaired().Equal(c.want)):
			t.Errorf("%s: %v, %v, want %v", c.name, got.durable, got.Repaired(), c.want)
		}
	}
}

// metaStore has one value.
type metaStore struct {
	Hard
	value []byte
	err   error
}

func (s metaStore) Meta(string) ([]byte, error) { return s.value, s.err }

// Nothing is written before something is known, and that once.
func TestRepairsAreWrittenWhenThereIsSomethingToRemember(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		a, b, c := w.machines[0], w.machines[1], w.machines[2]
		var writes atomic.Int64
		a.failWrites(func(name string) error {
			if name == repairsName {
				writes.Add(1)
			}
			return nil
		})
		pass(time.Minute)
		c.kill()
		w.settle(a, b)
		if err := a.node.Forget(context.Background(), c.id); err != nil {
			t.Fatal(err)
		}
		pass(softstate.RepairTime - time.Minute)
		if got := writes.Load(); got != 0 {
			t.Errorf("%d writes before there is anything to remember", got)
		}
		pass(softstate.RepairTime)
		if got := writes.Load(); got != 1 {
			t.Errorf("%d writes when there is, want 1", got)
		}
		value, err := a.store.Meta(repairsName)
		if err != nil {
			t.Fatal(err)
		}
		want := softstate.Repaired{Struck: cluster.ReplicaSet{c.id}, By: ids(a, b)}
		if got, err := parseRepaired(value); err != nil || !got.Equal(want) {
			t.Errorf("remembered: %v, %v; want %v", got, err, want)
		}
	})
}
