package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
)

// impostor is a member's end of the network that speaks in any epoch.
type impostor struct {
	id    cluster.NodeID
	epoch cluster.Epoch
}

func (i *impostor) Stamp() cluster.Stamp                               { return cluster.Stamp{From: i.id, Epoch: i.epoch} }
func (i *impostor) Observe(cluster.Stamp)                              {}
func (i *impostor) Admit(context.Context, cluster.Stamp, string) error { return nil }
func (i *impostor) Handle(context.Context, cluster.NodeID, *transport.Incoming) (*transport.Response, error) {
	return nil, errors.New("not a node")
}

// M4: a request from an older epoch is refused as stale, one from a newer epoch as behind, and
// neither is executed. Membership and status work in any epoch.
func TestM4_Fence(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 1)
		m := w.machines[0]
		var served atomic.Int64
		w.register = func(n *Node) {
			n.Serve("count", func(context.Context, cluster.NodeID, []byte) ([]byte, error) {
				served.Add(1)
				return nil, nil
			})
		}
		m.start()
		w.settle(m)
		now := m.node.View().Epoch
		port, err := w.net.Port(0x99, "impostor")
		if err != nil {
			t.Fatal(err)
		}
		defer port.Close(context.Background())
		self := &impostor{id: 0x99}
		port.Serve(self)

		u, contents := newObject(typeNote, "o", "x", "contents", m.id)
		u.Object.Timestamp = cluster.Timestamp{Time: time.Now().UnixNano(), Node: 0x99}
		id := u.Object.ID
		requests := []struct {
			name string
			r    *transport.Request
		}{
			{"apply", &transport.Request{Method: call.MethodApply, Payload: (&call.ApplyRequest{Updates: []cluster.Update{u}}).Marshal(), Body: contents}},
			{"push", &transport.Request{Method: call.MethodPush, Payload: (&call.PushRequest{Epoch: now}).Marshal()}},
			{"lookup", &transport.Request{Method: call.MethodLookup, Payload: (&call.LookupRequest{Owner: "o"}).Marshal()}},
			{"list", &transport.Request{Method: call.MethodList, Payload: (&call.ListRequest{Owner: "o", Type: typeNote}).Marshal()}},
			{"open", &transport.Request{Method: call.MethodOpen, Payload: (&call.OpenRequest{ID: id}).Marshal()}},
			{"service", &transport.Request{Method: call.MethodService, Payload: (&call.ServiceRequest{Owner: "o", Method: "count"}).Marshal()}},
			{"confirm", &transport.Request{Method: call.MethodConfirm}},
		}
		epochs := []struct {
			name  string
			epoch cluster.Epoch
			want  cluster.Kind
		}{
			{"stale", cluster.Epoch{Counter: now.Counter - 1, Coordinator: 0x99}, cluster.KindStale},
			{"behind", cluster.Epoch{Counter: now.Counter + 1, Coordinator: 0x99}, cluster.KindBehind},
			{"another coordinator", cluster.Epoch{Counter: now.Counter, Coordinator: 0x99}, cluster.KindBehind},
		}
		for _, e := range epochs {
			self.epoch = e.epoch
			for _, r := range requests {
				_, err := port.Call(context.Background(), cluster.Endpoint{ID: m.id, Addr: m.addr()}, r.r)
				if !cluster.IsKind(err, e.want) {
					t.Errorf("%s %s = %v, want kind %v", e.name, r.name, err, e.want)
				}
				if s, ok := transport.AnswererStamp(err); !ok || s.Epoch != now {
					t.Errorf("%s %s: the refusal tells epoch %v, %v; want %v", e.name, r.name, s.Epoch, ok, now)
				}
			}
			if _, err := port.Call(context.Background(), cluster.Endpoint{ID: m.id, Addr: m.addr()}, &transport.Request{Method: call.MethodStatus}); err != nil {
				t.Errorf("%s status = %v, want an answer", e.name, err)
			}
		}
		if _, err := m.read(m.id, id); !cluster.IsKind(err, cluster.KindNotFound) {
			t.Errorf("the object of a refused update: %v, want kind not found", err)
		}
		if n := served.Load(); n != 0 {
			t.Errorf("a refused service was called %d times", n)
		}
		if got, want := m.node.Metrics().Fenced, int64(len(epochs)*len(requests)); got != want {
			t.Errorf("Metrics().Fenced = %d, want %d", got, want)
		}
	})
}

