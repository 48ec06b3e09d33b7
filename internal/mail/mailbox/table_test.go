package mailbox

import (
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

func (o outcome) String() string {
	return [...]string{"granted", "in use", "early", "full", "foreign"}[o]
}

func epoch(n uint64) cluster.Epoch { return cluster.Epoch{Counter: n, Coordinator: 1} }

// view makes a view in which node i of since is a member since that epoch (0: it is none), and
// bucket 0 was assigned in the given epoch.
func view(at, assigned uint64, since ...uint64) *cluster.View {
	v := &cluster.View{Epoch: epoch(at), Map: make(cluster.UserMap, cluster.BucketCount)}
	for i, s := range since {
		if s != 0 {
			v.Members = append(v.Members, cluster.Member{Endpoint: cluster.Endpoint{ID: cluster.NodeID(i + 1)}, Since: epoch(s)})
		}
	}
	v.Map[0] = cluster.Assignment{Manager: 1, Epoch: epoch(assigned)}
	return v
}

// One story after the other, told to one table: lease 30 s, grace 1 s, at most three locks.
func TestTable(t *testing.T) {
	var (
		all    = view(1, 1, 1, 1, 1)
		only12 = view(2, 1, 1, 1, 0)
		back   = view(3, 1, 1, 1, 3)
		moved  = view(4, 4, 1, 1, 3)
		other  = view(5, 4, 1, 1, 3)
	)
	type step struct {
		at      time.Duration
		v       *cluster.View
		user    string
		session byte
		node    cluster.NodeID
		do      string // acquire, assert, release
		want    outcome
	}
	for _, story := range []struct {
		name  string
		steps []step
	}{
		{"the first has it, the second waits, and gets it after the release", []step{
			{2 * time.Second, all, "u", 1, 2, "acquire", granted},
			{3 * time.Second, all, "u", 2, 3, "acquire", inUse},
			{3 * time.Second, all, "v", 2, 3, "acquire", granted},
			{4 * time.Second, all, "u", 2, 3, "release", granted}, // not its own: no effect
			{4 * time.Second, all, "u", 2, 3, "acquire", inUse},
			{5 * time.Second, all, "u", 1, 2, "release", granted},
			{5 * time.Second, all, "u", 2, 3, "acquire", granted},
		}},
		{"two sessions on one node are two sessions", []step{
			{2 * time.Second, all, "u", 1, 2, "acquire", granted},
			{2 * time.Second, all, "u", 2, 2, "acquire", inUse},
		}},
		{"a lease ends, unless it is renewed", []step{
			{2 * time.Second, all, "u", 1, 2, "acquire", granted},
			{20 * time.Second, all, "u", 1, 2, "assert", granted},
			{40 * time.Second, all, "u", 2, 3, "acquire", inUse},
			{50 * time.Second, all, "u", 2, 3, "acquire", granted},
			{51 * time.Second, all, "u", 1, 2, "assert", inUse},
		}},
		{"a holder whose node leaves the view is dropped, and stays so when it is back", []step{
			{2 * time.Second, all, "u", 1, 3, "acquire", granted},
			{4 * time.Second, only12, "u", 2, 2, "acquire", granted},
			{5 * time.Second, back, "u", 1, 3, "assert", inUse},
		}},
		{"a node that restarted is another: its old sessions are gone", []step{
			{2 * time.Second, all, "u", 1, 3, "acquire", granted},
			{4 * time.Second, back, "u", 2, 3, "acquire", granted},
		}},
		{"after a move running sessions come first, newcomers after the grace", []step{
			{2 * time.Second, back, "u", 1, 3, "acquire", granted},
			{4 * time.Second, moved, "u", 2, 2, "acquire", early},
			{4500 * time.Millisecond, moved, "u", 1, 3, "assert", granted},
			{5100 * time.Millisecond, moved, "u", 2, 2, "acquire", inUse},
			{5100 * time.Millisecond, moved, "v", 3, 2, "acquire", granted},
		}},
		{"a newcomer that came first after the grace keeps it", []step{
			{2 * time.Second, back, "u", 1, 3, "acquire", granted},
			{4 * time.Second, moved, "v", 9, 2, "acquire", early},
			{6 * time.Second, moved, "u", 2, 2, "acquire", granted},
			{6 * time.Second, moved, "u", 1, 3, "assert", inUse},
		}},
		{"the next view does not begin the grace anew", []step{
			{2 * time.Second, back, "u", 1, 3, "acquire", granted},
			{4 * time.Second, moved, "v", 2, 2, "acquire", early},
			{4800 * time.Millisecond, other, "v", 2, 2, "acquire", early},
			{5100 * time.Millisecond, other, "v", 2, 2, "acquire", granted},
		}},
		{"a view that was never seen itself counts from the next one", []step{
			{2 * time.Second, back, "u", 1, 3, "acquire", granted},
			{4 * time.Second, other, "v", 2, 2, "acquire", early},
			{5100 * time.Millisecond, other, "v", 2, 2, "acquire", granted},
		}},
		{"a node that is no member gets nothing", []step{
			{2 * time.Second, only12, "u", 1, 3, "acquire", foreign},
			{2 * time.Second, only12, "u", 1, 9, "assert", foreign},
		}},
		{"the table is bounded, and leases that ended make room", []step{
			{2 * time.Second, all, "a", 1, 2, "acquire", granted},
			{12 * time.Second, all, "b", 2, 2, "acquire", granted},
			{12 * time.Second, all, "c", 3, 2, "acquire", granted},
			{12 * time.Second, all, "d", 4, 2, "acquire", full},
			{12 * time.Second, all, "a", 1, 2, "assert", granted},
			{32 * time.Second, all, "d", 4, 2, "acquire", full},
			{42 * time.Second, all, "d", 4, 2, "acquire", granted},
		}},
	} {
		start := time.Unix(1e9, 0)
		table := newTable(30*time.Second, time.Second, 3)
		table.observe(story.steps[0].v, start)
		for i, s := range story.steps {
			session := sessionID{s.session}
			if s.do == "release" {
				table.release(mail.User(s.user), session)
				continue
			}
			got, term := table.acquire(s.v, start.Add(s.at), mail.User(s.user), 0, session, s.node, s.do == "assert")
			if got != s.want {
				t.Errorf("%s: step %d: session %d of %s at node %d %ss: %v, want %v", story.name, i, s.session, s.user, s.node, s.do, got, s.want)
			}
			if want, _ := termOf(s.v, 0, s.node); got == granted && term != want {
				t.Errorf("%s: step %d: term %+v, want %+v", story.name, i, term, want)
			}
		}
	}
}

// Sightings of views are forgotten when they are older than the grace.
func TestTableForgetsViews(t *testing.T) {
	table := newTable(30*time.Second, time.Second, 3)
	now := time.Unix(1e9, 0)
	for i := range 1000 {
		table.observe(view(uint64(i+1), 1, 1), now)
		now = now.Add(100 * time.Millisecond)
	}
	if len(table.seen) > 11 {
		t.Errorf("%d sightings are kept", len(table.seen))
	}
}

func FuzzParseTerm(f *testing.F) {
	f.Add(make([]byte, termLength))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := parseTerm(b); (err == nil) != (len(b) == termLength) {
			t.Fatalf("parseTerm of %d octets = %v", len(b), err)
		}
	})
}
