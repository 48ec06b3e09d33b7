package daemon

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/cluster"
)

// Nodes are not taken out until one has the only copy of everything, unless somebody says that this is meant: by the socket, for all
// clients. What the cluster, a domain or a user wants counts.
func TestNodesStayForTheCopies(t *testing.T) {
	one, _, _ := start(t, loopback(t))
	two, _, stopTwo := start(t, joined(t, one))
	three, _, stopThree := start(t, joined(t, one))
	serving := func(n int) func(admin.Status) bool {
		return func(s admin.Status) bool { return len(s.Members) == n && s.Ready && s.IncompleteBuckets == 0 }
	}
	ids := map[string]string{}
	for name, client := range map[string]*admin.Client{"one": one, "two": two, "three": three} {
		ids[name] = await(t, client, "three members that serve", serving(3)).Node.String()
	}
	ctx := t.Context()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	refused := func(what string, err error, want string) {
		t.Helper()
		if !cluster.IsKind(err, cluster.KindInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s = %v, want invalid with %q", what, err, want)
		}
	}
	drain := func(name string, o admin.DrainOptions) error { return one.Drain(ctx, ids[name], o) }
	must("add domain", one.AddDomain(ctx, admin.Domain{Domain: "x.example", Copies: 3}))
	must("add user", one.AddUsers(ctx, []string{"ann@x.example"}, "s3cret-one"))
	refused("drain with a domain that wants three copies", drain("three", admin.DrainOptions{}), "2 of the nodes that are there and do not drain would stay, and the messages of the domain x.example are to lie on 3")
	must("set domain", one.SetDomain(ctx, admin.Domain{Domain: "x.example"}))
	copies := 3
	must("set user", one.EditUser(ctx, "ann@x.example", admin.UserChange{Copies: &copies}))
	refused("drain with a user who wants three copies", drain("three", admin.DrainOptions{}), "the messages of the user ann@x.example are to lie on 3")
	copies = 0
	must("set user", one.EditUser(ctx, "ann@x.example", admin.UserChange{Copies: &copies}))

	must("drain the third of three", drain("three", admin.DrainOptions{}))
	await(t, one, "a node that drains", func(s admin.Status) bool {
		for _, m := range s.Members {
			if m.ID.String() == ids["three"] && m.Upkeep != nil && m.Upkeep.Draining {
				return true
			}
		}
		return false
	})
	must("drain it once more", drain("three", admin.DrainOptions{}))
	refused("drain the second of three", drain("two", admin.DrainOptions{}), "messages are to lie on 2 (cluster.message_copies): start nodes that are absent, or add one ('porcupine token', 'porcupine join'), or give --fewer-copies")
	must("drain it as is meant", drain("two", admin.DrainOptions{FewerCopies: true}))
	must("cancel", drain("two", admin.DrainOptions{Cancel: true}))
	must("cancel", drain("three", admin.DrainOptions{Cancel: true}))

	must("stop", stopThree())
	await(t, one, "two members", members(2))
	must("remove the third, which has just left", one.Forget(ctx, ids["three"], false))
	refused("remove a member", one.Forget(ctx, ids["two"], false), "it is a member")
	must("stop", stopTwo())
	await(t, one, "one member", members(1))
	refused("remove the second", one.Forget(ctx, ids["two"], false), "1 of the nodes that are there and do not drain would stay, and messages are to lie on 2")
	must("remove it as is meant", one.Forget(ctx, ids["two"], true))
}

// Nodes that drain take nothing over.
func TestStaying(t *testing.T) {
	v := &cluster.View{Members: []cluster.Member{{Endpoint: cluster.Endpoint{ID: 1}}, {Endpoint: cluster.Endpoint{ID: 2}}, {Endpoint: cluster.Endpoint{ID: 3}}}}
	loads := map[cluster.NodeID]cluster.Load{1: {}, 2: {Draining: true}}
	for without, want := range map[cluster.NodeID]int{1: 1, 2: 2, 3: 1, 9: 2} {
		if got := staying(v, loads, without); got != want {
			t.Errorf("without %d stay %d, want %d", without, got, want)
		}
	}
}

// After a view change lists are refused for a moment: a node that has just left can be removed all the same. What stays so, or is refused for
// another reason, is told.
func TestListsAreWaitedFor(t *testing.T) {
	for _, tt := range []struct {
		name     string
		err      error
		times    int           // that it is given
		patience time.Duration // of who asks
		took     time.Duration
		fails    bool
	}{
		{name: "whole at once", patience: time.Hour},
		{name: "whole soon", err: cluster.Errorf(cluster.KindUnavailable, "list", "not all is known yet"), times: 20, patience: time.Hour, took: 20 * listEvery},
		{name: "never whole", err: cluster.Errorf(cluster.KindUnavailable, "list", "not all is known yet"), times: 1 << 20, patience: time.Hour, took: listWait, fails: true},
		{name: "not waited for", err: cluster.Errorf(cluster.KindUnavailable, "list", "not all is known yet"), times: 1 << 20, patience: listEvery / 2, took: listEvery / 2, fails: true},
		{name: "damaged", err: cluster.Errorf(cluster.KindCorrupt, "list", "not a profile"), times: 1, patience: time.Hour, fails: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tt.patience)
				defer cancel()
				began, asked := time.Now(), 0
				who, err := whenWhole(ctx, func() (string, error) {
					if asked++; asked <= tt.times {
						return "", tt.err
					}
					return "somebody", nil
				})
				if took := time.Since(began); took != tt.took || (err != nil) != tt.fails || (who == "") != tt.fails || tt.fails && err != tt.err {
					t.Errorf("%q, %v after %v, want an error %v after %v", who, err, took, tt.fails, tt.took)
				}
			})
		})
	}
}
