package replication

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

// desk is a log with a clock, and what it last put out.
type desk struct {
	t   *testing.T
	log *Log
	now time.Time
	out Output
}

func newDesk(t *testing.T, self cluster.NodeID, members ...cluster.NodeID) *desk {
	d := &desk{t: t, log: NewLog(self, nil, 0), now: time.Unix(1000, 0)}
	d.did(d.log.Install(members, d.now))
	return d
}

func (d *desk) did(out Output) { d.out = out }

// wait lets time pass, and ticks when the log wants it, at most until something is put out.
func (d *desk) wait(most time.Duration) time.Duration {
	d.t.Helper()
	begin := d.now
	for {
		at := d.log.Deadline()
		if at.IsZero() || at.Sub(begin) > most {
			d.now, d.out = begin.Add(most), Output{}
			return most
		}
		if at.After(d.now) {
			d.now = at
		}
		if d.did(d.log.Tick(d.now)); len(d.out.Offers)+len(d.out.Retires) > 0 {
			return d.now.Sub(begin)
		}
		if again := d.log.Deadline(); again.Equal(at) {
			d.t.Fatalf("Tick at its deadline %v did nothing, and wants the same again", at)
		}
	}
}

// offered lists the offers just put out: to whom, and what.
func (d *desk) offered() []string {
	var all []string
	for _, o := range d.out.Offers {
		s := fmt.Sprintf("%d:", o.To)
		for _, r := range o.Items {
			s += " " + r.ID.ID
		}
		all = append(all, s)
	}
	return all
}

// retired lists the retirements just put out.
func (d *desk) retired() []string {
	var all []string
	for _, r := range d.out.Retires {
		s := fmt.Sprintf("%d:", r.To)
		for _, i := range r.Items {
			s += " " + i.ID.ID
		}
		all = append(all, s)
	}
	return all
}

func (d *desk) want(what string, got []string, want ...string) {
	d.t.Helper()
	if !slices.Equal(got, want) {
		d.t.Errorf("%s %q, want %q", what, got, want)
	}
}

// answer ends the offer to a node: all its items get this reply.
func (d *desk) answer(o Offer, r Reply) {
	var answers []Answer
	for _, i := range o.Items {
		if r.Verdict == Same {
			r.Have = i.Timestamp
		}
		answers = append(answers, Answer{ID: i.ID, Reply: r})
	}
	d.did(d.log.Answered(o.Number, answers, nil, d.now))
}

func (d *desk) offerTo(id cluster.NodeID) Offer {
	d.t.Helper()
	for _, o := range d.out.Offers {
		if o.To == id {
			return o
		}
	}
	d.t.Fatalf("no offer to %d: %v", id, d.offered())
	return Offer{}
}

func nodes(ids ...cluster.NodeID) cluster.ReplicaSet { return cluster.NewReplicaSet(ids...) }

func rec(id string, t int64, replicas, targets cluster.ReplicaSet) cluster.Record {
	return cluster.Record{ID: cluster.ObjectID{Type: "t", Owner: "o", ID: id}, Timestamp: cluster.Timestamp{Time: t, Node: 1}, Replicas: replicas, Targets: targets, Deleted: len(replicas) == 0}
}

func retirement(r cluster.Record) cluster.Retirement {
	return cluster.Retirement{ID: r.ID, Timestamp: r.Timestamp, Targets: r.Targets}
}

// §5.3: any target can take over; the first by id does so first.
func TestPaper53_TargetsTakeOverByRank(t *testing.T) {
	all := nodes(1, 2, 3)
	for self, after := range map[cluster.NodeID]time.Duration{1: TakeOverAfter, 2: 2 * TakeOverAfter, 3: 3 * TakeOverAfter} {
		d := newDesk(t, self, 1, 2, 3, 4)
		d.did(d.log.Added(rec("a", 5, all, all), d.now))
		d.want("offered at once", d.offered())
		if got := d.wait(time.Hour); got != after || len(d.out.Offers) != 2 {
			t.Errorf("node %d takes over after %v with %v, want %v with two offers", self, got, d.offered(), after)
		}
	}
	d := newDesk(t, 3, 1, 3)
	d.did(d.log.Added(rec("a", 5, all, all), d.now))
	if got := d.wait(time.Hour); got != 2*TakeOverAfter {
		t.Errorf("with node 2 away node 3 takes over after %v, want %v", got, 2*TakeOverAfter)
	}
	d.want("offered", d.offered(), "1: a")
}