// Requests that a node of this version never sends are refused, and change nothing.
func TestHandle_Malformed(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 1)
		m := w.machines[0]
		u, _ := newObject(typeNote, "o", "x", "contents", m.id)
		u.Object.Timestamp = cluster.Timestamp{Time: time.Now().UnixNano(), Node: m.id}
		elsewhere, _ := newObject(typeNote, "o", "x", "", 0x99)
		elsewhere.Object.Timestamp = u.Object.Timestamp
		apply := func(us ...cluster.Update) []byte { return (&call.ApplyRequest{Updates: us}).Marshal() }
		tests := []struct {
			name string
			r    transport.Incoming
			want cluster.Kind
		}{
			{"unknown method", transport.Incoming{Method: "sing"}, cluster.KindUnavailable},
			{"unknown service", transport.Incoming{Method: call.MethodService, Payload: (&call.ServiceRequest{Owner: "o", Method: "sing"}).Marshal()}, cluster.KindUnavailable},
			{"no payload", transport.Incoming{Method: call.MethodLookup}, cluster.KindInvalid},
			{"membership garbage", transport.Incoming{Method: call.MethodMembership, Payload: []byte{1, 2, 3}}, cluster.KindInvalid},
			{"body shorter than the object", transport.Incoming{Method: call.MethodApply, Payload: apply(u), Body: strings.NewReader("cont"), BodySize: 4}, cluster.KindInvalid},
			{"body longer than the object", transport.Incoming{Method: call.MethodApply, Payload: apply(u), Body: strings.NewReader("contents!"), BodySize: 9}, cluster.KindInvalid},
			{"body other than the object's", transport.Incoming{Method: call.MethodApply, Payload: apply(u), Body: strings.NewReader("CONTENTS"), BodySize: 8}, cluster.KindInvalid},
			{"body that breaks off", transport.Incoming{Method: call.MethodApply, Payload: apply(u), Body: strings.NewReader("cont"), BodySize: 8}, cluster.KindUnavailable},
			{"two updates with one body", transport.Incoming{Method: call.MethodApply, Payload: apply(u, u), Body: strings.NewReader("contents"), BodySize: 8}, cluster.KindInvalid},
			{"update for another node", transport.Incoming{Method: call.MethodApply, Payload: apply(elsewhere), Body: strings.NewReader("")}, cluster.KindInvalid},
		}
		for _, tt := range tests {
			if _, err := m.node.Handle(context.Background(), 0x99, &tt.r); !cluster.IsKind(err, tt.want) {
				t.Errorf("%s: %v, want kind %v", tt.name, err, tt.want)
			}
		}
		for _, us := range [][]cluster.Update{{u}, {u, u}} { // of another target: contents are to come later
			for _, method := range []string{call.MethodApply, call.MethodOffer} {
				resp, err := m.node.Handle(context.Background(), 0x99, &transport.Incoming{Method: method, Payload: apply(us...)})
				var answer call.ApplyAnswer
				if err == nil {
					err = answer.Unmarshal(resp.Payload)
				}
				if err != nil || len(answer.Replies) != len(us) || !answer.Replies[0].Want {
					t.Errorf("%s of %d updates without contents: %+v, %v; want them wanted", method, len(us), answer, err)
				}
			}
		}
		if l := m.store.Load(); l.Objects != 0 {
			t.Errorf("the store holds %d objects, want none", l.Objects)
		}
	})
}

