package directory

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
	"porcupine/internal/mail/directory/credential"
)

// cheap are password parameters that cost nothing: for tests of everything but the cost.
var cheap = credential.Params{ArgonMemory: 64, ArgonTime: 1, SCRAMIterations: 4096}

// world is a cluster with a directory on each node.
type world struct {
	*clustertest.Cluster
	t    *testing.T
	dirs []*Directory // by node id, minus one
}

func newWorld(t *testing.T, nodes int) *world {
	return newWorldWith(t, nodes, Config{})
}

func newWorldWith(t *testing.T, nodes int, cfg Config) *world {
	t.Helper()
	w := &world{Cluster: clustertest.New(nodes, mail.Types()), t: t}
	cfg.Credentials = cheap
	for i := range nodes {
		d, err := New(w.Node(cluster.NodeID(i+1)), cfg)
		if err != nil {
			t.Fatal(err)
		}
		d.Register()
		w.dirs = append(w.dirs, d)
	}
	return w
}

func (w *world) addDomain(name string, s DomainSettings) {
	w.t.Helper()
	if err := w.dirs[0].AddDomain(context.Background(), name, s); err != nil {
		w.t.Fatalf("AddDomain(%q): %v", name, err)
	}
}

func (w *world) addUsers(names ...string) {
	w.t.Helper()
	for _, n := range names {
		if _, err := w.dirs[0].AddUser(context.Background(), addr(w.t, n), NewUser{Credential: w.credential("secret")}); err != nil {
			w.t.Fatalf("AddUser(%q): %v", n, err)
		}
	}
}