// §5.2 step 5: when all have acknowledged, all are told to retire.
func TestPaper52_RetireWhenAllHaveIt_R4(t *testing.T) {
	d := newDesk(t, 1, 1, 2, 3)
	all := nodes(1, 2, 3)
	d.did(d.log.Added(rec("b", 5, all, all), d.now))
	d.did(d.log.Added(rec("a", 6, all, all), d.now))
	d.wait(time.Hour)
	d.want("offered", d.offered(), "2: a b", "3: a b")
	two, three := d.offerTo(2), d.offerTo(3)
	d.answer(two, Reply{Verdict: Same})
	d.want("retired too early", d.retired())
	if got := d.log.Owed(); !reflect.DeepEqual(got, map[cluster.NodeID]int{3: 2}) {
		t.Errorf("Owed = %v, want 2 to node 3", got)
	}
	d.answer(three, Reply{Verdict: Same})
	d.want("retired", d.retired(), "1: a b", "2: a b", "3: a b")
	if d.log.Len() != 0 || !d.log.Deadline().IsZero() && d.wait(time.Hour) != time.Hour {
		t.Errorf("%d records left, offers %v", d.log.Len(), d.offered())
	}
	d.answer(three, Reply{Verdict: Same}) // once more: nothing
	d.want("retired twice", d.retired())
}

func TestRetirementsOfOthers_R4(t *testing.T) {
	d := newDesk(t, 1, 1, 2, 3)
	r := rec("a", 5, nodes(1, 2), nodes(1, 2, 3))
	d.did(d.log.Added(r, d.now))
	for name, late := range map[string]cluster.Retirement{
		"of an older update": retirement(rec("a", 4, nil, nodes(1, 2, 3))),
		"of fewer targets":   retirement(rec("a", 5, nil, nodes(1, 2))),
		"of nothing":         retirement(rec("x", 5, nil, nodes(1, 2))),
	} {
		d.did(d.log.Retired([]cluster.Retirement{late}, d.now))
		if d.want("retired", d.retired()); !d.log.Has(r.ID) {
			t.Errorf("a retirement %s ended it", name)
		}
	}
	d.did(d.log.Retired([]cluster.Retirement{retirement(r)}, d.now))
	d.want("retired", d.retired(), "1: a")
	if d.wait(time.Hour); d.log.Len() != 0 || len(d.out.Offers) != 0 {
		t.Errorf("%d records left, offers %v", d.log.Len(), d.offered())
	}
}

// D1: who will remove its copy hears of it after all of the replica set.
func TestD1_LeaversAreLast(t *testing.T) {
	d := newDesk(t, 1, 1, 2, 3)
	d.did(d.log.Added(rec("a", 5, nodes(1, 2), nodes(1, 2, 3)), d.now))
	d.wait(time.Hour)
	d.want("offered first", d.offered(), "2: a")
	d.answer(d.offerTo(2), Reply{Want: true})
	d.wait(time.Hour)
	d.want("offered while node 2 lacks it", d.offered(), "2: a")
	d.answer(d.offerTo(2), Reply{Verdict: Same})
	d.want("offered then", d.offered(), "3: a")
	d.answer(d.offerTo(3), Reply{Verdict: Same})
	d.want("retired", d.retired(), "1: a", "2: a", "3: a")

	// A deletion has no replica set: all hear of it at once.
	d.did(d.log.Added(rec("b", 6, nil, nodes(1, 2, 3)), d.now))
	d.wait(time.Hour)
	d.want("offered", d.offered(), "2: b", "3: b")
}

