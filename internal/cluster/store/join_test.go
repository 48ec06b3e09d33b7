package store

import (
	"context"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
)

// union is a merge function: contents are sets of bytes.
func union(a, b []byte) ([]byte, error) {
	set := slices.Concat(a, b)
	slices.Sort(set)
	return slices.Compact(set), nil
}

// joinConfig has users and sets merge; the clock begins at 1,000.
func joinConfig() Config {
	cfg := testConfig(vfs.NewMem())
	cfg.Types[1].Merge = union
	cfg.Types = append(cfg.Types, cluster.TypeSpec{Name: "set", Inline: true, Merge: union})
	now := int64(1000)
	cfg.Stamp = func() cluster.Timestamp { now++; return cluster.Timestamp{Time: now, Node: self} }
	return cfg
}

// TestJoin: of two updates of which neither has all of the other, nothing is lost, whichever comes
// first, and in one group too.
func TestJoin(t *testing.T) {
	for i := range 4 {
		typ, order := []cluster.ObjectType{"user", "set"}[i/2], [][2]int64{{10, 20}, {20, 10}}[i%2]
		s := mustOpen(t, joinConfig())
		first, body := put(typ, "a@b", "", order[0], []byte("ab"), self, other)
		mustApply(t, s, first, body)
		second, body := put(typ, "a@b", "", order[1], []byte("bc"), self, third)
		r := mustApply(t, s, second, body)
		if r.Verdict != replication.Older || r.Have.Time != 1001 || !r.Applied || r.Announce != (i < 3) || r.Record == nil || r.Record.Timestamp != r.Have ||
			!r.Record.Targets.Equal(cluster.NewReplicaSet(self, other, third)) {
			t.Errorf("order %v: joined = %+v", order, r)
		}
		if got := readBody(t, s, first.Object.ID); string(got) != "abc" {
			t.Errorf("order %v: contents = %q, want abc", order, got)
		}
		again := mustApply(t, s, second, body)
		if again.Verdict != replication.Older || again.Applied || again.Have != r.Have {
			t.Errorf("order %v: the same again = %+v, want Older", order, again)
		}
		h, err := s.Holding("a@b")
		if cached := typ == "user"; err != nil || cached != (len(h.Cached) == 1) || cached == (len(h.Fragments) == 1) {
			t.Errorf("order %v: Holding of a joined %s = %+v, %v", order, typ, h, err)
		}
		deletion := remove(typ, "a@b", "", 2000, self, other)
		if r := mustApply(t, s, deletion, nil); r.Verdict != replication.Newer {
			t.Errorf("order %v: a deletion = %+v, want Newer", order, r)
		}
		mustVerify(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A node that is to lose its copy, and might lose what others lack with it, sends it on instead.
func TestJoinOfALeaver(t *testing.T) {
	s := mustOpen(t, joinConfig())
	u, body := put("user", "a@b", "", 10, []byte("ab"), self)
	mustApply(t, s, u, body)
	moved, _ := put("user", "a@b", "", 20, []byte("c"), other)
	moved.Previous = cluster.NewReplicaSet(self)
	r, err := s.Accept(context.Background(), []cluster.Update{moved, moved})
	if err != nil || r[0].Verdict != replication.Older || r[0].Record == nil || !r[0].Record.Replicas.Equal(cluster.NewReplicaSet(self, other)) || r[1].Applied {
		t.Errorf("moved away = %+v, %v", r, err)
	}
	if got := readBody(t, s, u.Object.ID); string(got) != "ab" {
		t.Errorf("contents = %q, want ab still", got)
	}
	mustVerify(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// What cannot be is refused when the store is opened; a clock that is behind, or none, when it shows.
func TestJoinRefuses(t *testing.T) {
	for _, change := range []func(*Config){
		func(c *Config) { c.Types[0].Merge = union },
		func(c *Config) { c.Types[1].Vault = true },
		func(c *Config) { c.Types[1].Inline = true },
		func(c *Config) { c.Types[1].Cached, c.Types[1].Inline, c.Types[1].Vault = false, true, true },
		func(c *Config) { c.Types[0].DeriveVersion = 0 },
		func(c *Config) { c.Types[0].Derive = nil },
		func(c *Config) { c.Types[1].Derive, c.Types[1].DeriveVersion = first4, 1 },
	} {
		cfg := joinConfig()
		change(&cfg)
		_, err := Open(cfg)
		wantKind(t, "Open", err, cluster.KindInvalid)
	}
	for _, stamp := range []func() cluster.Timestamp{joinConfig().Stamp, nil, func() cluster.Timestamp { return cluster.Timestamp{} }} {
		cfg := joinConfig()
		cfg.Stamp = stamp
		s := mustOpen(t, cfg)
		u, body := put("user", "a@b", "", 5000, []byte("ab"), self)
		mustApply(t, s, u, body)
		u, body = put("user", "a@b", "", 5001, []byte("bc"), self)
		_, err := s.Apply(context.Background(), u, body)
		wantKind(t, "Apply with a clock that is behind", err, cluster.KindUnavailable)
		mustVerify(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