func (w *world) credential(password string) Credential {
	w.t.Helper()
	c, err := w.dirs[0].NewCredential(password)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func addr(t *testing.T, s string) mail.Address {
	t.Helper()
	a, err := mail.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func users(boxes []mail.Mailbox) string {
	names := make([]string, len(boxes))
	for i, b := range boxes {
		names[i] = string(b.User)
	}
	return strings.Join(names, " ")
}

// kind gives the kind of an error, "ok" for nil.
func kind(err error) string {
	if err == nil {
		return "ok"
	}
	return cluster.KindOf(err).String()
}

func userID(name string) cluster.ObjectID {
	return cluster.ObjectID{Type: mail.TypeUser, Owner: name}
}

var client = mail.Client{Service: "pop3", Remote: netip.MustParseAddr("192.0.2.7"), TLS: true}

func TestResolve(t *testing.T) {
	w := newWorld(t, 3)
	ctx := context.Background()
	w.addDomain("x.test", DomainSettings{Postmaster: addr(t, "u0@x.test")})
	w.addDomain("all.test", DomainSettings{CatchAll: addr(t, "u1@x.test")})
	w.addUsers("u0@x.test", "u1@x.test", "u2@x.test", "postmaster@all.test", "a+b@x.test")
	for alias, targets := range map[string][]string{
		"team@x.test": {"u1@x.test", "u2@x.test", "U1@X.test"},
		"boss@x.test": {"u0+boss@x.test"},
	} {
		var as []mail.Address
		for _, s := range targets {
			as = append(as, addr(t, s))
		}
		if err := w.dirs[1].AddAlias(ctx, addr(t, alias), as); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.dirs[1].AddAlias(ctx, addr(t, "all@x.test"), []mail.Address{addr(t, "team@x.test"), addr(t, "boss@x.test"), addr(t, "u2@x.test")}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ in, want, err string }{
		{"u0@x.test", "u0@x.test", "ok"},
		{"U0@X.TEST", "u0@x.test", "ok"},
		{"u0+list@x.test", "u0@x.test", "ok"},
		{"a+b@x.test", "a+b@x.test", "ok"}, // a user of that very name comes first
		{"a@x.test", "", "not found"},
		{"team@x.test", "u1@x.test u2@x.test", "ok"},
		{"team+x@x.test", "u1@x.test u2@x.test", "ok"},
		{"boss@x.test", "u0@x.test", "ok"},
		{"all@x.test", "u1@x.test u2@x.test u0@x.test", "ok"},
		{"nobody@x.test", "", "not found"},
		{"postmaster@x.test", "u0@x.test", "ok"},
		{"PostMaster@x.test", "u0@x.test", "ok"},
		{"postmaster@all.test", "postmaster@all.test", "ok"},
		{"whoever@all.test", "u1@x.test", "ok"},
		{"u0@else.test", "", "denied"},
		{"u0@[192.0.2.1]", "", "denied"},
		{"u0%x.test@else.test", "", "denied"},
	} {
		for i, d := range w.dirs {
			got, err := d.Resolve(ctx, addr(t, tt.in))
			if users(got) != tt.want || kind(err) != tt.err {
				t.Errorf("node %d: Resolve(%q) = %q, %v, want %q, %s", i+1, tt.in, users(got), err, tt.want, tt.err)
			}
		}
	}
	// RFC 5321 §4.5.1: postmaster needs no domain. The first domain is all.test.
	got, err := w.dirs[2].Resolve(ctx, mail.Address{Local: "Postmaster"})
	if users(got) != "postmaster@all.test" || err != nil {
		t.Errorf("Resolve(Postmaster) = %q, %v", users(got), err)
	}
	if _, err := w.dirs[2].Resolve(ctx, mail.Address{Local: "u0"}); kind(err) != "denied" {
		t.Errorf("Resolve(u0) = %v, want denied", err)
	}
}

// The usual case costs one call to the user's manager.
func TestResolveOfAUserIsOneLookup(t *testing.T) {
	w := newWorld(t, 3)
	w.addDomain("x.test", DomainSettings{})
	w.addUsers("u0@x.test")
	for _, want := range []int64{2, 1, 1} { // the first one asks for the domain's copies too
		before := w.Lookups.Load()
		if _, err := w.dirs[0].Resolve(context.Background(), addr(t, "u0@x.test")); err != nil {
			t.Fatal(err)
		}
		if n := w.Lookups.Load() - before; n != want {
			t.Errorf("Resolve made %d lookups, want %d", n, want)
		}
	}
}

func TestAliasLimits(t *testing.T) {
	w := newWorld(t, 1)
	ctx := context.Background()
	d := w.dirs[0]
	w.addDomain("x.test", DomainSettings{})
	w.addUsers("u@x.test")
	previous := "u@x.test"
	for i := range AliasDepthMax + 1 {
		name := fmt.Sprintf("a%d@x.test", i)
		err := d.AddAlias(ctx, addr(t, name), []mail.Address{addr(t, previous)})
		if err != nil {
			t.Fatalf("alias %d: %v", i, err)
		}
		previous = name
	}
	if got, err := d.Resolve(ctx, addr(t, fmt.Sprintf("a%d@x.test", AliasDepthMax-1))); users(got) != "u@x.test" || err != nil {
		t.Errorf("deepest alias = %q, %v", users(got), err)
	}
	if _, err := d.Resolve(ctx, addr(t, previous)); kind(err) != "limit" {
		t.Errorf("alias beyond the depth = %v, want limit", err)
	}
	if err := d.AddAlias(ctx, addr(t, "self@x.test"), []mail.Address{addr(t, "self@x.test")}); kind(err) != "invalid" {
		t.Errorf("alias to itself = %v, want invalid", err)
	}
	if err := d.AddAlias(ctx, addr(t, "gone@x.test"), []mail.Address{addr(t, "nobody@x.test")}); kind(err) != "invalid" {
		t.Errorf("alias to nobody = %v, want invalid", err)
	}
	if err := d.AddAlias(ctx, addr(t, "far@x.test"), []mail.Address{addr(t, "u@else.test")}); kind(err) != "invalid" {
		t.Errorf("alias to elsewhere = %v, want invalid", err)
	}
	if err := d.AddAlias(ctx, addr(t, "u@x.test"), []mail.Address{addr(t, "a0@x.test")}); kind(err) != "exists" {
		t.Errorf("alias with a user's name = %v, want exists", err)
	}
	if _, err := d.AddUser(ctx, addr(t, "a0@x.test"), NewUser{Credential: w.credential("secret")}); kind(err) != "exists" {
		t.Errorf("user with an alias's name = %v, want exists", err)
	}
	// A loop, made by removing and adding.
	if err := d.RemoveAlias(ctx, addr(t, "a0@x.test")); err != nil {
		t.Fatal(err)
	}
	if err := d.AddAlias(ctx, addr(t, "b@x.test"), []mail.Address{addr(t, "u@x.test")}); err != nil {
		t.Fatal(err)
	}
	if err := d.AddAlias(ctx, addr(t, "a0@x.test"), []mail.Address{addr(t, "b@x.test")}); err != nil {
		t.Fatal(err)
	}
	if err := d.RemoveAlias(ctx, addr(t, "b@x.test")); err != nil {
		t.Fatal(err)
	}
	if err := d.AddAlias(ctx, addr(t, "c@x.test"), []mail.Address{addr(t, "u@x.test")}); err != nil {
		t.Fatal(err)
	}
	// a0 -> b, and b is gone: temporary, somebody must mend it.
	if _, err := d.Resolve(ctx, addr(t, "a0@x.test")); kind(err) != "internal" {
		t.Errorf("alias that leads nowhere = %v, want internal", err)
	}
}

// V1: what is not known here may exist. Nothing permanent is said before it is proven.
func TestV1_NeverPermanentFromIgnorance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		ctx := context.Background()
		w.addDomain("x.test", DomainSettings{CatchAll: addr(t, "u0@x.test")})
		w.addDomain("y.test", DomainSettings{})
		w.addUsers("u0@x.test")
		for _, k := range []cluster.Knowledge{cluster.Partial, cluster.Complete} {
			w.SetKnowledge(k)
			for _, in := range []string{"nobody@x.test", "nobody@y.test", "u+x@y.test", "u0+x@x.test", "u@else.test", "postmaster@y.test"} {
				began := time.Now()
				_, err := w.dirs[0].Resolve(ctx, addr(t, in))
				if kind(err) != "unavailable" {
					t.Errorf("%s: Resolve(%q) = %v, want unavailable", k, in, err)
				}
				want := time.Duration(0)
				if k == cluster.Partial {
					want = 2 * time.Second
				}
				if took := time.Since(began); took != want {
					t.Errorf("%s: Resolve(%q) took %v, want %v", k, in, took, want)
				}
			}
			// What is known is true at any time.
			if got, err := w.dirs[0].Resolve(ctx, addr(t, "u0@x.test")); users(got) != "u0@x.test" || err != nil {
				t.Errorf("%s: Resolve(u0) = %q, %v", k, users(got), err)
			}
			if _, err := w.dirs[0].Mailbox(ctx, "nobody@x.test"); kind(err) != "unavailable" {
				t.Errorf("%s: Mailbox = %v, want unavailable", k, err)
			}
			if _, err := w.dirs[0].Authenticate(ctx, client, "nobody@x.test", "secret"); kind(err) != "unavailable" {
				t.Errorf("%s: Authenticate of an unknown user = %v, want unavailable", k, err)
			}
			if _, _, err := w.dirs[0].SCRAM(ctx, client, "nobody@x.test"); kind(err) != "unavailable" {
				t.Errorf("%s: SCRAM of an unknown user = %v, want unavailable", k, err)
			}
			if _, err := w.dirs[0].AddUser(ctx, addr(t, "new@x.test"), NewUser{Credential: w.credential("secret")}); kind(err) != "unavailable" {
				t.Errorf("%s: AddUser = %v, want unavailable", k, err)
			}
		}
	})
}