func TestPeersThatComeBackAreOfferedSoon(t *testing.T) {
	d := newDesk(t, 2, 1, 2, 3)
	all := nodes(1, 2, 3, 4)
	d.did(d.log.Added(rec("a", 5, all, all), d.now))
	d.wait(time.Hour)
	d.want("offered", d.offered(), "1: a", "3: a")
	d.answer(d.offerTo(3), Reply{Verdict: Same})
	d.did(d.log.Install([]cluster.NodeID{2, 3, 4}, d.now)) // node 1 left with its offer on the way
	if got := d.wait(time.Hour); got != SoonAfter {
		t.Errorf("node 4 is offered after %v, want %v", got, SoonAfter)
	}
	d.want("offered", d.offered(), "4: a")
	d.did(d.log.Answered(1, nil, errors.New("gone"), d.now))
	d.did(d.log.Install([]cluster.NodeID{1, 2, 3, 4}, d.now))
	if got := d.wait(time.Hour); got != SoonAfter {
		t.Errorf("node 1 is offered after %v, want %v", got, SoonAfter)
	}
	d.want("offered", d.offered(), "1: a")

	// The second by id leaves it to the first.
	d = newDesk(t, 3, 2, 3)
	d.did(d.log.Added(rec("a", 5, all, all), d.now))
	d.did(d.log.Install([]cluster.NodeID{2, 3, 4}, d.now))
	if got := d.wait(time.Hour); got != SoonAfter+TakeOverAfter {
		t.Errorf("the second offers after %v, want %v", got, SoonAfter+TakeOverAfter)
	}
}

func TestAfterARestartEverythingIsOffered(t *testing.T) {
	d := &desk{t: t, log: NewLog(1, []cluster.NodeID{3}, 0), now: time.Unix(1000, 0)}
	d.log.Load(rec("a", 5, nodes(1, 2), nodes(1, 2)), d.now)
	d.log.Load(rec("b", 6, nodes(1), nodes(1, 3)), d.now) // only a struck node is left
	gone := rec("c", 7, nil, nodes(1, 2))
	gone.Retired = 1
	d.log.Load(gone, d.now)
	d.did(d.log.Install([]cluster.NodeID{1}, d.now))
	d.want("retired", d.retired(), "1: b")
	d.did(d.log.Install([]cluster.NodeID{1, 2}, d.now))
	d.wait(time.Hour)
	d.want("offered", d.offered(), "2: a")
}

func TestFailedOffersBackOff(t *testing.T) {
	d := newDesk(t, 1, 1, 2)
	both := nodes(1, 2)
	d.did(d.log.Added(rec("a", 5, both, both), d.now))
	d.wait(time.Hour)
	pause := RetryMin
	for range 10 {
		d.did(d.log.Answered(d.offerTo(2).Number, nil, errors.New("silent"), d.now))
		if got := d.wait(time.Hour); got != pause {
			t.Fatalf("offered again after %v, want %v", got, pause)
		}
		pause = min(2*pause, RetryMax)
	}
	// Refusals count for the record, and for the peer if it takes nothing.
	for range 10 {
		d.answer(d.offerTo(2), Reply{Err: cluster.Errorf(cluster.KindFull, "apply", "no room")})
		d.wait(time.Hour)
	}
	d.answer(d.offerTo(2), Reply{Err: cluster.Errorf(cluster.KindFull, "apply", "no room")})
	if got := d.wait(time.Hour); got != RetryMax {
		t.Errorf("a peer without room is asked again after %v, want %v", got, RetryMax)
	}
	// An older verdict is no failure of the peer: its push is on its way.
	d.answer(d.offerTo(2), Reply{Verdict: Older, Have: cluster.Timestamp{Time: 9}})
	if d.log.Len() != 1 {
		t.Error("a record that met a newer update was dropped before that came")
	}
	d.wait(time.Hour)
	d.want("offered again", d.offered(), "2: a")
}

func TestOneOfferAtATime(t *testing.T) {
	d := newDesk(t, 1, 1, 2)
	both := nodes(1, 2)
	for i := range OfferMax + 10 {
		d.did(d.log.Added(rec(fmt.Sprintf("%04d", i), 5, both, both), d.now))
	}
	d.wait(time.Hour)
	first := d.offerTo(2)
	if len(first.Items) != OfferMax || first.Items[0].ID.ID != "0000" {
		t.Errorf("first offer of %d items, want %d", len(first.Items), OfferMax)
	}
	if d.wait(time.Hour); len(d.out.Offers) != 0 {
		t.Errorf("a second offer while the first is on its way: %v", d.offered())
	}
	d.answer(first, Reply{Verdict: Same})
	if n := len(d.offerTo(2).Items); n != 10 {
		t.Errorf("second offer of %d items, want 10", n)
	}
}