// A full disk is a kind of its own, so that the proxy takes another node; and the choice avoids
// it as soon as it is known. Deletions are always taken.
func TestFullDisk(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		a.put(typeNote, "o", "old", "contents", b.id)
		b.disk.free.Store(1 << 10)
		pass(2 * time.Second) // the store looks once a second
		for _, m := range w.machines {
			if err := m.tryPut(typeNote, "o", "x", "contents", b.id); !cluster.IsKind(err, cluster.KindFull) {
				t.Errorf("node %v: Update on a full disk = %v, want kind full", m.id, err)
			}
			if err := m.tryPut(typeNote, "o", "y", "contents", a.id, b.id); !cluster.IsKind(err, cluster.KindFull) {
				t.Errorf("node %v: Update on a full disk and another = %v, want kind full", m.id, err)
			}
			e := m.lookup("o")
			for range 20 {
				if got, err := m.node.Choose(e, typeNote, 1, 2, nil, nil); err != nil || got.Contains(b.id) {
					t.Fatalf("node %v: Choose = %v, %v; want the node with room", m.id, got, err)
				}
			}
			if _, err := m.node.Choose(e, typeNote, 1, 2, nil, ids(a)); !cluster.IsKind(err, cluster.KindFull) {
				t.Errorf("node %v: Choose among full nodes = %v, want kind full", m.id, err)
			}
		}
		deletion := cluster.Update{Object: cluster.Object{ID: cluster.ObjectID{Type: typeNote, Owner: "o", ID: "old"}, Deleted: true}, Previous: ids(b)}
		if errs := a.node.UpdateAll(context.Background(), []cluster.Update{deletion}); errs[0] != nil {
			t.Errorf("deletion on a full disk: %v", errs[0])
		}
	})
}

// A node on its way out takes no new objects, says so, and still deletes.
func TestStopping_TakesNothingNew(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		a.put(typeNote, "o", "old", "contents", b.id)
		b.node.stopping.Store(true) // what Stop does first
		for _, m := range w.machines {
			if err := m.tryPut(typeNote, "o", "x", "contents", b.id); !cluster.IsKind(err, cluster.KindFull) {
				t.Errorf("node %v: Update on a node that stops = %v, want kind full", m.id, err)
			}
			if got, err := m.node.Choose(cluster.Entry{Owner: "o"}, typeNote, 2, 2, nil, nil); err != nil || got.Contains(b.id) {
				t.Errorf("node %v: Choose = %v, %v; want the node that stays", m.id, got, err)
			}
		}
		if b.node.Ready() == nil {
			t.Error("Ready() = nil on a node that stops")
		}
		deletion := cluster.Update{Object: cluster.Object{ID: cluster.ObjectID{Type: typeNote, Owner: "o", ID: "old"}, Deleted: true}, Previous: ids(b)}
		if errs := a.node.UpdateAll(context.Background(), []cluster.Update{deletion}); errs[0] != nil {
			t.Errorf("deletion on a node that stops: %v", errs[0])
		}
	})
}