// The wait for an incomplete bucket ends as soon as it is complete.
func TestV1_ResolveWaitsForCompleteness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.addDomain("x.test", DomainSettings{})
		w.SetKnowledge(cluster.Partial)
		time.AfterFunc(500*time.Millisecond, func() { w.SetKnowledge(cluster.Conclusive) })
		began := time.Now()
		_, err := w.dirs[0].Resolve(context.Background(), addr(t, "nobody@x.test"))
		if kind(err) != "not found" || time.Since(began) > time.Second {
			t.Errorf("Resolve = %v after %v, want not found soon after 500ms", err, time.Since(began))
		}
	})
}

// A manager that does not answer, or is one no more, proves nothing either.
func TestV1_ManagerGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		ctx := context.Background()
		w.addDomain("x.test", DomainSettings{})
		w.addUsers("u@x.test")
		manager := w.Manager("u@x.test").ID()
		w.SetFaults(manager, clustertest.Faults{Hung: true})
		if _, err := w.dirs[0].Resolve(ctx, addr(t, "u@x.test")); kind(err) != "unavailable" {
			t.Errorf("Resolve = %v, want unavailable", err)
		}
		if _, err := w.dirs[0].Authenticate(ctx, client, "u@x.test", "wrong"); kind(err) != "unavailable" {
			t.Errorf("Authenticate = %v, want unavailable", err)
		}
		w.SetFaults(manager, clustertest.Faults{NoSoft: true})
		if _, err := w.dirs[0].Authenticate(ctx, client, "u@x.test", "wrong"); kind(err) != "unavailable" {
			t.Errorf("Authenticate = %v, want unavailable", err)
		}
	})
}