// TestRecordsChangeUnderWay: while an offer is on its way.
func TestRecordsChangeUnderWay(t *testing.T) {
	all := nodes(1, 2, 3)
	d := newDesk(t, 1, 1, 2, 3)
	d.did(d.log.Added(rec("a", 5, nodes(1, 2), nodes(1, 2)), d.now))
	d.wait(time.Hour)
	offer := d.offerTo(2)
	d.did(d.log.Added(rec("a", 5, nodes(1, 2), all), d.now)) // grown: what is acknowledged stays so
	d.answer(offer, Reply{Verdict: Same})
	d.want("retired", d.retired())
	d.want("offered", d.offered(), "3: a")
	offer = d.offerTo(3)
	d.did(d.log.Added(rec("a", 7, all, all), d.now)) // replaced: an acknowledgement of the old one is nothing
	d.answer(offer, Reply{Verdict: Same})
	if got := d.log.Owed(); !reflect.DeepEqual(got, map[cluster.NodeID]int{2: 1, 3: 1}) {
		t.Errorf("Owed = %v, want the newer one to both", got)
	}
	d.did(d.log.Added(rec("a", 5, all, all), d.now)) // late
	d.wait(time.Hour)
	if offer = d.offerTo(3); offer.Items[0].Timestamp.Time != 7 {
		t.Errorf("offered %v, want the newer one", offer.Items[0].Timestamp)
	}
	d.did(d.log.Answered(offer.Number, []Answer{{ID: offer.Items[0].ID, Gone: true}}, nil, d.now))
	if d.log.Len() != 0 || len(d.log.Owed()) != 0 {
		t.Errorf("%d records, owed %v, after the store said that it is gone", d.log.Len(), d.log.Owed())
	}
}

// TestWantsAtANodeOutside: a record without a copy here, of which a replica wants the contents, is left over.
func TestWantsAtANodeOutside(t *testing.T) {
	d := newDesk(t, 1, 1, 2)
	d.did(d.log.Added(rec("a", 5, nodes(2), nodes(1, 2)), d.now))
	d.wait(time.Hour)
	d.answer(d.offerTo(2), Reply{Want: true})
	d.want("retired", d.retired(), "1: a", "2: a")
}

func TestStrike(t *testing.T) {
	d := newDesk(t, 1, 1, 2)
	d.did(d.log.Added(rec("b", 5, nodes(1, 3), nodes(1, 3)), d.now))
	d.did(d.log.Added(rec("a", 5, nodes(1, 3), nodes(1, 2, 3)), d.now))
	if d.wait(time.Hour); len(d.out.Offers) != 0 {
		t.Errorf("offered %v while the replica is away", d.offered())
	}
	d.did(d.log.Strike(3, d.now))
	d.want("retired", d.retired(), "1: b")
	d.want("offered", d.offered(), "2: a")
	d.did(d.log.Added(rec("c", 5, nodes(1, 3), nodes(1, 3)), d.now))
	d.want("retired", d.retired(), "1: c")
	if got := d.log.Owed(); !reflect.DeepEqual(got, map[cluster.NodeID]int{2: 1}) {
		t.Errorf("Owed = %v", got)
	}
}

// R8: a node that is the reason for too many records is named.
func TestR8_Overdue(t *testing.T) {
	d := newDesk(t, 1, 1, 2)
	d.log.most = 2
	for i, targets := range []cluster.ReplicaSet{nodes(1, 2, 4), nodes(1, 3), nodes(1, 3, 4)} {
		if id, ok := d.log.Overdue(); ok {
			t.Errorf("with %d records node %d is overdue", i, id)
		}
		d.did(d.log.Added(rec(fmt.Sprint(i), 5, targets, targets), d.now))
	}
	if id, ok := d.log.Overdue(); !ok || id != 3 {
		t.Errorf("Overdue = %d, %t; want node 3", id, ok)
	}
}