// An update from a clock too far ahead is refused, never applied, and does not move the clocks of
// others (attack row 40). It is reported, and not with every message.
func TestAttack40_ClockSkew(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, 2)
		a, b := w.machines[0], w.machines[1]
		b.setClock(cluster.ClockSkewMax + time.Minute)
		a.start()
		b.start()
		w.settle(a, b)
		if err := b.tryPut(typeNote, "o", "x", "contents", a.id); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("an update from a clock %v ahead = %v, want kind unavailable: either clock may be the wrong one", b.ahead(), err)
		}
		if _, err := a.read(a.id, cluster.ObjectID{Type: typeNote, Owner: "o", ID: "x"}); !cluster.IsKind(err, cluster.KindNotFound) {
			t.Errorf("the refused object: %v, want kind not found", err)
		}
		a.put(typeNote, "o", "x", "contents", b.id) // the other way it is no harm
		pass(10 * time.Second)
		if ahead := time.Duration(a.node.Stamp().Clock.Time - time.Now().UnixNano()); ahead > time.Second {
			t.Errorf("the sane clock was moved %v ahead", ahead)
		}
		if m := a.node.Metrics(); m.Skewed < 10 {
			t.Errorf("Metrics().Skewed = %d, want one for every stamp", m.Skewed)
		}
		if n := strings.Count(w.logged.String(), `msg="clock skew between nodes" node=0000000000000010`); n != 1 {
			t.Errorf("the skew was logged %d times within 10 s, want once", n)
		}
		// Within the bound it is taken for news.
		c := w.add()
		c.setClock(cluster.ClockSkewMax / 2)
		b.kill()
		c.start()
		w.settle(a, c)
		c.put(typeNote, "o", "y", "contents", a.id)
		if ahead := time.Duration(a.node.Stamp().Clock.Time - time.Now().UnixNano()); ahead < c.ahead()-time.Second {
			t.Errorf("the clock is %v ahead of the wall, want about %v: what comes later must be newer", ahead, c.ahead())
		}
	})
}

// R3: a node's timestamps increase over a restart though its wall clock has gone back, and those
// that it gave are stored elsewhere; a chain of restarts does not drive its clock away.
func TestR3_TimestampsOverRestarts(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 2)
		a, b := w.machines[0], w.machines[1]
		a.put(typeCard, "o", "x", "first", b.id)
		first := a.lookup("o").Cached[0].Object.Timestamp
		b.kill() // nobody is left to tell the time
		a.kill()
		a.setClock(-5 * time.Second)
		a.start()
		second, err := a.node.timestamp(context.Background())
		if err != nil || second.Compare(first) <= 0 {
			t.Errorf("timestamp after the restart = %v, %v; want it after %v", second, err, first)
		}
		for range 20 {
			a.kill()
			a.start()
			next, err := a.node.timestamp(context.Background())
			if err != nil || next.Compare(second) <= 0 {
				t.Fatalf("timestamp after a restart = %v, %v; want it after %v", next, err, second)
			}
			second = next
		}
		if ahead := time.Duration(second.Time - time.Now().UnixNano()); ahead > cluster.ClockSkewMax {
			t.Errorf("after 20 restarts the clock is %v ahead, more than anybody would take", ahead)
		}
		a.failWrites(func(string) error { return cluster.Errorf(cluster.KindUnavailable, "test", "disk failed") })
		pass(20 * time.Second)
		if _, err := a.node.timestamp(context.Background()); !cluster.IsKind(err, cluster.KindUnavailable) {
			t.Errorf("timestamp that cannot be reserved: %v, want kind unavailable", err)
		}
		a.failWrites(nil)
		for i := range 3 {
			if err := a.tryPut(typeNote, "o", fmt.Sprint(i), "contents", a.id); err != nil {
				t.Errorf("Update afterwards = %v", err)
			}
		}
	})
}

// Log lines carry the fields that their kind uses and no zero ones, and say each thing once.
func TestLogLines(t *testing.T) {
	notUnderRace(t)
	inBubble(t, func(t *testing.T) {
		w := boot(t, 3)
		w.machines[2].kill()
		w.settle(w.machines[:2]...)
		if err := w.machines[1].stop(); err != nil {
			t.Error(err)
		}
		seen := map[string]bool{}
		for _, line := range strings.Split(strings.TrimSpace(w.logged.String()), "\n") {
			for _, noise := range []string{"=0000000000000000", `=""`, "count=0", "epoch=0.", "membership installed"} {
				if strings.Contains(line, noise) {
					t.Errorf("log line with %q: %s", noise, line)
				}
			}
			if strings.Contains(line, "view installed") && seen[line] {
				t.Errorf("logged twice: %s", line)
			}
			seen[line] = true
		}
		if len(seen) < 5 {
			t.Errorf("only %d lines were logged: %v", len(seen), w.logged)
		}
	})
}