// R8: a node that is away for a moment is not written off for what a member does not take.
func TestR8_OverdueSparesTheInnocent(t *testing.T) {
	d := newDesk(t, 1, 1, 2)
	d.log.most = 10
	d.did(d.log.Added(rec("innocent", 5, nodes(1, 3), nodes(1, 3)), d.now))
	for i := range 20 {
		d.did(d.log.Added(rec(fmt.Sprint(i), 5, nodes(1, 2), nodes(1, 2)), d.now))
	}
	if id, ok := d.log.Overdue(); ok {
		t.Errorf("node %d is overdue, which 1 record of 21 waits for", id)
	}
	for i := range 10 {
		d.did(d.log.Added(rec(fmt.Sprint("more", i), 5, nodes(1, 3), nodes(1, 3)), d.now))
	}
	if id, ok := d.log.Overdue(); !ok || id != 3 {
		t.Errorf("Overdue = %d, %t; want node 3, which 11 records wait for", id, ok)
	}
}

// TestLinesStaySmall: records that end before they are due leave nothing behind.
func TestLinesStaySmall(t *testing.T) {
	d := newDesk(t, 1, 1)
	both := nodes(1, 2)
	d.did(d.log.Added(rec("keep", 5, both, both), d.now))
	for i := range 10_000 {
		d.did(d.log.Added(rec("busy", int64(10+i), both, both), d.now))
	}
	if n := len(d.log.peer(2).line); n > 2*emptyMax+4 {
		t.Errorf("%d places in line for 2 records", n)
	}
	d.did(d.log.Install([]cluster.NodeID{1, 2}, d.now))
	d.wait(time.Hour)
	d.want("offered", d.offered(), "2: busy keep")
}

func BenchmarkAddedRetired(b *testing.B) {
	l := NewLog(1, nil, 0)
	now := time.Unix(1000, 0)
	l.Install([]cluster.NodeID{1, 2, 3}, now)
	both := nodes(1, 2)
	for i := range b.N {
		r := rec(fmt.Sprint(i), 5, both, both)
		l.Added(r, now)
		l.Retired([]cluster.Retirement{retirement(r)}, now)
	}
}

// BenchmarkManyPeers is an update's way through the log of one of three hundred nodes, each of which has a record that
// waits, with the questions for the deadline that a node asks after each event.
func BenchmarkManyPeers(b *testing.B) {
	const members = 300
	now := time.Unix(1000, 0)
	l := NewLog(1, nil, 0)
	var ids []cluster.NodeID
	for id := range cluster.NodeID(members) {
		ids = append(ids, id+1)
	}
	l.Install(ids, now)
	for _, id := range ids[1:] {
		set := nodes(1, id)
		l.Added(rec(fmt.Sprint("waits", id), 5, set, set), now)
	}
	for i := 0; b.Loop(); i++ {
		both := nodes(1, ids[1+i%(members-1)])
		r := rec(fmt.Sprint(i), 5, both, both)
		l.Added(r, now)
		l.Deadline()
		l.Retired([]cluster.Retirement{retirement(r)}, now)
		if l.Deadline().IsZero() {
			b.Fatal("nothing waits")
		}
	}
}

// R4: a record that is reported while an offer of it is on its way is not forgotten because the store did
// not have it when the offer was made: it may have been retired, and revived by an older update since.
func TestR4_GoneIsOldNews(t *testing.T) {
	d := newDesk(t, 1, 1, 2)
	r := rec("a", 5, nodes(1, 2), nodes(1, 2))
	d.did(d.log.Added(r, d.now))
	d.wait(time.Hour)
	o := d.offerTo(2)
	d.did(d.log.Added(r, d.now))
	d.did(d.log.Answered(o.Number, []Answer{{ID: r.ID, Gone: true}}, nil, d.now))
	if !d.log.Has(r.ID) {
		t.Fatal("a record that was reported after the offer was made is forgotten")
	}
	d.wait(time.Hour)
	d.want("offered again", d.offered(), "2: a")
	d.did(d.log.Answered(d.offerTo(2).Number, []Answer{{ID: r.ID, Gone: true}}, nil, d.now))
	if d.log.Has(r.ID) || d.log.Owed()[2] != 0 {
		t.Errorf("a record that is gone is in the log, which owes %v", d.log.Owed())
	}
}
